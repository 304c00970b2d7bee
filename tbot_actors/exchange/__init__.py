"""The simulated exchange: Binance spot as a deterministic program over integer ticks and steps."""
