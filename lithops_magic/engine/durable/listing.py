"""Lists the jobs that have a folder on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from lithops_magic.engine.durable.folder import JobFolder, State
from lithops_magic.errors import UnreadableJob


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job that this machine knows, as `jobs` lists it."""

    id: str
    label: str
    started: datetime
    total: int | None
    """None as long as the items come from an iterator that is not exhausted."""
    done: int
    failed: int
    state: Literal["running", "detached", "interrupted", "finished", "cancelled", "broken", "unreadable"]
    """``running``: by a process of this machine; ``detached``: without one, as far as known; ``interrupted``: its
    process ended first; ``unreadable``: `label` says why."""
    about: str = ""
    """Where it was started, and how its code begins."""
    cost: float = 0.0
    """USD at list price so far."""
    local: bool = False
    """Whether it ran on the local AWS."""


def jobs() -> list[JobRecord]:
    """Return the jobs that this machine knows, the latest first.

    A job is listed for seven days, starting from its third second or, if it is detached, from its start.
    """
    return [_listed(folder) for folder in JobFolder.all()]


def _listed(folder: JobFolder) -> JobRecord:
    try:
        return _record(folder, folder.manifest(), folder.state())
    except UnreadableJob as error:
        problem = str(error)
    except (LookupError, TypeError, ValueError, OverflowError, OSError) as error:
        problem = f"Job {folder.path.name} cannot be read: {type(error).__name__}: {error}"
    return JobRecord(folder.path.name, problem, datetime.fromtimestamp(folder.changed, UTC), None, 0, 0, "unreadable")


def _record(folder: JobFolder, manifest: Mapping[str, Any], state: State) -> JobRecord:
    open_ended = state.state in ("running", "preparing")
    if open_ended:
        name = "running" if folder.locked else "detached" if manifest["detached"] else "interrupted"
    else:
        name = state.state
    started = datetime.fromtimestamp(manifest["created"], UTC)
    return JobRecord(
        id=manifest["id"],
        label=manifest["label"],
        started=started,
        total=state.total,
        done=state.done,
        failed=state.failed,
        state=name,  # type: ignore[arg-type]
        about=manifest.get("about", ""),
        cost=state.cost,
        local=bool(manifest["recipe"]["settings"].get("local")),
    )
