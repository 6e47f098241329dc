"""Runs a function's process with Lambda's limits, in its own namespaces where possible, and kills all it spawned."""

# ruff: noqa: PTH113, PTH116, PTH123, SIM105

from __future__ import annotations

import _thread
import marshal
import os
import signal
import sys

from .file_system import build_root, move, open_folder, write
from .kernel import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Kernel,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from typing import Any, NoReturn

SANDBOX_UID, SANDBOX_GID = 993, 990
"""Lambda's sbx_user1051, as `id` shows inside a function."""
MAX_OPEN_FILES = 1024
"""Lambda quota "File descriptors"."""
MAX_PROCESSES = 1024
"""Lambda quota "Execution processes/threads"."""
MAX_LOCKED = 64 * 1024
"""Bytes that `ulimit -l` shows inside a function."""
KILLED = 137
"""128 + SIGKILL, as a shell reports it."""
WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of the shell for a command that cannot be run."""


def main() -> NoReturn:
    spec: dict[str, Any] = marshal.load(sys.stdin.buffer)
    if os.name == "nt":
        run_on_windows(spec)
    # Imported now: after the root changes, modules can no longer be found.
    import resource

    # A function that crashes must leave no core file on this machine.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kernel = Kernel() if sys.platform == "linux" else None
    if kernel and spec["root"]:
        end_as(run_in_namespaces(kernel, spec))
    end_as(run_plain(kernel, spec))


def run_in_namespaces(kernel: Kernel, spec: dict[str, Any]) -> int:
    """Run the function in new namespaces; a PID namespace dies with its first process, so nothing outlives this one."""
    import select

    # First of all: until this is set, nothing would end this process if the server were killed.
    die_with_parent(kernel, spec["server"])
    uid, gid = os.geteuid(), os.getegid()
    kernel.call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)
    # Required before an unprivileged process may write its gid_map (user_namespaces(7)).
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{SANDBOX_UID} {uid} 1")
    write("/proc/self/gid_map", f"{SANDBOX_GID} {gid} 1")
    reader, writer = os.pipe()
    # Opened now: the child shares this mount namespace, so when it changes the root, the host's paths are gone here
    # too.
    left, host = open_folder(spec["tmp"]), os.stat("/").st_dev
    # The first child is PID 1 of the new namespace, and has to reap what the function leaves behind.
    first = os.fork()
    if first == 0:
        die_with_parent(kernel, 0)
        build_root(kernel, spec)
        child = fork_function(kernel, spec)
        # By pipe: an exit status has no room for the function's, and PID 1 cannot kill itself with the same signal.
        os.write(writer, str(reap_until(child)).encode())
        os._exit(0)
    os.close(writer)
    kill_at_end_of_input(select.poll(), first)
    status = reap_until(first)
    # The root was changed, so `/tmp` is the function's: its contents outlive the process, as on Lambda.
    if spec["tmp_size"] and os.stat("/").st_dev != host:
        move(open_folder("/tmp"), left)
    told = os.read(reader, 16)
    return int(told) if told else status


def run_plain(kernel: Kernel | None, spec: dict[str, Any]) -> int:
    if kernel:
        # Orphans become children of this process, where `kill_descendants` finds them.
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
    # A process group of its own, which `kill_descendants` can kill as a whole.
    os.setsid()
    # Standard input is the server's line to the launcher: a function that read it would hide the end of input.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    limit_resources(in_namespaces=bool(spec["root"]))
    if kernel:
        die_with_parent(kernel, parent)
        # Setuid programs of this machine must not give the function privileges.
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
    # The parent may have died before the signal was requested.
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
            # Python ignores SIGPIPE and handles SIGINT itself.
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
