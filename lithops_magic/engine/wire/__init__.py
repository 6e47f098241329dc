"""Data exchanged with the worker: functions, items, values, and the store for what is too large to send."""
