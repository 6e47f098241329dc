"""One exception of two classes: of ours, so that it says where a task failed, and of what the user's code raised."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lithops_magic.errors.task_facts import KEY, NAMES, TaskFacts
from lithops_magic.worker import exceptions

if TYPE_CHECKING:
    from lithops_magic.errors import TaskError


def revived(kind: type[TaskError], details: TaskFacts, notes: list[str], original: BaseException | None) -> TaskError:
    """Return an instance of `kind` that is also one of the type of `original` where the two can be mixed."""
    both = _mixed(kind, original) if kind._mixes and isinstance(original, Exception) else None
    error = both or kind.__new__(kind)
    if both is None:
        arguments = (details.message,) if original is None else exceptions.arguments(original)
        BaseException.__init__(error, *arguments)
        error.__cause__ = original
    inside = object.__getattribute__(error, "__dict__")
    inside[KEY] = replace(details, original=original)
    inside["__notes__"] = list(notes)
    return error


def _mixed(kind: type[TaskError], original: Exception) -> TaskError | None:
    """Return an instance of `kind` and of the type of `original`, where Python and IPython can take such a thing."""
    # A StopIteration raised through a generator would become a RuntimeError that hides everything; syntax errors and
    # groups are shown by IPython in its own way, with our frames and without our text; the end of a debugger (BdbQuit)
    # it does not show at all.
    if isinstance(original, StopIteration | StopAsyncIteration | SyntaxError | BaseExceptionGroup):
        return None
    if any(base.__module__ == "bdb" for base in type(original).__mro__):
        return None
    raised = type(original)
    try:
        # Of the attributes that both have, the user's are those that the user's code asks for.
        theirs = {name: value for name in (*NAMES, "task") for value in _of_class(raised, name)}
        names = {"__module__": kind.__module__, "__doc__": raised.__doc__, **theirs}
        error: Any = exceptions.copy_as(type(raised.__name__, (kind, raised), names), original)
    except Exception:
        return None
    # Not through the class, which may have attributes of these names.
    links: Any = BaseException
    cause, context = links.__cause__.__get__(original), links.__context__.__get__(original)
    # What it was raised from is what the user's code asks for; without that, the exception as it was raised.
    links.__cause__.__set__(error, original if cause is None else cause)
    if not _in_context(original, BaseExceptionGroup):
        links.__context__.__set__(error, context)
    return error  # type: ignore[no-any-return]


def _of_class(raised: type, name: str) -> list[Any]:
    return [vars(base)[name] for base in raised.__mro__ if name in vars(base)][:1]


def _in_context(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether IPython would find such an exception there, and then show everything in another way."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, kind):
            return True
        seen.add(id(error))
        error = getattr(BaseException, "__context__").__get__(error)  # noqa: B009 - the descriptor, for mypy
    return False
