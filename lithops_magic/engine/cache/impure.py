"""What code visibly depends on beside its arguments: chance, the time, the environment, files and the network."""

from __future__ import annotations

import dis
from collections.abc import Iterable, Set
from types import CodeType

from lithops_magic import packages

_SEEDED = frozenset({"seed", "default_rng", "Random", "RandomState", "SeedSequence", "manual_seed", "PRNGKey"})
"""Names by which code makes a generator of its own, or sets one: what it draws then is the same in every run."""
_CLOCKS = frozenset(
    {"time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "localtime"}
    | {"gmtime", "ctime", "asctime", "strftime"}
)
_NOW = frozenset({"now", "today", "utcnow"})
_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getcwd", "gethostname", "cpu_count", "getpid", "uname"})
_READERS = frozenset(
    {"open", "urlopen", "urlretrieve", "read_text", "read_bytes", "read_csv", "read_table", "read_parquet", "read_json"}
    | {"read_excel", "read_pickle", "read_feather", "read_hdf", "read_sql", "read_html", "loadtxt", "genfromtxt"}
    | {"fromfile", "memmap", "imread", "scan_csv", "scan_parquet", "open_dataset", "listdir", "scandir", "iterdir"}
    | {"glob", "rglob", "download_file", "download_fileobj", "get_object", "check_output"}
)
_REMOTE = frozenset({"aiohttp", "boto3", "ftplib", "httpx", "requests", "s3fs", "socket", "sqlite3", "subprocess"})

UNSEEN = "the code uses {}: values from the cache are what that gave when they were computed"
"""What the user is told of that."""


def visibly_impure(codes: Iterable[CodeType], reached: Set[str], named: Set[str]) -> list[str]:
    """Return what code depends on, in words.

    Parameters
    ----------
    codes
        All of it.
    reached
        Modules that it reaches through its globals.
    named
        Names of what it takes from them.
    """
    codes = list(codes)
    modules = {name.partition(".")[0] for name in reached | packages.imports_of_code(codes)}
    taken = named | {name for code in _all(codes) for name in _taken(code)}
    names = taken | {name for code in _all(codes) for name in code.co_names}
    drawn = modules & {"random", "secrets", "uuid"} or ("random" in names and modules & {"numpy", "torch", "jax"})
    found = {
        "random numbers": bool(drawn) and not names & _SEEDED,
        "the time": bool(("time" in modules and taken & _CLOCKS) or names & _NOW),
        "the environment": bool(names & _ENVIRONMENT and modules & {"os", "socket", "platform", "multiprocessing"}),
        "files or the network": bool(names & _READERS or modules & _REMOTE),
    }
    return [what for what, seen in found.items() if seen]


def _taken(code: CodeType) -> Iterable[str]:
    """Yield what code takes from an object or a module; the module itself may be called like it."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
            yield instruction.argval


def _all(codes: Iterable[CodeType]) -> Iterable[CodeType]:
    for code in codes:
        yield code
        yield from _all([part for part in code.co_consts if isinstance(part, CodeType)])
