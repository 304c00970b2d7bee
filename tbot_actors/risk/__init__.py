"""The gate: every intent is checked and reserved in one step, closed when in doubt, and the verdict is kept with its
inputs.
"""

from tbot_actors.risk.actor import Risk
from tbot_actors.risk.settings import RiskSettings

__all__ = ["Risk", "RiskSettings"]
