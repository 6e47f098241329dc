"""Builds the file system that a function sees, and moves `/tmp` from one process of a sandbox to the next."""

# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH120, PTH123, PTH211, SIM105

from __future__ import annotations

import os
import stat

from .kernel import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    PIVOT_ROOT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .kernel import Kernel


def build_root(kernel: Kernel, spec: dict[str, Any]) -> None:
    """Build the file system the function sees and make it the root."""
    root = spec["root"]
    # Otherwise, where `/` is shared (systemd's default), these mounts would appear on the host too.
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    # It holds only mount points, links and a few small files.
    kernel.mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for target, text in spec["files"]:
        make_parent(root + target)
        write(root + target, text)
    for source, target, writable in spec["binds"]:
        make_mount_point(source, root + target)
        kernel.bind(source, root + target, writable)
    mount_tmp(kernel, spec["tmp"], root + "/tmp", spec["tmp_size"])
    # After the binds: each hides a folder inside one of them.
    for target in spec["masks"]:
        kernel.mount("tmpfs", root + target, "tmpfs", MS_RDONLY, "size=4k")
    for target, text in spec["links"]:
        make_parent(root + target)
        os.symlink(text, root + target)
    mount_proc(kernel, root + "/proc")
    os.chdir(root)
    # With the same folder twice, the old root is stacked on the new one, where it can be detached (pivot_root(2)).
    kernel.call("syscall", PIVOT_ROOT[os.uname().machine], b".", b".")
    kernel.call("umount2", b".", MNT_DETACH)
    kernel.mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def mount_tmp(kernel: Kernel, folder: str, target: str, size: int) -> None:
    """Mount `/tmp` with what the sandbox's earlier process left in `folder`; without a size, mount `folder` itself."""
    os.mkdir(target)
    if not size:
        kernel.bind(folder, target, True)
        return
    kernel.mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=700,size={size}m")
    move(open_folder(folder), open_folder(target))


def open_folder(path: str, parent: int | None = None) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def move(source: int, target: int) -> None:
    """Move files, links and folders from one open folder to another, which may be on another file system."""
    # By open folder and name, never by path: the function may have replaced any folder by a link that leads outside.
    for name in os.listdir(source):
        try:
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                os.mkdir(name, dir_fd=target)
                move(open_folder(name, source), open_folder(name, target))
                os.rmdir(name, dir_fd=source)
            elif stat.S_ISLNK(found.st_mode):
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                os.unlink(name, dir_fd=source)
            elif stat.S_ISREG(found.st_mode):
                move_file(name, source, target, found)
        except OSError:
            # Files the function made unreadable are lost.
            continue
    os.close(source)
    os.close(target)


def move_file(name: str, source: int, target: int, found: os.stat_result) -> None:
    reader = os.open(name, os.O_RDONLY, dir_fd=source)
    writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(found.st_mode), dir_fd=target)
    while os.sendfile(writer, reader, None, 1 << 30):
        pass
    os.utime(writer, ns=(found.st_atime_ns, found.st_mtime_ns))
    os.close(reader)
    os.close(writer)
    os.unlink(name, dir_fd=source)


def mount_proc(kernel: Kernel, target: str) -> None:
    os.mkdir(target)
    try:
        kernel.mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except PermissionError:
        # A container with parts of its own /proc masked may not mount another.
        pass


def make_mount_point(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        make_parent(target)
        write(target, "")


def make_parent(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
