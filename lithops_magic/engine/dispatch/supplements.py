"""After a task has failed: which packages that its sandbox asked for in vain are installed here, and may mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from lithops_magic.engine.job.task import Task
from lithops_magic.errors import RemoteTraceback, TaskError, facts
from lithops_magic.packages import Need
from lithops_magic.packages.distributions import NOT_SHIPPED
from lithops_magic.packages.platform import PROVIDED
from lithops_magic.packages.whereabouts import DISTRIBUTION, distribution_of

Asked = tuple[tuple[str, str], ...]

_NEVER = NOT_SHIPPED | PROVIDED
_IMPORT = ("ImportError", "ModuleNotFoundError", "PackageNotFoundError")
_HINT = re.compile(r"\b(?:install|backend|engine|plugin|driver|depend|not available|unsupported|no module)", re.I)
"""What libraries say that miss an optional part of theirs."""
_NOT_FOUND = re.compile("^No module named ")
_CONSEQUENCES = ("AttributeError", "NameError")
"""What comes of a name that a library has set to None, or not at all, because it did not find a module."""


class Supplements:
    """Grows with what is missed; a task is run again once after each time."""

    def __init__(self, need: Need) -> None:
        self._need = need
        self._added: dict[str, str] = {}
        self._ran: dict[int, int] = {}
        self._distributions: dict[str, str] = {}

    def help(self, task: Task) -> bool:
        """Whether something was added since the task ran last; if so, it is noted that it runs again."""
        again = self._ran.get(task.index, 0) < len(self._added)
        self._ran[task.index] = len(self._added)
        return again

    def new(self, error: TaskError, asked: Asked) -> dict[str, str]:
        """Return the distributions to add, each with who asked for it: those that an error names, else all."""
        traceback = facts(error).traceback
        if self._need.request.nothing or traceback is None or not asked:
            return {}
        here = {name: found for _, name in asked if (found := self._distribution(name)) and found not in _NEVER}
        text = " ".join(part.message for part in _chain(traceback))
        named = {name for name, found in here.items() if any(_mentions(text, it) for it in (_bare(name), found))}
        if not named and not _is_likely(traceback, text):
            return {}
        chosen = {name: here[name] for name in named or here}
        return {chosen[name]: asker for asker, name in asked if name in chosen and chosen[name] not in self._added}

    def add(self, distributions: Mapping[str, str]) -> None:
        """Note that these are added."""
        self._added |= distributions

    def absent(self, error: TaskError, asked: Asked) -> list[str]:
        """Return the names that an error speaks of, which were asked for, and which are not installed here either."""
        traceback = facts(error).traceback
        if traceback is None or _NOT_FOUND.search(traceback.message):
            return []  # which is explained already
        text = " ".join(part.message for part in _chain(traceback))
        names = {bare for _, name in asked if "." not in (bare := _bare(name)) and _mentions(text, bare)}
        return sorted(name for name in names if not self._distribution(name) and not self._distribution(f"{name}=="))

    def _distribution(self, name: str) -> str:
        if name not in self._distributions:
            self._distributions[name] = distribution_of(name)
        return self._distributions[name]


def _chain(traceback: RemoteTraceback) -> Iterator[RemoteTraceback]:
    yield traceback
    for link in (*([traceback.cause] if traceback.cause else []), *traceback.parts):
        yield from _chain(link)


def _is_likely(traceback: RemoteTraceback, text: str) -> bool:
    if any(part.type.rpartition(".")[2] in _IMPORT for part in _chain(traceback)) or _HINT.search(text):
        return True
    return traceback.type in _CONSEQUENCES and bool(traceback.frames) and traceback.frames[-1].library


def _bare(name: str) -> str:
    return name.removesuffix(DISTRIBUTION)


def _mentions(text: str, name: str) -> bool:
    pattern = r"[-_.]".join(map(re.escape, re.split(r"[-_.]", name)))
    return re.search(rf"(?<!\w){pattern}(?!\w)", text, re.I) is not None


def listed(names: Iterable[str]) -> str:
    """Return names as they stand in a sentence."""
    first = sorted(names)
    return first[0] if len(first) == 1 else f"{', '.join(first[:-1])} and {first[-1]}"
