"""The embedded AWS: a separate process (`python -m lithops_magic.local`), known to the rest by its endpoint URL."""
