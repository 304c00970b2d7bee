"""The `tbot` command."""

from tbot_actors.cli.commands import main

__all__ = ["main"]
