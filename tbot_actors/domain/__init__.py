"""The vocabulary of the field: money, instruments, orders, fills, market data, and the messages between rooms.

Values and pure folds only.
"""
