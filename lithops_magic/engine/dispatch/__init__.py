"""Which task goes when, and what becomes of it."""
