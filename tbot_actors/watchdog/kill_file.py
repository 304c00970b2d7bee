"""The kill file: a person, or a script, writes one word into it. Whatever is in it, it means a pause at least."""

from pathlib import Path

from tbot_actors.watchdog.ladder import KillOrder
from tbot_actors.world import DiskFailure, Files


def read_kill_file(files: Files, path: Path) -> KillOrder | None:
    """The order, or None where there is no such file. An empty, unknown or unreadable one pauses: it is there."""
    try:
        return parse_kill_order(files.read_bytes(path))
    except FileNotFoundError:
        return None
    except DiskFailure:
        return KillOrder.PAUSE


def parse_kill_order(data: bytes) -> KillOrder:
    """`pause`, `halt` or `flatten`, in any case and with any space around it; anything else pauses."""
    word = data[:64].decode("utf-8", "replace").strip().lower()
    try:
        return KillOrder(word)
    except ValueError:
        return KillOrder.PAUSE
