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
OF_SERVER, OF_SANDBOX, OF_CLIENTS = 24, 7, 16
"""Open files for the server itself and for each sandbox, and the least left for clients' connections."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})


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
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    return max(soft, most)


@dataclass(frozen=True, slots=True)
class Share:
    """How many sandboxes, invocations and connections the server allows."""

    workers: int
    concurrency: int
    connections: int


def share(files: int, workers: int | None, concurrency: int | None) -> Share:
    """Return how many sandboxes and concurrent invocations to allow: as requested, else by cores and open files.

    Raises
    ------
    LocalError
        The open-file limit is too low for what was requested.
    """
    room = files - OF_SERVER - OF_CLIENTS - (concurrency or 0)
    most = room // (OF_SANDBOX + (concurrency is None))
    wanted = workers or max(1, min(most, max(2, os.cpu_count() or 2)))
    at_once = concurrency or wanted
    needed = OF_SERVER + OF_CLIENTS + OF_SANDBOX * wanted + at_once
    if needed > files:
        way = f" or use --workers {most}" if most > 0 else " or a lower --concurrency" if concurrency else ""
        raise LocalError(
            f"For --workers {wanted} and --concurrency {at_once}, the local AWS needs {needed:,} open files, but the "
            f"limit is {files:,}: raise the hard limit (ulimit -Hn){way}."
        )
    return Share(wanted, at_once, files - OF_SERVER - OF_SANDBOX * wanted)


def explain(failure: OSError) -> str:
    """Say in one line what the operating system refused, and what to do about it."""
    what = f"{failure.strerror or failure}{f' ({failure.filename})' if failure.filename else ''}"
    elsewhere = f"set {FOLDER_VARIABLE} to another folder"
    if failure.errno in NO_FILES:
        return f"The local AWS ran out of open files: {what}. Raise the limit (ulimit -n), or use fewer --workers."
    if failure.errno in NO_ROOM:
        return f"The local AWS cannot write its files: {what}. Free some space, or {elsewhere}."
    if failure.errno == errno.ENOENT and "site-packages" in str(failure.filename):
        return f'Something the local AWS needs was uninstalled: {what}. Install it: pip install "lithops-magic[local]"'
    return f"The local AWS cannot use its files: {what}. If this persists, {elsewhere}."


def trouble_in(folder: Path) -> str:
    """Return `explain`'s line on why a folder is not writable; empty if it is."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 65_536)
    except OSError as failure:
        return explain(failure)
    return ""
