"""What a Binance session is told."""

from attrs import field, frozen
from attrs.validators import gt, in_, le


@frozen(kw_only=True)
class BinanceSettings:
    """Addresses, symbols and limits of one session. The defaults are the live exchange."""

    venue: str = "binance"
    """The name in instrument ids."""
    rest_url: str = "https://api.binance.com"
    """The REST API."""
    stream_url: str = "wss://stream.binance.com:9443"
    """Market streams."""
    api_url: str = "wss://ws-api.binance.com:443"
    """The WebSocket API, which carries the user stream."""
    symbols: tuple[str, ...] = ("BTCUSDT",)
    """What is traded and listened to, as the venue writes it."""
    request_total_s: float = field(default=5.0, validator=gt(0))
    """Deadline of one request, all of it."""
    receive_window_s: float = field(default=5.0, validator=[gt(0), le(60)])
    """recvWindow: older than this at the venue, a signed request is refused."""
    connections_max: int = field(default=16, validator=gt(0))
    """Connections to the REST API at once."""
    depth_levels: int = field(default=1000, validator=in_((100, 500, 1000, 5000)))
    """Levels on each side of a book snapshot."""
    trades_page: int = field(default=1000, validator=[gt(0), le(1000)])
    """Trades read with one request; the venue gives at most 1000."""
    trade_pages_max: int = field(default=50, validator=gt(0))
    """Bound of one read of trades, in pages of `trades_page`."""
    stream_silence_s: float = field(default=60.0, validator=gt(20))
    """A stream without message or ping for so long is dead; the venue pings every 20 s."""
    stream_open_s: float = field(default=5.0, validator=gt(0))
    """Deadline for connecting and subscribing."""
