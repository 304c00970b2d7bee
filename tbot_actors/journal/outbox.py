"""Answers for mailboxes that are full: kept in order, bounded, and told again soon. An answer is never dropped."""

from collections import deque

from tbot_actors.journal.desk import Letter
from tbot_actors.kernel import MailboxFull


class OutboxFull(Exception):
    """Those who ask do not take the answers. Crash: they ask the next incarnation again."""


class Outbox:
    """Tells letters, in order for each receiver."""

    def __init__(self, undelivered_max: int) -> None:
        self._undelivered_max = undelivered_max
        self._waiting: dict[str, deque[Letter]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def tell(self, letters: list[Letter]) -> None:
        """Tell them now, or keep those whose receiver has no room. Raises OutboxFull."""
        for letter in letters:
            waiting = self._waiting.get(letter.to.path)
            if waiting is not None:
                waiting.append(letter)
                self._count += 1
            elif not _told(letter):
                self._waiting[letter.to.path] = deque([letter])
                self._count += 1
        if self._count > self._undelivered_max:
            raise OutboxFull(f"{self._count} answers wait for {', '.join(sorted(self._waiting))}: mailboxes stay full")

    def retry(self) -> None:
        """Tell what is kept, as far as there is room now."""
        for path, waiting in list(self._waiting.items()):
            while waiting and _told(waiting[0]):
                waiting.popleft()
                self._count -= 1
            if not waiting:
                del self._waiting[path]


def _told(letter: Letter) -> bool:
    try:
        letter.to.tell(letter.message)
    except MailboxFull:
        return False
    return True
