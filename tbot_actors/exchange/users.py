"""User data streams: which connection hears which account.

Source: `web-socket-api.md`, User Data Stream subscriptions.
"""

from tbot_actors.exchange.outlets import Outlet
from tbot_actors.exchange.records import VenueError
from tbot_actors.exchange.shapes import Json
from tbot_actors.exchange.streams import encode

SUBSCRIPTIONS_TOTAL_MAX = 65_535


class Session:
    """One connection of the WebSocket API: its subscriptions by number, each the account it hears."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.subscriptions: dict[int, str] = {}
        self.next_id = 0


class UserStreams:
    """Sends an account's events to the sessions subscribed to it, and to no others."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[Session, int]] = {}

    def subscribe(self, session: Session, account: str) -> int:
        """Start hearing an account; returns the subscription id. -2035 when the session already hears it."""
        hearing = self._sessions.setdefault(account, {})
        if session in hearing:
            raise VenueError(-2035, "User Data Stream subscription already active.")
        if session.next_id >= SUBSCRIPTIONS_TOTAL_MAX:
            raise VenueError(-2042, "Maximum subscription ID reached for this connection.")
        subscription = session.next_id
        session.next_id += 1
        session.subscriptions[subscription] = account
        hearing[session] = subscription
        return subscription

    def unsubscribe(self, session: Session, subscription: int | None) -> None:
        """Stop one subscription, or all for None. -2036 when there is no such subscription."""
        numbers = list(session.subscriptions) if subscription is None else [subscription]
        for found in numbers:
            account = session.subscriptions.pop(found, None)
            if account is None:
                raise VenueError(-2036, "User Data Stream subscription not active.")
            del self._sessions[account][session]

    def leave(self, session: Session) -> None:
        """Forget a session."""
        self.unsubscribe(session, None)

    def heard(self, account: str) -> bool:
        """Whether any session hears an account."""
        return bool(self._sessions.get(account))

    def publish(self, account: str, event: Json) -> None:
        """Send an event of one account to every session that hears it."""
        raw = encode(event)
        for session, subscription in self._sessions.get(account, {}).items():
            session.outlet.offer(f'{{"subscriptionId":{subscription},"event":{raw}}}')
