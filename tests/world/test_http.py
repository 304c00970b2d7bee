"""The HTTP client against real servers on loopback."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import trio

from tbot_actors.world import HostNotAllowed, HttpClient, Interrupted, NotSent, SystemNet
from tests.world.raw_http import OK, answer_all, read_request, reset, serving

NET = SystemNet(["127.0.0.1", "localhost"])


ClientOf = Callable[..., HttpClient]


@pytest.fixture
async def client_of() -> AsyncIterator[ClientOf]:
    """Makes clients of a port on loopback, and closes them."""
    clients: list[HttpClient] = []

    def make(port: int, *, net: SystemNet = NET, scheme: str = "http://127.0.0.1", **settings: Any) -> HttpClient:
        clients.append(HttpClient(net, f"{scheme}:{port}", **settings))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


async def test_an_answer_comes_back_whole(client_of: ClientOf) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        body = gzip.compress(b"x" * 100_000)
        await stream.send_all(
            b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    async with serving(handler) as port:
        response = await client_of(port).request("GET", "/api/v3/time")
    assert (response.status, response.headers["retry-after"], response.body) == (429, "7", b"x" * 100_000)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v3/order?symbol=BTCUSDT&a=%2f%2F+b&signature=c8db5682==",
        "/p?x=[1,2]&q=\"a\"|{b}^`'&y=%zz&&=",
        "//double//slash/../kept?",
        "/",
    ],
)
async def test_the_target_and_the_headers_go_out_byte_for_byte(client_of: ClientOf, target: str) -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(OK)

    async with serving(handler) as port:
        headers = {"X-MBX-APIKEY": "vmPU+/=  x", "oDD-case": "ü".encode().hex()}
        await client_of(port).request("POST", target, headers=headers, body=b"a=1&b=\x00\xff")
        assert seen == [
            b"POST " + target.encode() + b" HTTP/1.1\r\n"
            b"Host: 127.0.0.1:%d\r\n" % port
            + b"Accept-Encoding: gzip\r\nUser-Agent: tbot-actors\r\nX-MBX-APIKEY: vmPU+/=  x\r\noDD-case: c3bc\r\n"
            b"Content-Length: 8\r\n\r\na=1&b=\x00\xff"
        ]


async def test_cookies_of_the_server_are_not_sent_back(client_of: ClientOf) -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            seen.append(request)
            await stream.send_all(OK.replace(b"\r\nCon", b"\r\nSet-Cookie: a=b; Path=/\r\nCon"))

    async with serving(handler) as port:
        client = client_of(port)
        await client.request("GET", "/")
        await client.request("GET", "/")
    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()


@pytest.mark.parametrize("target", ["api", "/a b", "/a\r\nX: y", "/ü", ""])
async def test_a_target_that_cannot_go_out_as_it_is_is_refused(client_of: ClientOf, target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        await client_of(1).request("GET", target)
    with pytest.raises(ValueError, match="header"):
        await client_of(1).request("GET", "/", headers={"X": "a\r\nY: b"})


async def test_a_refused_connection_means_not_sent(client_of: ClientOf) -> None:
    listening = await NET.listen("127.0.0.1", 0)
    await listening.aclose()
    with pytest.raises(NotSent):
        await client_of(listening.port).request("POST", "/order")


async def test_a_host_that_the_settings_do_not_name_is_never_connected_to() -> None:
    with pytest.raises(HostNotAllowed, match="elsewhere"):
        await HttpClient(NET, "http://elsewhere.example").request("GET", "/")


async def test_a_server_that_never_answers_is_an_interruption_at_the_total_deadline(client_of: ClientOf) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await trio.sleep_forever()

    async with serving(handler) as port:
        client = client_of(port, total_timeout_s=0.2)
        started = trio.current_time()
        with pytest.raises(Interrupted, match="deadline"):
            await client.request("POST", "/order?signature=secret")
        assert 0.19 < trio.current_time() - started < 2


async def test_a_trickling_server_cannot_stretch_the_total_deadline(client_of: ClientOf) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.02)

    async with serving(handler) as port:
        started = trio.current_time()
        with pytest.raises(Interrupted):
            await client_of(port).request("GET", "/", timeout_s=0.2)
        assert 0.19 < trio.current_time() - started < 2


async def test_a_reset_after_the_request_is_an_interruption(client_of: ClientOf) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        reset(stream)

    async with serving(handler) as port:
        with pytest.raises(Interrupted) as caught:
            await client_of(port).request("POST", "/order?signature=secret")
    assert "secret" not in str(caught.value)
    assert not isinstance(caught.value, NotSent)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::bad\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd",
    ],
)
async def test_an_answer_that_is_none_is_an_interruption(client_of: ClientOf, answer: bytes) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(answer)

    async with serving(handler) as port:
        with pytest.raises(Interrupted):
            await client_of(port).request("GET", "/")


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_beyond_the_size_limit_is_an_interruption_and_frees_its_slot(
    client_of: ClientOf, compressed: bool
) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            if b"/big" not in request:
                await stream.send_all(OK)
            elif compressed:
                body = gzip.compress(bytes((16 << 20) + 1), 1)
                head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
                await stream.send_all(head % len(body) + body)
            else:
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
                for _ in range(1024):
                    await stream.send_all(bytes(1 << 20))

    async with serving(handler) as port:
        client = client_of(port, connections_max=1)
        with pytest.raises(Interrupted, match="16 MiB"):
            await client.request("GET", "/big")
        assert (await client.request("GET", "/")).body == b"ok"


async def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(client_of: ClientOf) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        await stream.send_all(OK)

    async with serving(handler) as port:
        client = client_of(port)
        for _ in range(5):
            assert (await client.request("POST", "/order")).status == 200
            with trio.fail_after(5):
                # The end of stream needs a moment on loopback too.
                for _ in range(20):
                    await trio.lowlevel.checkpoint()


async def test_requests_that_find_no_free_connection_by_their_deadline_were_not_sent(client_of: ClientOf) -> None:
    seen: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        seen.append(await read_request(stream))
        await trio.sleep_forever()

    async with serving(handler) as port, trio.open_nursery() as nursery:
        client = client_of(port, connections_max=1, total_timeout_s=0.4)

        async def holder() -> None:
            with pytest.raises(Interrupted):
                await client.request("GET", "/first")

        nursery.start_soon(holder)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(NotSent, match="in use"):
            await client.request("GET", "/second", timeout_s=0.1)
    assert len(seen) == 1


async def test_a_cancelled_caller_still_gets_the_outcome_of_what_was_sent(client_of: ClientOf) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_request(stream)
        scope.cancel()
        await trio.sleep(0.02)
        await stream.send_all(OK)

    async with serving(handler) as port:
        outcome = None
        with trio.CancelScope() as scope:
            outcome = await client_of(port).request("POST", "/order")
        assert outcome is not None
        assert outcome.body == b"ok"


async def _storm(client: HttpClient, random: Random) -> None:
    async def caller() -> None:
        for _ in range(10):
            with trio.move_on_after(random.random() * 0.01):
                try:
                    await client.request("GET", "/", timeout_s=random.choice([0.005, 1.0]))
                except (NotSent, Interrupted):
                    pass

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(caller)


@pytest.mark.parametrize("seed", range(6))
async def test_a_storm_of_cancellations_loses_no_connection(client_of: ClientOf, seed: int) -> None:
    random = Random(seed)
    together = 0
    all_here = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal together
        while request := await read_request(stream):
            if b"/together" in request:
                together += 1
                if together == 4:
                    all_here.set()
                await all_here.wait()
            elif random.random() < 0.1:
                reset(stream)
                return
            else:
                await trio.sleep(random.random() * 0.004)
            await stream.send_all(OK)

    async with serving(handler) as port:
        client = client_of(port, connections_max=4)
        pool = client._pool
        await _storm(client, random)
        # All four slots still work, at the same time, and it is still the first pool.
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(client.request, "GET", "/together")
        assert client._pool is pool


async def test_a_pool_that_did_lose_its_slots_is_replaced(client_of: ClientOf) -> None:
    async with serving(answer_all) as port:
        client = client_of(port, connections_max=1)
        request = client._build("GET", "/", {}, b"", trio.current_time() + 5)
        lost: httpx.Response = await client._pool.client.send(request, stream=True)
        with pytest.raises(NotSent, match="replaced"):
            await client.request("GET", "/")
        assert (await client.request("GET", "/")).body == b"ok"
        await lost.aclose()


async def test_a_closed_client_sends_nothing(client_of: ClientOf) -> None:
    async with serving(answer_all) as port:
        client = client_of(port)
        await client.request("GET", "/")
        await client.aclose()
        with pytest.raises(NotSent, match="closed"):
            await client.request("GET", "/")


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://a/path", "https://u:p@a", "http://a?b"])
def test_a_base_url_is_an_origin_and_nothing_more(url: str) -> None:
    with pytest.raises(ValueError, match=r"origin|target"):
        HttpClient(NET, url)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    both = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_bytes((tmp_path / "key.pem").read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return both


async def test_tls_is_verified_and_kept_alive(client_of: ClientOf, certificate: Path) -> None:
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(certificate)
    trusting = SystemNet(
        ["localhost", "127.0.0.1"], tls_context=ssl.create_default_context(cafile=str(certificate.parent / "cert.pem"))
    )
    connections = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        await answer_all(trio.SSLStream(stream, server_context, server_side=True, https_compatible=True))

    async with serving(handler) as port:
        client = client_of(port, net=trusting, scheme="https://localhost")
        for _ in range(3):
            assert (await client.request("GET", "/")).body == b"ok"
        assert connections <= 2  # TLS 1.3 session tickets may look like an end of stream once
        with pytest.raises(NotSent, match="certificate"):
            await client_of(port, scheme="https://localhost").request("GET", "/")
        with pytest.raises(NotSent, match="certificate"):
            await client_of(port, net=trusting, scheme="https://127.0.0.1").request("GET", "/")
