"""When a file was last written: what tells whether something read from it is still true."""

from __future__ import annotations

import os

Moment = tuple[int, int, int]
"""Size, and times of modification and of status change in nanoseconds."""


def moment(status: os.stat_result) -> Moment:
    """Return when a file was last written.

    The status change time is part of it, because programs set the modification time as they like, and copies keep it.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
