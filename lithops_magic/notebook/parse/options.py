"""Which options each magic has, and what a line says with them: parsing, help and completion read these lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from lithops_magic.notebook.parse import flags
from lithops_magic.notebook.parse.option import Groups, Option

Errors = Literal["raise", "keep"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the options on one magic line say; None means not given."""

    out: str | None = None
    reduce: str | None = None
    reduce_by: str | None = None
    to_s3: str | None = None
    memory: int | None = None
    timeout: int | None = None
    tmp: int | None = None
    env: tuple[tuple[str, str], ...] = ()
    packages: str | None = None
    files: tuple[str, ...] = ()
    chunksize: int | None = None
    workers: int | None = None
    retries: int | None = None
    retry_errors: bool = False
    retry_memory: float | None = None
    backups: bool = False
    errors: Errors | None = None
    locals: bool = False
    cache: float | None = None
    max_cost: float | None = None
    tune: str | None = None
    save: str | None = None
    dry_run: bool = False
    background: bool = False
    detach: bool = False
    quiet: bool = False
    local: bool = False
    profile: str | None = None
    grep: str | None = None
    follow: bool = False
    resume: bool = False
    clear: bool = False
    yes: bool = False
    help: bool = False


_OUTPUT = ("Output", (flags.LOCALS, flags.QUIET, flags.HELP))
MAP_GROUPS: Groups = (
    ("Result", (flags.OUT, flags.REDUCE, flags.REDUCE_BY, flags.TO_S3, flags.CACHE)),
    ("Function", flags.FUNCTION),
    ("Scheduling", (*flags.SHARING, flags.MAX_COST, flags.TUNE, *flags.WAYS)),
    ("Failures", (*flags.RETRYING, flags.BACKUPS, flags.ERRORS)),
    _OUTPUT,
    ("AWS", flags.WHERE),
)
CALL_GROUPS: Groups = (
    ("Result", (flags.ANSWER, flags.CACHE)),
    ("Function", flags.FUNCTION),
    ("Scheduling", (flags.MAX_COST, *flags.WAYS)),
    ("Failures", flags.RETRYING),
    _OUTPUT,
    ("AWS", flags.WHERE),
)
TUNE = (flags.SAVE, *flags.FUNCTION, flags.LOCALS, flags.MAX_COST, flags.QUIET, *flags.WHERE, flags.HELP)
MAP, CALL = (tuple(option for _, group in groups for option in group) for groups in (MAP_GROUPS, CALL_GROUPS))
ATTACH = (
    flags.OUT,
    Option(("--resume",), "run what has not finished; without it, nothing is run"),
    Option(("--background",), "return at once; results arrive while other cells run"),
    flags.QUIET,
    *flags.WHERE,
    flags.HELP,
)
MANAGE = (*flags.WHERE, flags.HELP)
CLEAN = (
    Option(("--dry-run",), "only show what would be deleted"),
    Option(("--yes",), "delete without asking"),
    *MANAGE,
)
CACHE = (
    Option(("--clear",), "delete all values, or those of CELL"),
    Option(("--yes",), "delete without asking"),
    *MANAGE,
)
LOGS = (
    Option(("--grep",), "only lines that match this regular expression", "PATTERN", str, "a pattern"),
    Option(("--follow",), "print what tasks print while they run, until the job is over"),
    flags.HELP,
)

ENGINE = (
    *("memory", "timeout", "tmp", "packages", "chunksize", "workers", "retries", "retry_errors", "retry_memory"),
    *("backups", "errors", "locals", "cache", "max_cost"),
)
"""Fields that have a session default of the same name and are handed to the engine as they are."""


def collect(read: Iterable[tuple[Option, object]]) -> Options:
    """Return what was read as `Options`; of an option given twice the last one counts, unless it adds up."""
    fields: dict[str, Any] = {}
    for option, value in read:
        fields[option.field] = (*fields.get(option.field, ()), value) if option.repeated else value
    return Options(**fields)
