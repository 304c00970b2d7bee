"""The network: streams to named hosts, and listeners that outlive the misbehaviour of their clients."""

import errno
import ssl
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NoReturn, Protocol, runtime_checkable

import trio
from attrs import define, field, frozen

__all__ = [
    "HostNotAllowed",
    "Interrupted",
    "Listening",
    "ListeningStatistics",
    "Net",
    "NetFailure",
    "NotSent",
    "PortInUse",
    "Probe",
    "SystemNet",
    "input_waiting",
]

BACKLOG: Final = 128
ACCEPT_PAUSE_S: Final = 0.1
OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class NetFailure(OSError):
    """The network failed. The subclasses are reactions: what may the caller believe now?"""


class NotSent(NetFailure):
    """No byte of the request can have left: the name did not resolve, or no connection came about.

    The request did not happen; it may be tried again.
    """


class Interrupted(NetFailure):
    """Bytes may have left, and no whole answer came: reset, closed early, or out of time. The outcome is unknown."""


class HostNotAllowed(NotSent):
    """The host is not one that the settings name."""


class PortInUse(NetFailure):
    """Another program listens on that port."""


class Net(Protocol):
    """Opens connections and listens for them."""

    async def connect(self, host: str, port: int, *, tls: bool = False, timeout_s: float = 5.0) -> trio.abc.Stream:
        """A connected stream, with the TLS handshake (certificate and host name verified) done if `tls`.

        Raises:
            HostNotAllowed: the settings do not name this host.
            NotSent: no connection within `timeout_s`, the handshake included.
        """
        ...

    async def listen(self, host: str, port: int) -> "Listening":
        """Listens on one address; port 0 lets the system choose (see `Listening.port`).

        Raises:
            PortInUse: another program has the port; the message says what to do.
            NetFailure: the address is not this machine's, or the port needs privileges.
        """
        ...


@runtime_checkable
class Probe(Protocol):
    """What a stream that is no socket offers so that a kept connection can be checked before it is used again."""

    def is_readable(self) -> bool:
        """Whether a receive would return at once: data, end of stream, or an error."""
        ...


def input_waiting(stream: trio.abc.Stream) -> bool:
    """Whether a receive would return at once. On an idle HTTP connection that can only mean that it was closed."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        return stream.socket.is_readable()
    return isinstance(stream, Probe) and stream.is_readable()


@frozen
class ListeningStatistics:
    """Counts since listening began."""

    open: int
    """Connections being served now."""
    served: int
    """Connections whose handler returned."""
    broken: int
    """Connections that ended because the client reset or left them."""
    refused: int
    """Connections closed at once, because `connections_max` were open."""
    paused: int
    """Times that accepting waited because the machine was out of file descriptors or memory."""


@define(eq=False)
class Listening:
    """A listener with its port. `serve` it once; leaving `serve` stops listening."""

    port: int
    """The port listened on; the one the system chose if 0 was asked for."""
    _listener: trio.abc.Listener[trio.abc.Stream]
    _open: int = field(init=False, default=0)
    _served: int = field(init=False, default=0)
    _broken: int = field(init=False, default=0)
    _refused: int = field(init=False, default=0)
    _paused: int = field(init=False, default=0)

    async def serve(
        self, handler: Callable[[trio.abc.Stream], Awaitable[None]], *, connections_max: int = 1000
    ) -> NoReturn:
        """Runs `handler(stream)` in a task of its own for each client, and closes the stream when it returns.

        A client that resets or breaks its stream ends only its own connection (`trio.serve_tcp` dies of it); so does a
        `NetFailure` out of the handler. Anything else the handler raises is a mistake and propagates. A connection over
        `connections_max` is closed at once. All of these are counted.
        """
        assert connections_max > 0
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    stream = await self._accept()
                    if self._open >= connections_max:
                        self._refused += 1
                        await trio.aclose_forcefully(stream)
                    else:
                        self._open += 1
                        nursery.start_soon(self._serve_one, handler, stream)
        finally:
            with trio.CancelScope(shield=True):
                await self.aclose()
        raise AssertionError("a listener that ended its loop without an error")

    async def _accept(self) -> trio.abc.Stream:
        while True:
            try:
                return await self._listener.accept()
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    raise
                # The clients that are connected give their descriptors back; until then the backlog holds the new ones.
                self._paused += 1
                await trio.sleep(ACCEPT_PAUSE_S)

    async def _serve_one(self, handler: Callable[[trio.abc.Stream], Awaitable[None]], stream: trio.abc.Stream) -> None:
        try:
            # except* because a handler with a nursery of its own raises its broken stream in a group.
            try:
                await handler(stream)
                self._served += 1
            except* (trio.BrokenResourceError, NetFailure):
                self._broken += 1
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)

    def statistics(self) -> ListeningStatistics:
        """What happened so far."""
        return ListeningStatistics(
            open=self._open,
            served=self._served,
            broken=self._broken,
            refused=self._refused,
            paused=self._paused,
        )

    async def aclose(self) -> None:
        """Stops listening. Connections being served go on."""
        await self._listener.aclose()


class SystemNet(Net):
    """The machine's network."""

    def __init__(self, hosts: Collection[str], *, tls_context: ssl.SSLContext | None = None) -> None:
        """Connects to `hosts` only. `tls_context` replaces the system's certificate authorities."""
        self._hosts = frozenset(host.lower() for host in hosts)
        self._tls_context = tls_context

    async def connect(self, host: str, port: int, *, tls: bool = False, timeout_s: float = 5.0) -> trio.abc.Stream:
        """See `Net.connect`."""
        if host.lower() not in self._hosts:
            known = ", ".join(sorted(self._hosts)) or "none"
            raise HostNotAllowed(f"{host} is not among the hosts that the settings name ({known})")
        stream: trio.abc.Stream | None = None
        try:
            with trio.fail_after(timeout_s):
                stream = await trio.open_tcp_stream(host, port)
                if tls:
                    stream = await self._handshake(stream, host)
        except trio.TooSlowError:
            raise NotSent(f"no connection to {host}:{port} within {timeout_s:g} s") from None
        except (OSError, trio.BrokenResourceError) as error:
            raise NotSent(f"no connection to {host}:{port}: {_root(error)}") from error
        return stream

    async def _handshake(self, stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
        if self._tls_context is None:
            # Made once: loading the authorities takes about 20 ms. Nobody else gets it: httpx sets ALPN on one that is
            # shared, which then breaks wss (reference/operations.md §0.7).
            self._tls_context = ssl.create_default_context()
        secured = trio.SSLStream(stream, self._tls_context, server_hostname=host, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured

    async def listen(self, host: str, port: int) -> Listening:
        """See `Net.listen`. A name that has several addresses listens on the first, IPv4 if there is one."""
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
            family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != trio.socket.AF_INET)
            listening = trio.socket.socket(family, kind, protocol)
        except OSError as error:
            raise NetFailure(f"cannot listen on {host}:{port}: {error}") from error
        try:
            listening.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
            await listening.bind(address)
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise _cannot_listen(error, host, port) from error
        except BaseException:
            listening.close()
            raise
        return Listening(listening.getsockname()[1], trio.SocketListener(listening))


def _cannot_listen(error: OSError, host: str, port: int) -> NetFailure:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {port} on {host} is in use by another program: stop it (`ss -ltnp 'sport = :{port}'` shows which), "
            "or name another port in the settings (0 takes a free one)"
        )
    if error.errno == errno.EACCES:
        return NetFailure(f"this user may not listen on port {port}: name one from 1024 up in the settings")
    return NetFailure(f"cannot listen on {host}:{port}: {error.strerror or error}")


def _root(error: BaseException) -> str:
    """The words of the first cause: trio says "all attempts failed" and keeps each reason below."""
    cause: BaseException | None = error
    while cause is not None:
        error = cause
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    return str(error) or type(error).__name__
