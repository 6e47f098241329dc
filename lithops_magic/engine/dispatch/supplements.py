"""Packages that sandboxes looked for in vain although they are installed here: modules, and plugins of a group.

They may fix a failed task; a task that did not fail may have behaved differently than it would here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from lithops_magic.engine.dispatch import missing_programs
from lithops_magic.engine.dispatch.missing_hints import is_likely, is_raised_by
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.reply import Asked, WorkerReply
from lithops_magic.errors import TaskError, facts
from lithops_magic.packages import Need, refusals
from lithops_magic.packages.distributions import NOT_SHIPPED, installed
from lithops_magic.packages.learned import remember
from lithops_magic.packages.metadata import requires_of
from lithops_magic.packages.missing_module import DISTRIBUTION, distribution_of, provider_of
from lithops_magic.packages.modules import find_unit
from lithops_magic.packages.platform import PROVIDED
from lithops_magic.packages.plugins import FEW, Plugin, group_of, plugins
from lithops_magic.packages.supply import shipped

_NEVER = NOT_SHIPPED | PROVIDED
_NOT_FOUND = re.compile("^No module named ")
_EXTRA = re.compile(r"extra == [\"']([^\"']+)")
_DEVELOPMENT = re.compile(r"^(?:all|bench|build|dev|doc|example|lint|test|typing)", re.I)
"""Extras meant for a library's own developers."""
_BY_NAME = {"fsspec.specs", "matplotlib.backend", "pandas_plotting_backends", "sqlalchemy.dialects"}
"""Groups whose plugins are used only by name, which an error then mentions."""
_said: set[tuple[str, str]] = set()
"""Which packages did without which others, as far as this notebook was told."""


@dataclass(frozen=True, slots=True)
class _Lacking:
    """A distribution that a sandbox lacks."""

    distribution: str
    asker: str
    names: tuple[str, ...]
    """How an error message may call it."""
    uses_it: bool
    """Whether this process has loaded it."""
    is_alone: bool = True
    """Whether it may be added unnamed: not one of a group's many plugins."""
    plugin: Plugin | None = None
    """If it was looked for as one."""
    is_any: bool = False
    """Whether the notebook's code looked for plugins of a group that is unknown."""


class Supplements:
    """Grows with what tasks are found to lack; each addition lets a task run once more."""

    def __init__(self, need: Need) -> None:
        self._need = need
        self._added: set[str] = set()
        self._refused: dict[str, str] = {}
        """Why what tasks asked for cannot be shipped."""
        self._ran: dict[int, int] = {}
        self._distributions: dict[str, str] = {}
        self._plugins: dict[tuple[str, str], list[Plugin]] = {}
        self._shipped: Collection[str] | None = None

    def help(self, task: Task) -> bool:
        """Whether something was added since the task last ran; if so, its rerun is recorded."""
        helps = self._ran.get(task.index, 0) < len(self._added)
        self._ran[task.index] = len(self._added)
        return helps

    @staticmethod
    def concerns(error: TaskError, asked: Asked) -> bool:
        """Whether a task failed after a search in vain, so that an addition may help it."""
        traceback = facts(error).traceback
        return bool(asked) or (traceback is not None and any(missing_programs.missing(traceback)))

    def new(self, error: TaskError, asked: Asked) -> dict[str, str]:
        """Return distributions to add, each with the package that asked for it: those named in the error, else all."""
        chosen = self._chosen(error, asked)
        return {name: asker for name, asker in chosen.items() if name not in self._added and name not in self._refused}

    def refusal(self, error: TaskError, asked: Asked) -> str:
        """Return why what a task missed cannot be shipped; empty if it can."""
        return "; ".join(
            dict.fromkeys(self._refused[name] for name in self._chosen(error, asked) if name in self._refused)
        )

    def _chosen(self, error: TaskError, asked: Asked) -> dict[str, str]:
        traceback = facts(error).traceback
        if self._need.request.nothing or traceback is None:
            return {}
        programs = missing_programs.missing(traceback)
        if found := {owner: "__main__" for path, owner in programs if self._lacks(owner, path)}:
            return found
        lacking = [one for pair in asked for one in self._lacking(*pair)]
        text = " ".join(part.message for part in traceback.chain())
        # Libraries probe for many optional packages. The one that the error mentions is the one that mattered.
        named = [one for one in lacking if any(_mentions(text, name) for name in one.names)]
        named = named or [one for one in lacking if one.is_alone and one.plugin and _mentions(text, one.plugin.group)]
        # What an error names and this machine lacks, too, explains it: nothing else helps.
        if not named and self._absent(text, asked):
            return {}
        likely = is_likely(traceback, text)
        unnamed = [one for one in lacking if one.is_alone and not one.is_any]
        chosen = named or [one for one in unnamed if likely or is_raised_by(traceback, one.asker)]
        return {one.distribution: one.asker for one in chosen}

    def _lacks(self, owner: str, program: str) -> bool:
        """Whether tasks would find a program if its distribution were added; not by a path of this machine."""
        return owner not in self._added and owner not in self._has() and not os.path.exists(program)  # noqa: PTH110

    def _has(self) -> Collection[str]:
        if self._shipped is None:
            self._shipped = shipped(self._need)
        return self._shipped

    def add(self, distributions: Iterable[str]) -> None:
        """Record that these are added."""
        self._added.update(distributions)

    def refuse(self, distributions: Iterable[str], why: str) -> None:
        """Record that these cannot be shipped: every task that misses one is told, and none is rerun for it."""
        self._refused |= dict.fromkeys(distributions, why)

    def absent(self, error: TaskError, asked: Asked) -> list[str]:
        """Return the names in an error that sandboxes did not find and that are not installed here, either."""
        traceback = facts(error).traceback
        if traceback is None or _NOT_FOUND.search(traceback.message):
            return []  # it is explained already
        return self._absent(" ".join(part.message for part in traceback.chain()), asked)

    def _absent(self, text: str, asked: Asked) -> list[str]:
        modules = (_bare(name) for _, name in asked if group_of(name) is None)
        names = {name for name in modules if "." not in name and _mentions(text, name)}
        return sorted(name for name in names if not self._distribution(name) and not self._distribution(f"{name}=="))

    def done_without(self, worker: WorkerReply) -> Iterator[str]:
        """Yield notes about what successful tasks did without, but would have used here."""
        if not worker.not_found or self._need.request.nothing:
            return
        # A task that failed is a case for `new`, and may be rerun with what it lacks.
        if any(outcome.status == "error" for outcome in worker.outcomes.values()):
            return
        found: dict[tuple[str, str], list[str]] = {}
        for one in (one for pair in worker.not_found for one in self._lacking(*pair)):
            user = self._user(one)
            if user is not None and (user, one.distribution) not in _said:
                _said.add((user, one.distribution))
                if one.distribution in refusals.anywhere():
                    way = f"{refusals.REFUSED} to Lambda"
                elif user or not one.is_alone:
                    way = '--packages "{}" ships what it lacks'
                else:
                    way = "shipped from the next run on"
                    remember({one.distribution: one.asker})
                found.setdefault((user, way), []).append(one.distribution)
        for (user, way), names in found.items():
            ship = way.format(" ".join(names))
            if user:
                yield f"tasks ran without {listed(names)}, which {user} uses here, so that results may differ: {ship}"
            else:
                yield f"tasks found no {listed(names)}, which this machine has, so that results may differ: {ship}"

    def _lacking(self, asker: str, name: str) -> Iterator[_Lacking]:
        """Yield the distributions that a search would have found here, and that can be added."""
        if (group := group_of(name)) is not None:
            yield from self._plugins_lacking(asker, group)
            return
        found = self._distribution(name)
        # If the package around a module was found, it is there already.
        if found and found not in _NEVER and distribution_of(name.rpartition(".")[0]) != found:
            uses = name.partition(".")[0] in sys.modules
            yield _Lacking(found, asker, (_bare(name), found), uses)

    def _plugins_lacking(self, asker: str, group: str) -> Iterator[_Lacking]:
        if (asker, group) not in self._plugins:
            self._plugins[asker, group] = plugins(asker, group, {unit.name for unit, _ in self._need.units})
        if not (found := self._plugins[asker, group]):
            return
        lacking = [one for one in found if one.distribution not in self._has() and one.distribution not in self._added]
        few = len({one.distribution for one in lacking}) <= FEW
        for one in lacking:
            is_any = asker == "__main__" and one.group != group
            loaded = one.module in sys.modules
            yield _Lacking(one.distribution, asker, one.names, loaded, few, one, is_any)

    def _user(self, lacking: _Lacking) -> str | None:
        """What would use it here: a distribution, empty for the user's own code, None if unknown."""
        asker, plugin = lacking.asker, lacking.plugin
        unit = find_unit(asker)
        if lacking.is_any:
            return None
        if asker == "__main__" or (unit is not None and unit.kind == "local"):
            return ""
        owner = self._distribution(asker)
        # A library that is loaded here uses only what is loaded, too; one that only tasks load would find it here.
        uses = lacking.uses_it or asker.partition(".")[0] not in sys.modules
        if not owner or owner in _NEVER or not uses:
            return None
        if plugin is not None:
            # Nobody used it by name, or the task would have failed.
            return None if plugin.group in _BY_NAME else owner
        for requirement in requires_of(here) if (here := installed(owner)) else ():
            extra = _EXTRA.search(str(requirement.marker))
            # Only what an extra for users names: a library's tests and docs need not change results.
            is_it = canonicalize_name(requirement.name) == lacking.distribution
            if is_it and extra and not _DEVELOPMENT.match(extra[1]):
                return owner
        return None

    def _distribution(self, name: str) -> str:
        if name not in self._distributions:
            self._distributions[name] = provider_of(name)
        return self._distributions[name]


def _bare(name: str) -> str:
    return name.removesuffix(DISTRIBUTION)


def _mentions(text: str, name: str) -> bool:
    pattern = r"[-_.]".join(map(re.escape, re.split(r"[-_.]", name)))
    return re.search(rf"(?<!\w){pattern}(?!\w)", text, re.I) is not None


def listed(names: Iterable[str]) -> str:
    """Join names as in a sentence."""
    first = sorted(names)
    return first[0] if len(first) == 1 else f"{', '.join(first[:-1])} and {first[-1]}"
