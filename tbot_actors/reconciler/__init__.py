"""Venue truth against journal truth: what exists is the venue's to say, what was meant is in the journal."""

from tbot_actors.reconciler.actor import Reconciler
from tbot_actors.reconciler.settings import ReconcilerSettings

__all__ = ["Reconciler", "ReconcilerSettings"]
