"""Which task is sent when, and how it ends."""
