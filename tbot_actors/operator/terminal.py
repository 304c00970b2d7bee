"""The terminal, or what stands in its place."""

from rich.console import Console


class QuietTerminal(Console):
    """A rich console that falls silent when its reader has gone: `tbot run | head` must not end a bot that trades."""

    def on_broken_pipe(self) -> None:
        """Rich's own answer is to end the process."""
        self.quiet = True
