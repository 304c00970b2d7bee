"""tbot-actors: a trading bot under supervision that can be left alone."""
