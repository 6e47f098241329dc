"""Which sizes are worth trying, and which of them the budget allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lithops_magic.config.limits import MAX_MEMORY
from lithops_magic.engine.tune.tuning import Measured, Size

MEMORY = (128, 256, 512, 1024, 1769, 3008, 5120, MAX_MEMORY)
"""MB: doubled, plus the sizes at which Lambda gives one, almost two, three and six vCPUs."""
MAX_COST = 0.05
"""USD at list price."""
ROUNDS = 2
"""How often each item runs: one-time work in a sandbox, such as imports, is not measured."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A size to be measured."""

    size: Size
    most: float
    """Maximum USD: assumes that more memory saves no time, and that less slows tasks down in proportion."""


def sizes(base: Size, architectures: Iterable[str]) -> list[Size]:
    """Return the sizes to compare with the configured one."""
    memories = sorted({*MEMORY, base.memory})
    return [size for kind in architectures for memory in memories if (size := Size(memory, kind)) != base]


def affordable(
    base: Measured, others: Iterable[Size], money: float, timeout: float, price: Callable[[float, Size], float]
) -> tuple[list[Trial], list[Measured]]:
    """Choose affordable trials, cheapest first, and explain why the others are skipped.

    Parameters
    ----------
    base
        The configured size, already measured.
    money
        Remaining USD.
    timeout
        Maximum seconds of a task.
    price
        Returns the USD of a task, given its duration and size, including its request.
    """
    trials: list[Trial] = []
    left_out: list[Measured] = []
    for size, most in sorted(((size, _most(base, size, price)) for size in others), key=lambda pair: pair[1]):
        slower = max(1.0, base.size.memory / size.memory)
        if max(base.seconds) * slower > timeout:
            left_out.append(Measured(size, problem="not tried: it might exceed the timeout"))
        # It would only run out of memory, and be billed for that.
        elif size.memory < base.used:
            left_out.append(Measured(size, problem=f"too small: {base.used:,} MB are used"))
        elif most > money:
            left_out.append(Measured(size, problem="not tried: --max-cost"))
        else:
            money -= most
            trials.append(Trial(size, most))
    return trials, left_out


def _most(base: Measured, size: Size, price: Callable[[float, Size], float]) -> float:
    slower = max(1.0, base.size.memory / size.memory)
    return ROUNDS * sum(price(seconds * slower, size) for seconds in base.seconds)
