"""The machine's limits on open files and disk space, and one-line explanations when they are reached."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lithops_magic.local.discovery import FOLDER_VARIABLE, LocalError

OPEN_FILES = 8192
"""Maximum number of files and connections held open."""
SERVER_FILES, SANDBOX_FILES, CLIENT_FILES = 24, 7, 16
"""Open files for the server itself and for each sandbox, and the least left for clients' connections."""

NOT_WRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})


def allow_files() -> int:
    """Raise this process's open-file limit as far as its hard limit allows; return the result."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return OPEN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        return OPEN_FILES
    # Only the soft limit: raising the hard one takes privileges.
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    return max(soft, most)


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many sandboxes, invocations and connections the server allows."""

    workers: int
    concurrency: int
    connections: int


def plan_capacity(files: int, workers: int | None, concurrency: int | None) -> Capacity:
    """Return how many sandboxes and concurrent invocations to allow: as requested, else by cores and open files.

    Raises
    ------
    LocalError
        The open-file limit is too low for what was requested.
    """
    available = files - SERVER_FILES - CLIENT_FILES - (concurrency or 0)
    most = available // (SANDBOX_FILES + (concurrency is None))
    wanted = workers or max(1, min(most, max(2, os.cpu_count() or 2)))
    running = concurrency or wanted
    needed = SERVER_FILES + CLIENT_FILES + SANDBOX_FILES * wanted + running
    if needed > files:
        remedy = f" or use --workers {most}" if most > 0 else " or a lower --concurrency" if concurrency else ""
        raise LocalError(
            f"For --workers {wanted} and --concurrency {running}, the local AWS needs {needed:,} open files, but the "
            f"limit is {files:,}: raise the hard limit (ulimit -Hn){remedy}."
        )
    return Capacity(wanted, running, files - SERVER_FILES - SANDBOX_FILES * wanted)


def explain(failure: OSError) -> str:
    """Say in one line what the operating system refused, and what to do about it."""
    what = f"{failure.strerror or failure}{f' ({failure.filename})' if failure.filename else ''}"
    elsewhere = f"set {FOLDER_VARIABLE} to another folder"
    if failure.errno in TOO_MANY_FILES:
        return f"The local AWS ran out of open files: {what}. Raise the limit (ulimit -n), or use fewer --workers."
    if failure.errno in NOT_WRITABLE:
        return f"The local AWS cannot write its files: {what}. Free some space, or {elsewhere}."
    if failure.errno == errno.ENOENT and "site-packages" in str(failure.filename):
        return f'Something the local AWS needs was uninstalled: {what}. Install it: pip install "lithops-magic[local]"'
    return f"The local AWS cannot use its files: {what}. If this persists, {elsewhere}."


def why_not_writable(folder: Path) -> str:
    """Return `explain`'s line on why a folder is not writable; empty if it is."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 65_536)
    except OSError as failure:
        return explain(failure)
    return ""
