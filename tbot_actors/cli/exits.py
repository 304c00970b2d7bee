"""Exit codes, and the error that carries one line for the person and a code for the script."""

from enum import IntEnum

from tbot_actors.world import EXIT_BLOCKED


class Exit(IntEnum):
    """What the process ends with; 64 and above as in sysexits.h."""

    OK = 0
    FAILED = 1
    """It ran and something is not as it should be; the last lines say what."""
    USAGE = 64
    NO_INPUT = 66
    """A file that was named is not there or not readable."""
    UNAVAILABLE = 69
    """The exchange cannot be reached or started."""
    BLOCKED = EXIT_BLOCKED
    """70: the event loop stood still for ten seconds, and the process ended itself; the log has the stack."""
    CANNOT_WRITE = 73
    """The state folder or the journal cannot be written or is not this bot's."""
    BUSY = 75
    """Another process holds what this one needs."""
    BAD_CONFIG = 78


class Failure(Exception):
    """Ends the command with one clear line that says what to do."""

    def __init__(self, code: Exit, text: str) -> None:
        super().__init__(text)
        self.code = code
