"""What a job's memory says about the memory that the next one should have."""

from __future__ import annotations

from lithops_magic.config.limits import MOST_MEMORY

_STEP = 64
_TIGHT = 0.9
"""Share of the memory from which on it is too little for comfort."""


def memory_advice(used: int, memory: int) -> str:
    """Say what was used of the memory, and to give more where little is left.

    Free memory alone is not a reason to ask for less: memory buys CPU as well.

    Parameters
    ----------
    used
        MB that the hungriest invocation used.
    memory
        MB of the function.
    """
    text = f"{used:,} of {memory:,} MB"
    if used < _TIGHT * memory:
        return text
    if memory == MOST_MEMORY:
        return f"{text}: close to AWS's maximum; make tasks smaller"
    enough = min(-(-int(used * 1.25) // _STEP) * _STEP, MOST_MEMORY)
    return f"{text}: close to the limit; memory={enough} is safer"
