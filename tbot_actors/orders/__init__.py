"""The order path: identity, life cycle, unknown outcomes. One decision has at most one effect at the venue."""

from tbot_actors.orders.actor import Orders
from tbot_actors.orders.settings import OrdersSettings

__all__ = ["Orders", "OrdersSettings"]
