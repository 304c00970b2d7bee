"""Signatures and timing windows, against the vectors of Binance's own documentation and of an independent client."""

import json
from urllib.parse import urlsplit

import pytest

from tbot_actors.exchange.params import parse_pairs
from tbot_actors.exchange.records import VenueError
from tbot_actors.exchange.signing import Key, Keyring, check_signed, hmac_hex, rest_payload, websocket_payload
from tests.data import data_file

NOW_NS = 1_499_827_319_559_000_000
DOCUMENTED = Key("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
                 "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j", "main")  # fmt: skip
ASCII = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
)
ASCII_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def check(query: bytes, body: bytes = b"", *, key: Key = DOCUMENTED, now_ns: int = NOW_NS) -> None:
    check_signed(key, rest_payload(query, body), parse_pairs(query, body), now_ns)


def refusal(query: bytes, body: bytes = b"", *, now_ns: int = NOW_NS) -> int:
    with pytest.raises(VenueError) as refused:
        check(query, body, now_ns=now_ns)
    return refused.value.code


def signed(query: str) -> bytes:
    return f"{query}&signature={hmac_hex(DOCUMENTED.secret, query.encode())}".encode()


@pytest.mark.parametrize("split", [0, 10, len(ASCII)])
def test_the_documented_signature_is_good_wherever_query_ends_and_body_starts(split: int) -> None:
    query, body = ASCII[:split], ASCII[split:]
    signature = b"&signature=" + ASCII_SIGNATURE.encode()
    payload = rest_payload(query, body + signature) if body else rest_payload(query + signature, b"")
    assert hmac_hex(DOCUMENTED.secret, payload) == ASCII_SIGNATURE


def test_the_documented_mixed_request_is_good() -> None:
    query = b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
    body = b"quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    signature = hmac_hex(DOCUMENTED.secret, query + body)
    check(query, body + b"&signature=" + signature.encode())


def test_an_upper_case_signature_is_good() -> None:
    check(ASCII + b"&signature=" + ASCII_SIGNATURE.upper().encode())


def test_percent_encoding_is_signed_as_sent() -> None:
    query = ASCII.replace(b"LTCBTC", b"%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96")
    signature = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
    check(query + b"&signature=" + signature.encode())


def test_requests_signed_by_an_independent_client_are_good() -> None:
    cases = json.loads(data_file("wire/signed_requests.json").read_bytes())
    wanted = [case for case in cases if case["exchange"] == "binance" and "signature=" in json.dumps(case["expected"])]
    assert len(wanted) >= 14
    for case in wanted:
        query = urlsplit(case["expected"]["url"]).query.encode()
        body = (case["expected"]["body"] or "").encode()
        key = Key(case["credentials"]["apiKey"], case["credentials"]["secret"], "main")
        check(query, body, key=key, now_ns=case["frozen_ms"] * 1_000_000)


def test_one_changed_byte_is_a_bad_signature() -> None:
    assert refusal(ASCII.replace(b"quantity=1", b"quantity=2") + b"&signature=" + ASCII_SIGNATURE.encode()) == -1022
    assert refusal(ASCII + b"&signature=" + b"0" * 64) == -1022


def test_a_signature_or_timestamp_left_out_is_a_missing_parameter() -> None:
    assert refusal(ASCII) == -1102
    assert refusal(signed("symbol=LTCBTC")) == -1102
    assert refusal(signed("timestamp=soon")) == -1102


@pytest.mark.parametrize(
    ("age_ms", "window", "good"),
    [(5000, "", True), (5001, "", False), (-999, "", True), (-1000, "", False), (60_000, "60000", True),
     (3, "2.5", False), (2, "2.5", True)],
)  # fmt: skip
def test_the_timing_window_is_exact(age_ms: int, window: str, good: bool) -> None:
    query = f"timestamp={NOW_NS // 1_000_000 - age_ms}" + (f"&recvWindow={window}" if window else "")
    if good:
        check(signed(query))
    else:
        assert refusal(signed(query)) == -1021


def test_a_timestamp_may_be_in_microseconds() -> None:
    check(signed(f"timestamp={NOW_NS // 1_000}"))
    assert refusal(signed(f"timestamp={NOW_NS // 1_000 - 6_000_000}")) == -1021


@pytest.mark.parametrize("window", ["60001", "0", "-1", "NaN", "Infinity", "x"])
def test_an_impossible_recv_window_is_refused(window: str) -> None:
    assert refusal(signed(f"timestamp={NOW_NS // 1_000_000}&recvWindow={window}")) == -1102


@pytest.mark.parametrize(("name", "code"), [(None, -2014), ("", -2014), ("no spaces please", -2014), ("a" * 64, -2015)])
def test_unknown_keys_are_refused_as_unauthorized(name: str | None, code: int) -> None:
    with pytest.raises(VenueError) as refused:
        Keyring([DOCUMENTED]).key(name)
    assert (refused.value.code, refused.value.status) == (code, 401)


def test_websocket_params_are_signed_sorted_by_name() -> None:
    params = {"timestamp": "1", "apiKey": "k", "signature": "s", "newOrderRespType": "ACK", "flag": "false"}
    assert websocket_payload(params) == b"apiKey=k&flag=false&newOrderRespType=ACK&timestamp=1"
