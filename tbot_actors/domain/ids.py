"""Client order ids: `bot . sender . generation . sequence` in base 32, at most 18 alphanumerics, which fits all venues.

The narrowest venue sets the bound: Kraken takes 18 free characters, OKX letters and digits only.
"""

from enum import Enum

from attrs import define, frozen

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
BOT_LENGTH = 4
_GENERATION_LENGTH = 5
_SEQUENCE_LENGTH = 7


class Sender(Enum):
    """Who gave the id; each counts its own sequence."""

    ORDERS = "A"
    SAFETY = "S"
    GUARDIAN = "G"
    CLI = "C"


@frozen
class ClientId:
    """The parts of an id of ours."""

    bot: str
    sender: Sender
    generation: int
    sequence: int

    def __str__(self) -> str:
        counted = _encode(self.generation, _GENERATION_LENGTH) + _encode(self.sequence, _SEQUENCE_LENGTH)
        return self.bot + self.sender.value + counted


def parse_client_id(text: str, bot: str) -> ClientId | None:
    """The parts of `text` when this bot gave it, else None: a foreign order is never touched."""
    if len(text) != BOT_LENGTH + 1 + _GENERATION_LENGTH + _SEQUENCE_LENGTH or not text.startswith(bot):
        return None
    try:
        sender = Sender(text[BOT_LENGTH])
        split = BOT_LENGTH + 1 + _GENERATION_LENGTH
        return ClientId(bot, sender, _decode(text[BOT_LENGTH + 1 : split]), _decode(text[split:]))
    except (ValueError, KeyError):
        return None


def check_bot_tag(tag: str) -> str:
    """The tag itself when it is usable. Raises ValueError with what is allowed."""
    if len(tag) != BOT_LENGTH or any(letter not in _VALUES for letter in tag):
        raise ValueError(f"a bot tag is {BOT_LENGTH} characters out of {_DIGITS}, got {tag!r}")
    return tag


@define
class ClientIds:
    """Gives ids of one sender in one generation.

    The generation is committed before the first id is used, so none repeats.
    """

    bot: str
    sender: Sender
    generation: int
    _given: int = 0

    def next(self) -> str:
        """The next id."""
        self._given += 1
        return str(ClientId(self.bot, self.sender, self.generation, self._given))

    def resume_after(self, text: str) -> None:
        """Never give again what an earlier incarnation of this sender gave in this generation."""
        known = parse_client_id(text, self.bot)
        if known is not None and known.sender is self.sender and known.generation == self.generation:
            self._given = max(self._given, known.sequence)


def _encode(number: int, length: int) -> str:
    if not 0 <= number < 32**length:
        raise ValueError(f"{number} does not fit {length} base-32 digits")
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits


def _decode(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + _VALUES[digit]
    return number
