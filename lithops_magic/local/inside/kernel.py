"""Linux's system calls that Python's `os` lacks, and their constants."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 1024, 2048, 4096, 16384, 1 << 18, 1 << 21
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
"""Number of the system call, which glibc does not wrap."""


class Kernel:
    """The few system calls that Python's `os` lacks."""

    def __init__(self) -> None:
        import ctypes

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._errno: Callable[[], int] = ctypes.get_errno

    def call(self, name: str, *arguments: int | bytes | None) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            code = self._errno()
            raise OSError(code, f"{name}{arguments}: {os.strerror(code)}")

    def mount(self, source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
        self.call("mount", source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode())

    def bind(self, source: str, target: str, writable: bool) -> None:
        self.mount(source, target, None, MS_BIND | MS_REC)
        # Creating a bind mount ignores all other flags: only a remount applies them (mount(2)).
        flags = MS_REMOUNT | MS_BIND | MS_NOSUID | (0 if writable else MS_RDONLY) | inherited_flags(target)
        self.mount("none", target, None, flags)


def inherited_flags(path: str) -> int:
    """Return the host's mount flags, which a user namespace may not clear."""
    # The kernel's ST_* and MS_* bits are equal except for relatime.
    present = os.statvfs(path).f_flag
    locked = present & (MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RDONLY)
    return locked | (MS_RELATIME if present & 4096 else 0)
