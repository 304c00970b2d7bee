"""`python -m tbot_actors` is `tbot`."""

from tbot_actors.cli import main

main()
