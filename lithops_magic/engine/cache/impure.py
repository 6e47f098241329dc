"""What code visibly depends on besides its arguments: randomness, time, environment, files and network."""

from __future__ import annotations

import dis
from collections.abc import Iterable
from types import CodeType

from lithops_magic import packages
from lithops_magic.engine.cache.meaning import Meaning

_SEEDED = frozenset({"seed", "default_rng", "Random", "RandomState", "SeedSequence", "manual_seed", "PRNGKey"})
"""Calls that create or seed a generator: what it draws is then the same in every run."""
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

UNSEEN = "the code uses {}: cached values are what that gave when they were computed"
"""What the user is told about each dependency."""


def visibly_impure(met: Meaning, *, sends_files: bool) -> list[str]:
    """Return what code depends on, in words.

    Parameters
    ----------
    met
        Everything the code reaches, including modules.
    sends_files
        Whether files are sent along, whose contents are part of the key: files that the code reads may be these.
    """
    codes = list(_all(met.codes))
    modules = {name.partition(".")[0] for name in met.modules | packages.imports_of_code(met.codes)}
    taken = met.named | {name for code in codes for name in _taken(code)}
    names = taken | {name for code in codes for name in code.co_names}
    # Names and not flow: a warning may be wrong, but nothing is refused because of it.
    drawn = modules & {"random", "secrets", "uuid"} or ("random" in names and modules & {"numpy", "torch", "jax"})
    found = {
        "random numbers": bool(drawn) and not names & _SEEDED,
        "the time": bool(("time" in modules and taken & _CLOCKS) or names & _NOW),
        "the environment": bool(names & _ENVIRONMENT and modules & {"os", "socket", "platform", "multiprocessing"}),
        "files or the network": bool((names & _READERS and not sends_files) or modules & _REMOTE),
    }
    return [what for what, seen in found.items() if seen]


def _taken(code: CodeType) -> Iterable[str]:
    """Yield the names that code takes from an object or module, which may itself have the name of a module."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
            yield instruction.argval


def _all(codes: Iterable[CodeType]) -> Iterable[CodeType]:
    for code in codes:
        yield code
        yield from _all([part for part in code.co_consts if isinstance(part, CodeType)])
