"""Ready strategies, each one file against the public API."""
