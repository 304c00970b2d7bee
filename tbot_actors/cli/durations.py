"""Durations and crash orders as a person types them."""

import re
from pathlib import PurePosixPath

from attrs import frozen

from tbot_actors.cli.exits import Exit, Failure

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}


def seconds(text: str) -> float:
    """`30s`, `5m`, `2h`, `1d`, `250ms`, or plain seconds. Raises Failure."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|)", text.strip())
    if match is None:
        raise Failure(Exit.USAGE, f"{text!r} is no duration: write 30s, 5m, 2h or 1d")
    return float(match[1]) * _UNITS_S[match[2]]


@frozen
class CrashOrder:
    """Crash the actor at `path` once, `after_s` seconds after trading began."""

    path: str
    after_s: float


def crash_order(text: str) -> CrashOrder:
    """`strategies/momentum@5s`. Raises Failure."""
    path, at, when = text.rpartition("@")
    if not at or not path or str(PurePosixPath(path)) != path:
        raise Failure(Exit.USAGE, f"{text!r} is no crash: write ACTOR@WHEN, for example strategies/momentum@5s")
    return CrashOrder(path, seconds(when))
