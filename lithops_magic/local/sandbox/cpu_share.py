"""CPU in proportion to memory, as on Lambda: a kernel quota where one can be set, else niceness."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

MEMORY_OF_ONE_CPU = 1769
"""MB (developer guide, "Memory and computing power")."""
PERIOD = 20_000
"""Microseconds over which the quota holds; short, so that bursts are short too."""
MIN_QUOTA = 1000
"""Microseconds; the kernel's minimum."""
NICE_STEP = 1.25
"""Factor in CPU per level of niceness."""
ROOTS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
"""Mount points of control groups, versions 1 and 2."""


class CpuShare:
    """Gives each sandbox's processes their share of CPU; used only from the event loop's thread."""

    def __init__(self, roots: tuple[Path, ...] = ROOTS) -> None:
        groups = (_make(root / f"lithops-magic-{os.getpid()}") for root in roots)
        self._group = next(filter(None, groups), None) if sys.platform == "linux" else None

    @property
    def is_exact(self) -> bool:
        """Whether the kernel enforces a quota; niceness only matters when CPU is scarce."""
        return self._group is not None

    def give(self, pid: int, memory: int) -> None:
        """Limit a process that has no children yet, and its future children."""
        if self._group is None:
            if hasattr(os, "setpriority"):
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, pid, niceness(memory))
            return
        group = self._group / str(pid)
        group.mkdir()
        _limit(group, quota(memory))
        (group / "cgroup.procs").write_text(str(pid))

    def release(self, pid: int) -> None:
        """Clean up after a process that has exited."""
        if self._group is not None:
            with suppress(OSError):
                (self._group / str(pid)).rmdir()

    def close(self) -> None:
        if self._group is not None:
            for group in (*self._group.glob("*/"), self._group):
                with suppress(OSError):
                    group.rmdir()


def quota(memory: int) -> int:
    """Return the microseconds of CPU per period."""
    return max(MIN_QUOTA, PERIOD * memory // MEMORY_OF_ONE_CPU)


def niceness(memory: int) -> int:
    """Return the niceness at which a process gets its share when competing for CPU."""
    return min(19, max(0, round(math.log(MEMORY_OF_ONE_CPU / memory, NICE_STEP))))


def _make(group: Path) -> Path | None:
    """Create the control group for all sandboxes, or return None where this user or system does not allow it."""
    if not (group.parent / "cgroup.procs").exists():
        return None
    try:
        group.mkdir()
        if (group / "cgroup.subtree_control").exists():
            # In version 2, a controller has to be enabled at each level.
            for each in (group.parent, group):
                (each / "cgroup.subtree_control").write_text("+cpu")
        probe = group / "probe"
        probe.mkdir()
        try:
            _limit(probe, PERIOD)
        finally:
            probe.rmdir()
    except OSError:
        with suppress(OSError):
            group.rmdir()
        return None
    return group


def _limit(group: Path, microseconds: int) -> None:
    if (group / "cgroup.subtree_control").exists():
        (group / "cpu.max").write_text(f"{microseconds} {PERIOD}")
    else:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD))
        (group / "cpu.cfs_quota_us").write_text(str(microseconds))
