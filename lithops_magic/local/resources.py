"""What the machine gives the server: open files and room on the disk; what is missing is one line for the user."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lithops_magic.local.discovery import FOLDER_VARIABLE, LocalError

OPEN_FILES = 8192
"""Files and connections that are held at most."""
OF_SERVER, OF_SANDBOX, OF_CLIENTS = 24, 7, 16
"""Open files that the server itself and each sandbox take, and what is left at least to clients' connections."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})


def allow_files() -> int:
    """Let this process hold what many sandboxes and clients take; return how much that is by its hard limit."""
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
    """How much of everything there is."""

    workers: int
    concurrency: int
    connections: int


def share(files: int, workers: int | None, concurrency: int | None) -> Share:
    """Return how many sandboxes and simultaneous invocations there are: as wished, else as cores and open files allow.

    Raises
    ------
    LocalError
        That many open files are not allowed.
    """
    room = files - OF_SERVER - OF_CLIENTS - (concurrency or 0)
    most = room // (OF_SANDBOX + (concurrency is None))
    wanted = workers or max(1, min(most, max(2, os.cpu_count() or 2)))
    at_once = concurrency or wanted
    needed = OF_SERVER + OF_CLIENTS + OF_SANDBOX * wanted + at_once
    if needed > files:
        way = f" or use --workers {most}" if most > 0 else " or less --concurrency" if concurrency else ""
        raise LocalError(
            f"For --workers {wanted} and --concurrency {at_once}, the local AWS needs {needed:,} open files, and it "
            f"may have {files:,}: raise the hard limit (ulimit -Hn){way}."
        )
    return Share(wanted, at_once, files - OF_SERVER - OF_SANDBOX * wanted)


def explain(failure: OSError) -> str:
    """Say in one line what the operating system refused, and what to do."""
    what = f"{failure.strerror or failure}{f' ({failure.filename})' if failure.filename else ''}"
    if failure.errno in NO_FILES:
        return f"The local AWS ran out of open files: {what}. Raise the limit (ulimit -n), or use fewer --workers."
    if failure.errno in NO_ROOM:
        return f"The local AWS cannot write its files: {what}. Make room, or set {FOLDER_VARIABLE} to another folder."
    return f"The local AWS cannot use its files: {what}. Set {FOLDER_VARIABLE} to another folder if that does not help."


def trouble_in(folder: Path) -> str:
    """Return why nothing can be written to a folder, as `explain` has it; empty if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 65_536)
    except OSError as failure:
        return explain(failure)
    return ""
