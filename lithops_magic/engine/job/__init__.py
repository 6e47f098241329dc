"""The state of one job, and the events it is reduced from."""
