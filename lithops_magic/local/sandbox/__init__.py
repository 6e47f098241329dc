"""Execution environments: processes that run a function's code one event at a time."""
