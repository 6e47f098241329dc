"""What a function captures: the notebook values it uses, directly or through functions it calls."""

from __future__ import annotations

import dis
import pickle
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from lithops_magic.engine.text.units import size
from lithops_magic.engine.wire.pickling_advice import advice_to_send
from lithops_magic.worker import cell, packing
from lithops_magic.worker.culprit import find

HEAVY = 10_000_000
"""Size in bytes above which the user is told that a captured value is sent."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A value that a function uses but does not define."""

    name: str
    value: Any
    through: str
    """The function that uses it, if that is not the mapped function itself."""

    def __str__(self) -> str:
        return f"{self.name!r}" + (f" (through {self.through}())" if self.through else "")


def captures(function: object) -> Iterator[Capture]:
    """Yield what `function` captures, nearest first, each value once."""
    # By identity, because values need not be hashable; they live as long as the function does.
    seen: set[int] = {id(function)}
    # Breadth first, so that what a user recognizes, the mapped function's own names, comes first.
    waiting: deque[tuple[object, str]] = deque([(function, "")])
    while waiting:
        user, through = waiting.popleft()
        for name, value in _uses(user):
            # Modules travel by name, or as sources.
            if id(value) in seen or isinstance(value, ModuleType):
                continue
            seen.add(id(value))
            if _travels_as_code(value):
                # The function around a cell's code is nothing that the user knows.
                waiting.append((value, "" if cell.is_cell(user) else getattr(value, "__name__", name)))
            else:
                yield Capture(name, value, through)


def culprit(function: object) -> str:
    """Explain which captured value cannot be pickled, why, and what to do; empty if all can."""
    for capture in captures(function):
        try:
            packing.dumps(capture.value)
        except Exception as error:
            kind = type(capture.value).__qualname__
            part, reason = find(capture.value, capture.name, error)
            return f"it uses {capture}, a {kind}: {reason}; {advice_to_send(capture.value, part, capture.name)}"
    return ""


def sizes(function: object) -> list[tuple[Capture, int]]:
    """Return what `function` captures with the size of each pickle in bytes, largest first."""
    measured = [(capture, _size(capture.value)) for capture in captures(function)]
    return sorted(measured, key=lambda one: -one[1])


def warnings(function: object) -> list[str]:
    """Report large captured values, one sentence each."""
    return [
        f"{capture} is sent with the function: {size(octets)}. Read it inside the function instead if that is slow."
        for capture, octets in sizes(function)
        if octets > HEAVY
    ]


def generators(function: object, found: Sequence[object]) -> list[str]:
    """Warn that tasks draw the same random numbers if the function captures any of the generators `found`."""
    if not found:
        return []
    kind = type(found[0])
    names = [
        str(capture)
        for capture in captures(function)
        # A captured method, as in `draw = rng.normal`, holds its generator.
        if any(each is capture.value or each is getattr(capture.value, "__self__", None) for each in found)
    ]
    what = f"{names[0]}, a {kind.__name__}," if names else f"a {kind.__module__.partition('.')[0]} {kind.__name__}"
    return [same_numbers(f"{what} goes to each in its present state")]


def same_numbers(why: str) -> str:
    """Warn that tasks draw the same random numbers, and say what to do instead."""
    return (
        f"tasks draw the same random numbers: {why}. For independent, reproducible numbers, map over "
        "`x, seed in zip(items, np.random.SeedSequence(42).spawn(len(items)))`, and in the task "
        "`rng = np.random.default_rng(seed)`"
    )


def _size(value: Any) -> int:
    file = _Measure()
    # Counted and not collected: a captured value may take half of the memory.
    packing.Pickler(file, file.take).dump(value)
    return file.size


class _Measure:
    """A file that only counts the bytes written to it."""

    size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """Count a buffer, which is stored outside the pickle."""
        self.size += buffer.raw().nbytes
        return False


def _uses(user: object) -> Iterator[tuple[str, Any]]:
    if isinstance(user, partial):
        yield from _uses_of_partial(user)
    elif isinstance(user, MethodType):
        yield "self", user.__self__
        yield user.__name__, user.__func__
    elif isinstance(user, type):
        # Class and static methods wrap their function.
        members = ((name, getattr(value, "__func__", value)) for name, value in vars(user).items())
        yield from ((name, value) for name, value in members if isinstance(value, FunctionType))
    elif isinstance(user, FunctionType):
        yield from _uses_of_function(user)


def _uses_of_partial(user: partial[Any]) -> Iterator[tuple[str, Any]]:
    yield getattr(user.func, "__name__", "func"), user.func
    yield from ((f"argument {position}", value) for position, value in enumerate(user.args, 1))
    yield from user.keywords.items()


def _uses_of_function(user: FunctionType) -> Iterator[tuple[str, Any]]:
    read = cell.globals_of(user)
    if read is None:
        read = {name: user.__globals__[name] for name in _names(user.__code__) if name in user.__globals__}
    yield from read.items()
    for name, closed in zip(user.__code__.co_freevars, user.__closure__ or (), strict=True):
        yield from ((name, value) for value in _contents(closed))
    yield from (user.__kwdefaults__ or {}).items()
    yield from ((f"default {position}", value) for position, value in enumerate(user.__defaults__ or (), 1))
    # The function that functools.wraps keeps for `inspect` is pickled, too.
    if hasattr(user, "__wrapped__"):
        yield user.__wrapped__.__name__, user.__wrapped__


def _names(code: CodeType) -> Iterator[str]:
    # By instruction, because `co_names` lists attributes as well.
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _contents(closed: CellType) -> list[Any]:
    try:
        return [closed.cell_contents]
    except ValueError:  # a variable of the enclosing function is unassigned
        return []


def _travels_as_code(value: object) -> bool:
    """Whether the value is a function or class defined in the notebook, so that what it uses is sent, too."""
    if isinstance(value, partial | MethodType):
        return True
    if not isinstance(value, FunctionType | type):
        return False
    # As cloudpickle decides: what cannot be found by module and name in the sandbox goes by value.
    if value.__module__ == "__main__":
        return True
    found: Any = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not value
