"""Packages that sandboxes failed to import although they are installed here.

They may fix a failed task; a task that did not fail may have behaved differently than it would here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name

from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.reply import Asked, WorkerReply
from lithops_magic.errors import RemoteTraceback, TaskError, facts
from lithops_magic.packages import Need
from lithops_magic.packages.distributions import NOT_SHIPPED, installed
from lithops_magic.packages.learned import remember
from lithops_magic.packages.metadata import requires_of
from lithops_magic.packages.modules import find_unit
from lithops_magic.packages.platform import PROVIDED
from lithops_magic.packages.whereabouts import DISTRIBUTION, distribution_of

_NEVER = NOT_SHIPPED | PROVIDED
_IMPORT = ("ImportError", "ModuleNotFoundError", "PackageNotFoundError")
_HINT = re.compile(r"\b(?:install|backend|engine|plugin|driver|depend|not available|unsupported|no module)", re.I)
"""Error messages of libraries that lack an optional dependency."""
_WEAK_HINT = re.compile(
    r"\b(?:not (?:found|known|recogni[sz]ed|supported)|missing|require|un(?:known|recogni[sz]ed))", re.I
)
"""Words that may indicate one, although users' own errors contain them, too."""
_NOT_FOUND = re.compile("^No module named ")
_CONSEQUENCES = ("AttributeError", "NameError")
"""Errors caused by a name that a library left unset, or set to None, because a module was not found."""
_EXTRA = re.compile(r"extra == [\"']([^\"']+)")
_DEVELOPMENT = re.compile(r"^(?:all|bench|build|dev|doc|example|lint|test|typing)", re.I)
"""Extras meant for a library's own developers."""
_said: set[tuple[str, str]] = set()
"""Which packages did without which others, as far as this notebook was told."""


class Supplements:
    """Grows with what tasks are found to lack; each addition lets a task run once more."""

    def __init__(self, need: Need) -> None:
        self._need = need
        self._added: dict[str, str] = {}
        self._ran: dict[int, int] = {}
        self._distributions: dict[str, str] = {}

    def help(self, task: Task) -> bool:
        """Whether something was added since the task last ran; if so, its rerun is recorded."""
        again = self._ran.get(task.index, 0) < len(self._added)
        self._ran[task.index] = len(self._added)
        return again

    def new(self, error: TaskError, asked: Asked) -> dict[str, str]:
        """Return distributions to add, each with the package that asked for it: those named in the error, else all."""
        traceback = facts(error).traceback
        if self._need.request.nothing or traceback is None or not asked:
            return {}
        here = {name: found for _, name in asked if (found := self._distribution(name)) and self._may_lack(name, found)}
        text = " ".join(part.message for part in _chain(traceback))
        named = {name for name, found in here.items() if any(_mentions(text, it) for it in (_bare(name), found))}
        if not named and not _is_likely(traceback, text):
            return {}
        chosen = {name: here[name] for name in named or here}
        return {chosen[name]: asker for asker, name in asked if name in chosen and chosen[name] not in self._added}

    def add(self, distributions: Mapping[str, str]) -> None:
        """Record that these are added."""
        self._added |= distributions

    def absent(self, error: TaskError, asked: Asked) -> list[str]:
        """Return the names in an error that sandboxes did not find and that are not installed here, either."""
        traceback = facts(error).traceback
        if traceback is None or _NOT_FOUND.search(traceback.message):
            return []  # it is explained already
        text = " ".join(part.message for part in _chain(traceback))
        names = {bare for _, name in asked if "." not in (bare := _bare(name)) and _mentions(text, bare)}
        return sorted(name for name in names if not self._distribution(name) and not self._distribution(f"{name}=="))

    def done_without(self, worker: WorkerReply) -> Iterator[str]:
        """Yield notes about what successful tasks did without, but would have used here."""
        if self._need.request.nothing or any(outcome.status == "error" for outcome in worker.outcomes.values()):
            return
        found: dict[str, list[str]] = {}
        for asker, name in worker.not_found:
            it, user = self._distribution(name), self._user(asker, name)
            if it and self._may_lack(name, it) and user is not None and (user, it) not in _said:
                _said.add((user, it))
                found.setdefault(user, []).append(it)
                if not user:
                    remember({it: asker})
        for user, names in found.items():
            if user:
                ship = f'--packages "{" ".join(names)}" ships what it lacks'
                yield f"tasks ran without {listed(names)}, which {user} uses here, so that results may differ: {ship}"
            else:
                yield (
                    f"tasks found no {listed(names)}, which this machine has, so that results may differ: shipped from "
                    "the next run on"
                )

    def _user(self, asker: str, name: str) -> str | None:
        """What would use it here: a distribution, empty for the user's own code, None if unknown."""
        unit = find_unit(asker)
        if asker == "__main__" or (unit is not None and unit.kind == "local"):
            return ""
        owner, top = self._distribution(asker), name.partition(".")[0]
        # A library that is loaded here uses only what is loaded, too; one that only tasks load would find it here.
        uses = top in sys.modules or asker.partition(".")[0] not in sys.modules
        here = installed(owner) if owner and owner not in _NEVER and uses else None
        wanted = self._distribution(name)
        for requirement in requires_of(here) if here else ():
            extra = _EXTRA.search(str(requirement.marker))
            if canonicalize_name(requirement.name) == wanted and extra and not _DEVELOPMENT.match(extra[1]):
                return owner
        return None

    def _may_lack(self, name: str, found: str) -> bool:
        """Whether a distribution can be added; if the package around a module was found, it is there already."""
        return found not in _NEVER and self._distribution(name.rpartition(".")[0]) != found

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
    by_library = bool(traceback.frames) and traceback.frames[-1].library
    return by_library and (traceback.type in _CONSEQUENCES or bool(_WEAK_HINT.search(text)))


def _bare(name: str) -> str:
    return name.removesuffix(DISTRIBUTION)


def _mentions(text: str, name: str) -> bool:
    pattern = r"[-_.]".join(map(re.escape, re.split(r"[-_.]", name)))
    return re.search(rf"(?<!\w){pattern}(?!\w)", text, re.I) is not None


def listed(names: Iterable[str]) -> str:
    """Join names as in a sentence."""
    first = sorted(names)
    return first[0] if len(first) == 1 else f"{', '.join(first[:-1])} and {first[-1]}"
