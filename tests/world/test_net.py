"""Streams and listeners on loopback."""

from __future__ import annotations

import pytest
import trio

from tbot_actors.world import HostNotAllowed, Interrupted, Listening, NetFailure, NotSent, PortInUse, SystemNet
from tests.world.raw_http import reset, serving

NET = SystemNet(["127.0.0.1", "no-such-host.invalid"])


async def echo(stream: trio.abc.Stream) -> None:
    async for chunk in stream:
        await stream.send_all(chunk)


async def ask(port: int, text: bytes = b"hello") -> bytes:
    async with await NET.connect("127.0.0.1", port) as stream:
        await stream.send_all(text)
        return bytes(await stream.receive_some())


async def test_bytes_go_there_and_back() -> None:
    async with serving(echo) as port:
        assert await ask(port) == b"hello"


async def test_only_named_hosts_are_connected_to() -> None:
    with pytest.raises(HostNotAllowed, match=r"evil\.example.*127\.0\.0\.1"):
        await NET.connect("evil.example", 80)


async def test_an_unknown_name_means_not_sent() -> None:
    with pytest.raises(NotSent):
        await NET.connect("no-such-host.invalid", 80)


async def test_a_tls_handshake_that_never_ends_means_not_sent_in_time() -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with serving(silent) as port:
        started = trio.current_time()
        with pytest.raises(NotSent, match=r"within 0\.2 s"):
            await NET.connect("127.0.0.1", port, tls=True, timeout_s=0.2)
        assert trio.current_time() - started < 1


async def test_a_port_in_use_is_said_with_what_to_do() -> None:
    async with serving(echo) as port:
        with pytest.raises(PortInUse, match=f"port {port}.*another port"):
            await NET.listen("127.0.0.1", port)


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(NetFailure):
        await NET.listen("192.0.2.1", 0)


async def _until(listening: Listening, name: str, count: int) -> None:
    with trio.fail_after(5):
        while getattr(listening.statistics(), name) < count:  # noqa: ASYNC110 (a count on the other side)
            await trio.sleep(0.001)


async def _serve(listening: Listening, handler: object, connections_max: int = 1000) -> None:
    await listening.serve(handler, connections_max=connections_max)  # type: ignore[arg-type]


async def test_serving_goes_on_after_clients_that_reset() -> None:
    async def handler_in_a_nursery(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever)
            await echo(stream)

    listening = await NET.listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, listening, handler_in_a_nursery)
        for _ in range(10):
            stream = await NET.connect("127.0.0.1", listening.port)
            await stream.send_all(b"x")
            await stream.receive_some()
            reset(stream)
            await stream.aclose()
        await _until(listening, "broken", 10)
        assert await ask(listening.port) == b"hello"
        nursery.cancel_scope.cancel()


async def test_a_network_failure_out_of_a_handler_ends_its_connection_only() -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        if await stream.receive_some() == b"bad":
            raise Interrupted("upstream went away")
        await stream.send_all(b"fine")

    async with serving(handler) as port:
        assert await ask(port, b"bad") == b""
        assert await ask(port, b"good") == b"fine"


async def test_a_mistake_in_a_handler_propagates() -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        raise ZeroDivisionError

    listening = await NET.listen("127.0.0.1", 0)
    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, listening, handler)
            await (await NET.connect("127.0.0.1", listening.port)).aclose()
            await trio.sleep_forever()


async def test_connections_over_the_limit_are_closed_at_once_and_the_rest_go_on() -> None:
    listening = await NET.listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_serve, listening, echo, 2)
        kept = [await NET.connect("127.0.0.1", listening.port) for _ in range(2)]
        await _until(listening, "open", 2)
        with pytest.raises((AssertionError, trio.BrokenResourceError)):
            assert await ask(listening.port) == b"hello"
        await _until(listening, "refused", 1)
        for stream in kept:
            await stream.send_all(b"still")
            assert await stream.receive_some() == b"still"
            await stream.aclose()
        await _until(listening, "served", 2)
        assert await ask(listening.port) == b"hello"
        nursery.cancel_scope.cancel()
    with pytest.raises(NotSent):
        await NET.connect("127.0.0.1", listening.port)
