"""What was written and is not read back yet: until then the blotter does not know it, and the desk must not decide it
twice.
"""

from collections import OrderedDict
from decimal import Decimal

from attrs import define, field

from tbot_actors.domain.events import Event, Fill, OrderAccepted
from tbot_actors.domain.instruments import InstrumentId
from tbot_actors.domain.money import ZERO

FILLS_REMEMBERED = 100_000
"""Fill keys kept to recognise a duplicate. The journal refuses an older one, and then the order path starts again
from it.
"""

FillKey = tuple[str, InstrumentId, str]


@define
class Written:
    """Everything this incarnation writes is read back once, in order: what is on its way is exactly what is kept
    here.
    """

    _steps: set[tuple[str, type]] = field(factory=set)
    _fills: dict[str, dict[FillKey, Decimal]] = field(factory=dict)
    """Quantities of the fills on their way, by client id."""
    _keys: OrderedDict[FillKey, None] = field(factory=OrderedDict)
    """Fills written or read."""

    def new(self, *events: Event) -> tuple[Event, ...]:
        """Those of the events that are not on their way already; they are from now on. Fills must be new."""
        return tuple(event for event in events if self._take(event))

    def read_back(self, event: Event) -> None:
        """The journal has it."""
        client_id = getattr(event, "client_id", None)
        if client_id is None:
            return
        self._steps.discard((client_id, type(event)))
        if isinstance(event, Fill):
            self._remember(event.key)
            on_their_way = self._fills.get(client_id, {})
            on_their_way.pop(event.key, None)
            if not on_their_way:
                self._fills.pop(client_id, None)

    def has_fill(self, key: FillKey) -> bool:
        """Whether this fill was written before."""
        return key in self._keys

    def filled(self, client_id: str) -> Decimal:
        """Quantity of the order's fills that are on their way."""
        return sum(self._fills.get(client_id, {}).values(), ZERO)

    def shows_at_venue(self, client_id: str) -> bool:
        """Whether something on its way proves that the venue has, or had, the order."""
        return (client_id, OrderAccepted) in self._steps or client_id in self._fills

    def _take(self, event: Event) -> bool:
        client_id = getattr(event, "client_id", "")
        if isinstance(event, Fill):
            self._remember(event.key)
            self._fills.setdefault(client_id, {})[event.key] = event.quantity
            return True
        if (client_id, type(event)) in self._steps:
            return False
        self._steps.add((client_id, type(event)))
        return True

    def _remember(self, key: FillKey) -> None:
        self._keys[key] = None
        if len(self._keys) > FILLS_REMEMBERED:
            self._keys.popitem(last=False)
