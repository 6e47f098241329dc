"""How long this thread had to wait for a CPU that others used."""

from __future__ import annotations

from pathlib import Path


def waited() -> float | None:
    """Return the seconds since the thread began; None where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
