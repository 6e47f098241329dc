"""What one call costs the client: 10,000 submissions of a no-op to `LambdaExecutor`, and 10,000 mapped items.

Both use the same warm local AWS, in turns; CPU is that of this process with all its threads, from the first call to the
last result. The target: a submission costs at most twice as much as a mapped item. The last row is the standard
library's process pool with the same calls.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor
from statistics import median

from common import LocalAws, local_aws, machine, parser, report, table

SANDBOXES = 2
TARGET = 2.0


def noop(item: int = 0) -> None:
    """Do nothing, remotely."""


def mapped(aws: LocalAws, calls: int) -> tuple[float, int]:
    """Run a job; return its CPU seconds and its number of invocations."""
    from lithops_magic.engine import MapOptions, start

    began = time.process_time()
    result = start(noop, range(calls), options=MapOptions(packages="none"), settings=aws.settings)
    result.wait()
    result.raise_errors()
    return time.process_time() - began, result.snapshot().invocations


def submitted(executor: Executor, calls: int) -> float:
    """Make calls one by one; return the CPU seconds."""
    executor.submit(noop).result()
    began = time.process_time()
    for future in [executor.submit(noop) for _ in range(calls)]:
        future.result()
    return time.process_time() - began


def main() -> None:
    options = parser(__doc__, "2,000 calls, once").parse_args()
    calls, repeats = (2_000, 1) if options.short else (10_000, 7)
    with local_aws(SANDBOXES) as aws:
        maps, submits, invocations = _measured(aws, calls, repeats)
    with ProcessPoolExecutor(SANDBOXES) as pool:
        pools = [submitted(pool, calls) for _ in range(repeats)]
    item, ours, theirs = (median(times) / calls * 1e6 for times in (maps, submits, pools))
    runs = {"mapped_us": item, "submitted_us": ours, "process_pool_us": theirs, "ratio": ours / item}
    rows = [
        ["`lithops_magic.map`", f"{item:.1f} µs", "1.00", f"{invocations[0]:,}"],
        ["`LambdaExecutor.submit`", f"{ours:.1f} µs", f"{ours / item:.2f}", f"{invocations[1]:,}"],
        ["`ProcessPoolExecutor.submit`", f"{theirs:.1f} µs", f"{theirs / item:.2f}", ""],
    ]
    head = [f"{calls:,} no-ops", "CPU each", f"by a mapped item (target {TARGET:g})", "invocations"]
    report([table(head, rows)], runs, machine(), options.json)


def _measured(aws: LocalAws, calls: int, repeats: int) -> tuple[list[float], list[float], tuple[int, int]]:
    from lithops_magic.executor import LambdaExecutor

    mapped(aws, calls)  # deploys
    maps, submits = [], []
    invocations = (0, 0)
    for _ in range(repeats):
        seconds, by_map = mapped(aws, calls)
        maps.append(seconds)
        counts: dict[str, int] = Counter()
        with aws.counting(counts), LambdaExecutor(packages="none", settings=aws.settings) as executor:
            submits.append(submitted(executor, calls))
        invocations = by_map, counts["lambda:Invoke"]
    return maps, submits, invocations


if __name__ == "__main__":
    sys.exit(main())
