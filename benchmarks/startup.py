"""What a user waits for: importing the package, loading the magics, a first job, and the stop button.

The first job finds no local AWS, and starts one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from common import machine, parser, report, table

RUNS = 15
INTERRUPTS = 5
WANTED = {
    "`import lithops_magic`": 30,
    "`%load_ext lithops_magic`": 200,
    "first 1,000 results, no local AWS yet": 1000,
    "stop button": 200,
}
"""Milliseconds."""

IMPORT = """
import time
start = time.perf_counter()
import lithops_magic
print(time.perf_counter() - start)
"""
# When a notebook loads an extension, IPython has been imported.
LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
start = time.perf_counter()
shell.run_line_magic("load_ext", "lithops_magic")
print(time.perf_counter() - start)
"""
FIRST = """
import time
import lithops_magic
start = time.perf_counter()
assert lithops_magic.map(lambda x: x + 1, range(1000)).values()[-1] == 1000
print(time.perf_counter() - start)
"""
SLOW = "%%lambda_map x in range(100) -o r --chunksize 1 --workers 4\nimport time\ntime.sleep(0 if x < 4 else 10)\nx"


def in_fresh_processes(code: str, runs: int) -> list[float]:
    """Return the seconds that `code` prints, each time in a new interpreter."""
    command = [sys.executable, "-c", code]
    return [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(runs)]


def first_results(runs: int) -> list[float]:
    """Return the seconds from a call of `map` to its values, each time on a new local AWS, which starts for it."""
    seconds = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= {"LITHOPS_MAGIC_LOCAL_DIR": folder, "LITHOPS_MAGIC_CACHE_DIR": f"{folder}/cache"}
            try:
                seconds += in_fresh_processes(FIRST, 1)
            finally:
                command = [sys.executable, "-m", "lithops_magic.local", "stop"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                del os.environ["LITHOPS_MAGIC_LOCAL_DIR"], os.environ["LITHOPS_MAGIC_CACHE_DIR"]
    return seconds


def interrupts(runs: int) -> list[float]:
    """Return the seconds from the stop button to the cell's reply, while tasks of ten seconds are running."""
    from jupyter_client.manager import start_new_kernel

    seconds = []
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        _reply(client, client.execute("%load_ext lithops_magic\n%lambda_config --local"))
        for turn in range(runs):
            if turn:  # tasks of the previous round would delay this round's first ones
                _reply(client, client.execute("import time; time.sleep(11)"))
            request = client.execute(SLOW)
            _wait_for(client, "4/100 ·")
            pressed = time.perf_counter()
            manager.interrupt_kernel()
            _reply(client, request)
            seconds.append(time.perf_counter() - pressed)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return seconds


def _reply(client: Any, request: str) -> None:
    while client.get_shell_msg(timeout=120)["parent_header"].get("msg_id") != request:
        pass


def _wait_for(client: Any, text: str) -> None:
    while text not in client.get_iopub_msg(timeout=120)["content"].get("data", {}).get("text/plain", ""):
        pass


def main() -> None:
    arguments = parser(__doc__, "one run of each")
    arguments.add_argument("--runs", type=int, default=RUNS)
    options = arguments.parse_args()
    runs = 1 if options.short else options.runs
    in_fresh_processes(IMPORT, 1)  # writes the bytecode
    measured = {
        "`import lithops_magic`": in_fresh_processes(IMPORT, runs),
        "`%load_ext lithops_magic`": in_fresh_processes(LOAD, runs),
        "first 1,000 results, no local AWS yet": first_results(min(INTERRUPTS, runs)),
        "stop button": interrupts(min(INTERRUPTS, runs)),
    }
    rows = [
        [
            name,
            f"under {WANTED[name]} ms",
            f"{statistics.median(seconds) * 1000:.0f} ms",
            f"{max(seconds) * 1000:.0f} ms",
        ]
        for name, seconds in measured.items()
    ]
    report([table(["", "wanted", "median", "longest"], rows)], measured, machine("ipykernel"), options.json)


if __name__ == "__main__":
    main()
