"""What a command answers, on stdout."""

import sys

from tbot_actors.cli.log import Unfailing


def say(text: str) -> None:
    """Print it now. A reader that has gone (`tbot run | head`) is no failure of the command."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain.
        sys.stdout = Unfailing(sys.stdout)
