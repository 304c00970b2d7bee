"""Why a journal is not used."""


class JournalRefused(Exception):
    """This journal must not be written by this bot. The message says what to do; trying again is no use."""


class JournalCorrupt(JournalRefused):
    """The journal was changed, or lost rows: nothing may be built on it. Safety still flattens without it."""
