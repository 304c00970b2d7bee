"""A configuration in a few lines, as `tbot check` answers. Pure."""

from collections.abc import Iterator

from tbot_actors.domain.messages import OnStop
from tbot_actors.settings import Mode, Settings

_MODES = {Mode.PAPER: "paper, against a simulated exchange on this machine", Mode.LIVE: "live, with real money"}
_STOPS = {
    OnStop.FLATTEN: "cancels its orders and closes its positions",
    OnStop.KEEP: "cancels its orders and keeps its positions",
}


def outline(settings: Settings) -> str:
    """Who trades what, with how much, within which limits."""
    return "\n".join(f"{name:>12}  {text}" for name, text in _rows(settings))


def _rows(settings: Settings) -> Iterator[tuple[str, str]]:
    bot, risk = settings.bot, settings.risk
    yield "bot", f"{bot.tag}, account {bot.account}, state in {bot.state}"
    yield "mode", _MODES[bot.mode]
    yield "on stop", _STOPS[bot.on_stop]
    for name, venue in settings.venues.items():
        yield "venue", f"{name}: {', '.join(venue.binance.symbols)}"
    for name, strategy in settings.strategies.items():
        yield "strategy", f"{name}: {strategy.type} on {', '.join(strategy.instruments)}, capital {strategy.capital:,}"
    if risk.order_max is None:
        yield "order", "none that opens risk: risk.order_max is not set"
    else:
        yield "order", f"at most {risk.order_max_percent} % of its strategy's capital and {risk.order_max:,}"
    yield "position", f"at most {risk.position_max_percent} % of {settings.capital:,} per instrument"
    yield "daily loss", f"at {risk.daily_loss_percent} % everything is closed, and only a person resumes"
