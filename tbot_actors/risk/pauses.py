"""Standing pauses, heard of twice: promptly from safety, and again through the journal. The newer word counts.

The journal's order is the truth; a change told directly lies over it until the journal shows it, or one as new.
"""

from collections.abc import Mapping

from attrs import define, field

from tbot_actors.domain.events import GenerationStarted, PauseChanged
from tbot_actors.domain.view import NOT_RECONCILED, with_pause


@define
class Pauses:
    """The causes that bar new risk, by scope. A fresh process is barred until it has reconciled."""

    _journaled: Mapping[str, tuple[str, ...]] = field(factory=lambda: NOT_RECONCILED)
    _read_ns: dict[str, int] = field(factory=dict)
    """Stamp of the last change read, of this generation, by scope."""
    _told: dict[str, PauseChanged] = field(factory=dict)

    def read(self, event: GenerationStarted | PauseChanged) -> None:
        """From the journal, in its order."""
        if isinstance(event, GenerationStarted):
            self._journaled = NOT_RECONCILED
            self._read_ns.clear()
            return
        self._journaled = with_pause(self._journaled, event)
        self._read_ns[event.scope] = event.stamp_ns
        told = self._told.get(event.scope)
        if told is not None and told.stamp_ns <= event.stamp_ns:
            del self._told[event.scope]

    def told(self, change: PauseChanged) -> None:
        """Promptly, perhaps before the journal shows it and perhaps after."""
        if change.stamp_ns > self._read_ns.get(change.scope, -1):
            self._told[change.scope] = change

    def causes(self, scope: str) -> tuple[str, ...]:
        """Why this scope takes no new risk; empty when it does."""
        told = self._told.get(scope)
        return told.causes if told is not None else self._journaled.get(scope, ())

    def bars(self, venue: str, strategy: str) -> tuple[str, ...]:
        """The causes that bar new risk of this strategy at this venue."""
        scopes = ("account", f"venue:{venue}", f"strategy:{strategy}")
        return tuple(f"{scope}: {cause}" for scope in scopes for cause in self.causes(scope))
