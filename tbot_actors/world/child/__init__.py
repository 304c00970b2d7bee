"""What runs in a worker's own process before, and around, the worker: the fence and the wire.

Standard library only, and nothing of the rest of the package: a worker costs about 10 MB, trio and httpx would add 30.
"""
