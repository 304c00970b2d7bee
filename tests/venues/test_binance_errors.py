"""What an error answer proves about a write. The table is the document: code first, then HTTP class, else nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot_actors.domain.messages import Lost, NotSent, Refused
from tbot_actors.venues.binance.errors import write_result

CASES = [
    # status, code, message, what it proves
    (400, -1013, "Filter failure: LOT_SIZE", Refused),
    (400, -1013, "Filter failure: NOTIONAL", Refused),
    (400, -1022, "Signature for this request is not valid.", Refused),
    (400, -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed.", Refused),
    (400, -1111, "Parameter 'quantity' has too much precision.", Refused),
    (400, -1121, "Invalid symbol.", Refused),
    (400, -2010, "Account has insufficient balance for requested action.", Refused),
    (400, -2010, "Order would immediately match and take.", Refused),
    (400, -2011, "Unknown order sent.", Refused),
    (401, -2014, "API-key format invalid.", Refused),
    (401, -2015, "Invalid API-key, IP, or permissions for action.", Refused),
    (400, -1021, "Timestamp for this request is outside of the recvWindow.", NotSent),
    (429, -1003, "Too much request weight used; current limit is 6000 request weight per 1 MINUTE.", NotSent),
    (418, -1003, "Way too much request weight used; IP banned until 1.", NotSent),
    (429, -1015, "Too many new orders; current limit is 100 orders per 10 SECOND.", NotSent),
    (503, -1008, "Server is currently overloaded with other requests.", NotSent),
    (500, -1000, "An unknown error occurred while processing the request.", Lost),
    (400, -1000, "An unknown error occurred while processing the request.", Lost),
    (500, -1001, "Internal error; unable to process your request. Please try again.", Lost),
    (400, -1006, "An unexpected response was received from the message bus. Execution status unknown.", Lost),
    (400, -1007, "Timeout waiting for response from backend server. Execution status unknown.", Lost),
    (504, -1007, "Timeout waiting for response from backend server. Execution status unknown.", Lost),
    (400, -9999, "A code of tomorrow.", Lost),
]


@pytest.mark.parametrize(("status", "code", "message", "expected"), CASES)
def test_the_code_decides(status: int, code: int, message: str, expected: type) -> None:
    result = write_result(status, json.dumps({"code": code, "msg": message}).encode())
    assert type(result) is expected
    assert message in result.why and str(code) in result.why
    if isinstance(result, Refused):
        assert result.code == code and not result.already_there


@pytest.mark.parametrize("code", [-2010, -1010])
def test_a_duplicate_proves_that_the_first_send_landed(code: int) -> None:
    result = write_result(400, json.dumps({"code": code, "msg": "Duplicate order sent."}).encode())
    assert isinstance(result, Refused) and result.already_there


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_without_a_code_a_server_error_proves_nothing(status: int) -> None:
    assert isinstance(write_result(status, b"<html>gateway</html>"), Lost)


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_without_a_readable_body_a_client_error_proves_nothing(status: int) -> None:
    assert isinstance(write_result(status, b"Bad Request"), Lost)


@pytest.mark.parametrize("status", [418, 429])
def test_a_rate_limit_without_a_body_is_turned_away_all_the_same(status: int) -> None:
    assert isinstance(write_result(status, b""), NotSent)


@given(st.integers(500, 599), st.integers(-3000, 0), st.text(max_size=20))
def test_a_server_error_is_never_called_proof_by_an_unlisted_code(status: int, code: int, message: str) -> None:
    listed = {case[1] for case in CASES} | set(range(-1199, -1099))
    listed |= {-1002, -1010, -1014, -1020, -2013, -2016, -2026, -2039}
    if code not in listed:
        assert isinstance(write_result(status, json.dumps({"code": code, "msg": message}).encode()), Lost)


@given(st.integers(200, 599), st.binary(max_size=60))
def test_any_answer_at_all_has_one_result(status: int, body: bytes) -> None:
    assert isinstance(write_result(status, body), Refused | Lost | NotSent)
