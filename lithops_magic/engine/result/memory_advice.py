"""What a job's memory use suggests for the next job's memory."""

from __future__ import annotations

from lithops_magic.config.limits import MAX_MEMORY, MEMORY

_STEP = 64
_TIGHT = 0.9
"""Share of the memory above which the rest is too little for comfort."""
_ROOM = 1.25
"""Memory recommended per memory used."""


def memory_advice(used: int, memory: int) -> str:
    """Report the memory used, and recommend more if little was left.

    Unused memory alone is no reason to recommend less, because memory also buys CPU.

    Parameters
    ----------
    used
        Peak MB of any invocation.
    memory
        MB of the function.
    """
    text = f"{used:,} of {memory:,} MB"
    if used < _TIGHT * memory:
        return text
    if memory == MAX_MEMORY:
        return f"{text}: close to AWS's maximum; make tasks smaller"
    return f"{text}: close to the limit; memory={enough(used)} is safer"


def enough(used: int) -> int:
    """Return a memory size in MB that is comfortable for tasks that use `used` MB."""
    return max(MEMORY.low, min(-(-int(used * _ROOM) // _STEP) * _STEP, MAX_MEMORY))
