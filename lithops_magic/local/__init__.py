"""The embedded AWS: a process of its own (`python -m lithops_magic.local`) that the rest knows by its endpoint URL."""
