"""What a job's memory says about the memory that the next one should have."""

from __future__ import annotations

from lithops_magic.config.limits import MEMORY, MOST_MEMORY
from lithops_magic.config.settings import DEFAULT_MEMORY

FULL_CPU = DEFAULT_MEMORY
"""MB from which on a function has one whole virtual CPU; CPU grows in proportion to memory."""
_STEP = 64
_TIGHT = 0.9
"""Share of the memory from which on it is too little for comfort."""
_LOOSE = 0.5
"""Share of the memory up to which it is worth a thought."""


def memory_advice(used: int, memory: int) -> str:
    """Say what was used of the memory, and what giving more or less of it would mean.

    Memory buys CPU as well, so that much free memory alone is no reason to ask for less.

    Parameters
    ----------
    used
        MB that the hungriest invocation used.
    memory
        MB of the function.
    """
    text = f"used {used:,} of {memory:,} MB"
    enough = min(max(MEMORY.low, -(-int(used * 1.25) // _STEP) * _STEP), MOST_MEMORY)
    if used >= _TIGHT * memory and memory == MOST_MEMORY:
        return f"{text}: little is left of the most that AWS gives"
    if used >= _TIGHT * memory:
        return f"{text}: little is left, memory={enough} would be safer"
    if used > _LOOSE * memory:
        return text
    if memory > FULL_CPU:
        target = max(enough, FULL_CPU)
        if target > 0.75 * memory:
            return text
        price = f"{target / memory * 100:.0f} %"
        return f"{text}: code that uses one CPU is as fast with memory={target}, for {price} of the price per second"
    if memory - enough < _STEP:
        return text
    return f"{text}: less memory is less CPU too, so memory={enough} is cheaper only for tasks that mostly wait"
