"""CPU in proportion to memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.local.sandbox.cpu_share import PERIOD, CpuShare, niceness, quota
from waiting import eventually

ECHO = "def handler(event, context): return event"


@pytest.mark.parametrize(("memory", "cores"), [(128, 0.072), (442, 0.25), (1769, 1.0), (3538, 2.0), (10240, 5.788)])
def test_quota_is_lambda_s(memory: int, cores: float) -> None:
    assert quota(memory) / PERIOD == pytest.approx(cores, rel=0.01)


def test_niceness_orders_sandboxes_by_memory() -> None:
    levels = [niceness(memory) for memory in (128, 256, 512, 1024, 1769, 10240)]
    assert levels == sorted(levels, reverse=True)
    assert (levels[0], levels[-2:]) == (12, [0, 0])


def test_a_sandbox_is_in_a_group_with_its_quota(bench: Any) -> None:
    probe = CpuShare()
    exact = probe.is_exact
    probe.close()
    if not exact:
        pytest.skip("no control groups for this user")

    def groups() -> list[Path]:
        roots = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")]
        return [group for root in roots for group in root.glob(f"lithops-magic-{os.getpid()}/*/")]

    async def scenario() -> list[tuple[str, int]]:
        async with bench.running(cpu_share=True) as runtime:
            assert (await bench.invoke(runtime, bench.version(ECHO, memory=442), 7))[0] == 7
            return [(_quota(group), len((group / "cgroup.procs").read_text().split())) for group in groups()]

    # The launcher, the first process of its namespace and the function's, which began after the quota was set.
    ((found, processes),) = asyncio.run(scenario())
    assert found == str(quota(442))
    assert processes >= 2
    assert groups() == []


def _quota(group: Path) -> str:
    old = group / "cpu.cfs_quota_us"
    return (old.read_text() if old.exists() else (group / "cpu.max").read_text()).split()[0]


def test_without_control_groups_it_is_niceness(tmp_path: Path) -> None:
    if not hasattr(os, "getpriority"):
        pytest.skip("this system has no niceness")
    share = CpuShare(roots=(tmp_path / "absent",))
    assert not share.is_exact
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        share.give(child.pid, 128)
        assert eventually(lambda: os.getpriority(os.PRIO_PROCESS, child.pid) >= 12)
    finally:
        child.communicate(b"")
        share.release(child.pid)
        share.close()
