"""What the person sees. Everything here reads a replica; its failure never touches trading."""

from tbot_actors.operator.console import Console
from tbot_actors.operator.screen import LineScreen, LiveScreen, Screen
from tbot_actors.operator.terminal import QuietTerminal

__all__ = ["Console", "LineScreen", "LiveScreen", "QuietTerminal", "Screen"]
