"""Starts one isolated sandbox process and kills everything it spawned; run by path, outside the package.

Protocol: one marshalled specification on standard input, which then stays open as long as the sandbox is to live.
Only the cheapest modules of the standard library are imported, because this is part of every cold start. It is a
single file because an isolated interpreter without `site` finds no modules next to it, and everything has to be
imported before the root changes.
"""

# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH113, PTH116, PTH120, PTH123, PTH211, SIM105

from __future__ import annotations

import _thread
import marshal
import os
import signal
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x08000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE, MS_RELATIME = 1024, 2048, 4096, 16384, 1 << 18, 1 << 21
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
"""Number of the system call, which glibc does not wrap."""
SANDBOX_UID, SANDBOX_GID = 993, 990
"""Lambda's sbx_user1051, as `id` shows inside a function."""
MAX_OPEN_FILES = 1024
"""Lambda quota "File descriptors"."""
MAX_PROCESSES = 1024
"""Lambda quota "Execution processes/threads"."""
MAX_LOCKED = 64 * 1024
"""Bytes that `ulimit -l` shows inside a function."""
KILLED = 137
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of the shell for a command that cannot be run."""


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
        flags = MS_REMOUNT | MS_BIND | MS_NOSUID | (0 if writable else MS_RDONLY) | inherited_flags(target)
        self.mount("none", target, None, flags)


def inherited_flags(path: str) -> int:
    """Return the host's mount flags, which a user namespace may not clear."""
    # The kernel's ST_* and MS_* bits are equal except for relatime.
    present = os.statvfs(path).f_flag
    kept = present & (MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RDONLY)
    return kept | (MS_RELATIME if present & 4096 else 0)


def main() -> NoReturn:
    spec: dict[str, Any] = marshal.load(sys.stdin.buffer)
    if os.name == "nt":
        run_on_windows(spec)
    # Imported now: after the root changes, modules can no longer be found.
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kernel = Kernel() if sys.platform == "linux" else None
    if kernel and spec["root"]:
        end_as(run_in_namespaces(kernel, spec))
    end_as(run_plain(kernel, spec))


def run_in_namespaces(kernel: Kernel, spec: dict[str, Any]) -> int:
    """Run the function in new namespaces; a PID namespace dies with its first process, so nothing outlives this one."""
    import select

    die_with_parent(kernel, spec["server"])
    uid, gid = os.geteuid(), os.getegid()
    kernel.call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{SANDBOX_UID} {uid} 1")
    write("/proc/self/gid_map", f"{SANDBOX_GID} {gid} 1")
    reader, writer = os.pipe()
    kept, host = open_folder(spec["tmp"]), os.stat("/").st_dev
    first = os.fork()
    if first == 0:
        die_with_parent(kernel, 0)
        build_root(kernel, spec)
        child = fork_function(kernel, spec)
        os.write(writer, str(reap_until(child)).encode())
        os._exit(0)
    os.close(writer)
    kill_at_end_of_input(select.poll(), first)
    status = reap_until(first)
    if spec["tmp_size"] and os.stat("/").st_dev != host:
        move(open_folder("/tmp"), kept)
    told = os.read(reader, 16)
    return int(told) if told else status


def run_plain(kernel: Kernel | None, spec: dict[str, Any]) -> int:
    if kernel:
        kernel.call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = fork_function(kernel, spec)
    _thread.start_new_thread(on_end_of_input, (lambda: kill_descendants(child),))
    status = reap_until(child)
    kill_descendants(child)
    return status


def run_on_windows(spec: dict[str, Any]) -> NoReturn:
    import subprocess

    child = subprocess.Popen(spec["argv"], env=spec["environment"], cwd=spec["directory"])
    kill = ["taskkill", "/T", "/F", "/PID", str(child.pid)]
    _thread.start_new_thread(on_end_of_input, (lambda: subprocess.run(kill, capture_output=True, check=False),))
    os._exit(child.wait())


def fork_function(kernel: Kernel | None, spec: dict[str, Any]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        become_function(kernel, spec, parent)
    return child


def become_function(kernel: Kernel | None, spec: dict[str, Any], parent: int) -> NoReturn:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    limit_resources(in_namespaces=bool(spec["root"]))
    if kernel:
        die_with_parent(kernel, parent)
        kernel.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.chdir(spec["directory"])
    # Executing as a user other than 0 drops the capabilities gained with the new namespaces.
    wrapper = spec["environment"].get(WRAPPER)
    command = [wrapper, *spec["argv"]] if wrapper else spec["argv"]
    try:
        os.execve(command[0], command, spec["environment"])
    except OSError:
        missing = not os.path.isfile(command[0])
        os.write(1, f"{command[0]}: {'does not exist' if missing else 'is not an executable'}\n".encode())
        os._exit(NOT_FOUND if missing else NOT_EXECUTABLE)


def limit_resources(*, in_namespaces: bool) -> None:
    import resource

    limits = [(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)]
    # Before Linux 5.14, and without namespaces, this limit counts all processes of the user.
    if in_namespaces and kernel_version() >= (5, 14):
        limits.append((resource.RLIMIT_NPROC, MAX_PROCESSES))
    if hasattr(resource, "RLIMIT_MEMLOCK"):
        limits.append((resource.RLIMIT_MEMLOCK, MAX_LOCKED))
    for kind, wanted in limits:
        most = resource.getrlimit(kind)[1]
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (value, value))


def kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor)))


def die_with_parent(kernel: Kernel, parent: int) -> None:
    kernel.call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(KILLED)


def on_end_of_input(kill: Callable[[], object]) -> NoReturn:
    """Kill everything when the server closes its end of the pipe, or dies."""
    while os.read(0, 1):
        pass
    kill()
    os._exit(KILLED)


def kill_at_end_of_input(poll: select.poll, child: int) -> None:
    """Wait for the child to exit or the input to close; without a thread, which a new PID namespace forbids."""
    poll.register(0)
    poll.register(os.pidfd_open(child))
    if any(descriptor == 0 for descriptor, _ in poll.poll()):
        os.kill(child, signal.SIGKILL)


def reap_until(child: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def kill_descendants(child: int) -> None:
    """Kill the function's session and, where `/proc` exists, processes that left it."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while pids := children_of(os.getpid()):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                # The other thread has already reaped it.
                continue


def children_of(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def end_as(status: int) -> NoReturn:
    """Exit the way the function's process did, so that the server sees its exit status or signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def build_root(kernel: Kernel, spec: dict[str, Any]) -> None:
    """Build the file system the function sees and make it the root."""
    root = spec["root"]
    kernel.mount("none", "/", None, MS_REC | MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for target, text in spec["files"]:
        make_parent(root + target)
        write(root + target, text)
    for source, target, writable in spec["binds"]:
        make_mount_point(source, root + target)
        kernel.bind(source, root + target, writable)
    mount_tmp(kernel, spec["tmp"], root + "/tmp", spec["tmp_size"])
    for target in spec["masks"]:
        kernel.mount("tmpfs", root + target, "tmpfs", MS_RDONLY, "size=4k")
    for target, text in spec["links"]:
        make_parent(root + target)
        os.symlink(text, root + target)
    mount_proc(kernel, root + "/proc")
    os.chdir(root)
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


if __name__ == "__main__":
    main()
