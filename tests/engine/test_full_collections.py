"""Full garbage collections are rare while a job runs, and what they would have freed is freed afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

from virtual_lambda import Sent, VirtualLambda, ran, works

ALONE = """
import gc, time, weakref
from lithops_magic.engine.dispatch import full_collections
from lithops_magic.engine.dispatch.full_collections import rare_full_collections

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return node, weakref.ref(node)

gc.disable()  # so that only the collections below happen
now = [100.0]
full_collections.time.perf_counter = lambda: now[0]
"""


def check_alone(code: str) -> None:
    """Run it in a process in which no other job runs."""
    done = subprocess.run([sys.executable, "-c", ALONE + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_what_survives_a_full_collection_is_not_looked_at_again_before_its_time() -> None:
    check_alone("""
with rare_full_collections():
    old, old_ref = cycle()
    now[0] += 1.0
    began = now[0]
    full_collections.gc.callbacks[-1]("start", {"generation": 2})
    now[0] += 0.1  # what it takes
    full_collections.gc.callbacks[-1]("stop", {"generation": 2})
    assert gc.get_freeze_count() > 1000
    del old
    new, new_ref = cycle()
    del new
    gc.collect()
    assert old_ref() is not None, "it was looked at again"
    assert new_ref() is None, "what is new is collected as always"
    now[0] = began + 0.1 + 0.1 / full_collections.SHARE + 0.01
    gc.collect()
    assert old_ref() is None, "it was never looked at again"
""")


def test_at_the_end_all_is_as_before() -> None:
    check_alone("""
before = list(gc.callbacks)
with rare_full_collections():
    with rare_full_collections():
        gc.collect()
        old, ref = cycle()
        now[0] += 1e-6
        full_collections.gc.callbacks[-1]("stop", {"generation": 2})
        del old
    gc.collect()
    assert gc.get_freeze_count() > 1000, "the outer job still runs"
assert gc.callbacks == before
assert gc.get_freeze_count() < 1000
gc.collect()
assert ref() is None
""")


def test_what_the_user_froze_stays_frozen() -> None:
    check_alone("""
gc.freeze()
frozen = gc.get_freeze_count()
with rare_full_collections():
    gc.collect()
assert gc.get_freeze_count() >= frozen - 10 > 1000
assert not gc.callbacks
""")


def test_a_job_freezes_what_survives_and_no_longer() -> None:
    during: list[int] = []

    def behaviour(sent: Sent) -> tuple[float, dict[str, Any]]:
        gc.collect()
        during.append(gc.get_freeze_count())
        return works(sent)

    run = ran(VirtualLambda(behaviour), range(3), chunksize=1)
    assert run.values == [0, 1, 2]
    assert min(during) > 1000
