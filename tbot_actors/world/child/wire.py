"""The worker's end of the wire: bytes to and from the bot, waiting as long as it takes."""

import os
from typing import Final

__all__ = ["Wire"]

CHUNK_BYTES: Final = 1 << 16


class Wire:
    """Blocking, for a plain loop."""

    def __init__(self, descriptor_in: int, descriptor_out: int) -> None:
        self._in = descriptor_in
        self._out = descriptor_out

    def receive(self) -> bytes:
        """The next bytes; none when the bot is gone."""
        try:
            return os.read(self._in, CHUNK_BYTES)
        except ConnectionError:
            return b""

    def send(self, data: bytes) -> bool:
        """Sends all of it; False when the bot is gone."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._out, left) :]
        except ConnectionError:
            return False
        return True
