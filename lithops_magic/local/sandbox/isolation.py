"""What one function sees of the machine: the sandbox's file system and the variables that name its folders."""

from __future__ import annotations

import marshal
import os
import platform
import shutil
import site
import subprocess
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import psutil

from lithops_magic.local import inside
from lithops_magic.local.inside.kernel import PIVOT_ROOT
from lithops_magic.local.sandbox import runtime_dir
from lithops_magic.local.sandbox.pip_settings import pip_conf

Choice = Literal["auto", "namespaces", "none"]
BASE_PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
"""The interpreter behind a virtual environment; it does not see the environment's packages."""
BASE_PREFIX = os.path.realpath(sys.base_prefix)
LAUNCHER = Path(inside.__file__).with_name("launcher.py")
LANG_DIR = "/var/lang"
"""Where Lambda has its interpreter; also hides where the host has its own."""
TASK_DIR, RUNTIME_DIR, OPT_DIR = "/var/task", "/var/runtime", "/opt"
SYSTEM_DIRS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_FILES = (
    *("alternatives", "ca-certificates", "hosts", "ld.so.cache", "nsswitch.conf", "os-release", "pki", "protocols"),
    *("resolv.conf", "services", "ssl"),
)
"""What name resolution, TLS, the dynamic loader and links of Debian's alternatives need of `/etc`."""
TMP_SHARE = 4
"""Fraction of this machine's memory that one function's `/tmp` may take; a larger one is on disk, without a limit."""
PROBE_SECONDS = 30.0
"""Seconds a busy machine may take to start a sandbox; after that, sandboxes have no namespaces."""
STREAMS = ("stdin", "stdout", "stderr")
DEVICES = ("null", "zero", "full", "random", "urandom")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nsbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n"
GROUP = "root:x:0:\nsbx_user1051:x:990:\n"


@dataclass(frozen=True, slots=True)
class View:
    """The folders of one sandbox on the host."""

    home: Path
    """The sandbox's own folder."""
    code: Path
    opt: Path
    mounts: tuple[tuple[str, Path], ...]
    tmp_size: int = 512
    """MB."""

    @property
    def tmp(self) -> Path:
        return self.home / "tmp"

    @property
    def root(self) -> Path:
        return self.home / "root"


class Isolation:
    """Builds the launcher's specification for a sandbox.

    Parameters
    ----------
    runtime
        Folder with what Lambda keeps in `/var/runtime`.
    choice
        `auto` uses namespaces where this machine lets an ordinary user create them.
    """

    def __init__(self, runtime: Path, scratch: Path, choice: Choice) -> None:
        self._runtime, self._present = runtime, runtime_dir.repair(runtime)
        self._probe: subprocess.Popen[bytes] | None = None
        if choice != "none" and sys.platform == "linux" and platform.machine() in PIVOT_ROOT:
            self._packages = runtime_dir.site_packages(runtime.parent / "site-packages")
            self._machine = machine(runtime, self._packages)
            # A size limit needs tmpfs, which lives in memory.
            self._largest_tmp = psutil.virtual_memory().total // TMP_SHARE >> 20
            self._probed = View(scratch / "probe", scratch, scratch, ())
            self._probe = self._begin_probe()
        if choice == "namespaces" and not self.namespaces:
            raise RuntimeError("This machine does not let this user create namespaces: use --isolation auto or none.")

    @cached_property
    def namespaces(self) -> bool:
        """Whether sandboxes have namespaces of their own; the first access waits for the probe."""
        if self._probe is None:
            return False
        assert self._probe.stdin is not None
        try:
            with self._probe, self._probe.stdin:
                return self._probe.wait(timeout=PROBE_SECONDS) == 0
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            shutil.rmtree(self._probed.home, ignore_errors=True)

    @property
    def supervisors(self) -> int:
        """Generations of processes below the launcher that do not belong to the function."""
        return 1 if self.namespaces else 0

    @property
    def note(self) -> str:
        """One line for the user when functions see more of this machine than on Lambda, else empty."""
        if self.namespaces:
            return ""
        return (
            "Functions run without namespaces here: they can read the same files as you, "
            "and find /tmp at $TMPDIR, layers at $LAMBDA_OPT_DIR, and /mnt/NAME at $LAMBDA_MOUNT_NAME."
        )

    def specification(self, view: View, environment: dict[str, str]) -> bytes:
        """Return what the launcher reads to start the function's process."""
        # At each start, because an installer may have moved packages since the last one.
        present = runtime_dir.repair(self._runtime)
        if self.namespaces and present != self._present:
            self._present, self._machine = present, machine(self._runtime, self._packages)
        if self.namespaces:
            # Without `site`, this machine's packages are invisible, so that what is missing on Lambda is missing here
            # too.
            command = ["-S", "-s", f"{RUNTIME_DIR}/bootstrap.py", environment["_HANDLER"]]
            return marshal.dumps(self._namespaced(view, environment, command))
        command = [BASE_PYTHON, "-S", "-s", f"{self._runtime}/bootstrap.py", environment["_HANDLER"]]
        plain = {"root": "", "environment": environment, "directory": str(view.code), "argv": command}
        return marshal.dumps(plain)

    def paths(self, view: View) -> dict[str, str]:
        """Return the environment variables that name folders."""
        if self.namespaces:
            return {
                "LAMBDA_TASK_ROOT": TASK_DIR,
                "LAMBDA_RUNTIME_DIR": RUNTIME_DIR,
                "PATH": f"{LANG_DIR}/bin:/usr/local/bin:/usr/bin/:/bin:{OPT_DIR}/bin",
                "LD_LIBRARY_PATH": (
                    f"{LANG_DIR}/lib:/lib64:/usr/lib64:{RUNTIME_DIR}:{RUNTIME_DIR}/lib:"
                    f"{TASK_DIR}:{TASK_DIR}/lib:{OPT_DIR}/lib"
                ),
                "PWD": TASK_DIR,
            }
        code, opt = str(view.code), str(view.opt)
        found = {
            "LAMBDA_TASK_ROOT": code,
            "LAMBDA_RUNTIME_DIR": str(self._runtime),
            "LAMBDA_OPT_DIR": opt,
            "PATH": os.pathsep.join((os.defpath, f"{opt}/bin")),
            "LD_LIBRARY_PATH": os.pathsep.join((code, f"{code}/lib", f"{opt}/lib")),
            "PWD": code,
        }
        found |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(view.tmp))
        for target, source in view.mounts:
            found["LAMBDA_MOUNT_" + Path(target).name.upper().replace("-", "_").replace(".", "_")] = str(source)
        # Windows cannot open a socket without this variable.
        return found | {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}

    def _namespaced(self, view: View, environment: dict[str, str], command: list[str]) -> dict[str, Any]:
        binds = [
            *self._machine["binds"],
            (str(view.code), TASK_DIR, False),
            (str(view.opt), OPT_DIR, False),
            *((str(source), target, True) for target, source in view.mounts),
        ]
        python = f"{LANG_DIR}/{Path(BASE_PYTHON).relative_to(BASE_PREFIX)}"
        own = {"server": os.getpid(), "root": str(view.root), "binds": binds, "directory": TASK_DIR}
        tmp = {"tmp": str(view.tmp), "tmp_size": view.tmp_size if view.tmp_size <= self._largest_tmp else 0}
        return {**self._machine, **own, **tmp, "environment": environment, "argv": [python, *command]}

    def _begin_probe(self) -> subprocess.Popen[bytes] | None:
        """Start one for real: distributions forbid namespaces in too many ways to check for each."""
        self._probed.tmp.mkdir(parents=True)
        self._probed.root.mkdir()
        spec = self._namespaced(self._probed, {"LD_LIBRARY_PATH": f"{LANG_DIR}/lib"}, ["-S", "-c", "pass"])
        quiet = subprocess.DEVNULL
        try:
            probe = subprocess.Popen(launcher_command(), stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, bufsize=0)
            assert probe.stdin is not None
            with suppress(BrokenPipeError):
                probe.stdin.write(marshal.dumps(spec))
        except (OSError, ValueError):
            return None
        return probe


def machine(runtime: Path, packages: Path) -> dict[str, Any]:
    """Return what all sandboxes see of this machine: its system, this interpreter and Lambda's runtime, read-only.

    The interpreter's own package folder shows what is in `packages`.
    """
    binds: list[tuple[str, str, bool]] = [(BASE_PREFIX, LANG_DIR, False)]
    links = [("/dev/fd", "/proc/self/fd")]
    links += [(f"/dev/{name}", f"/proc/self/fd/{number}") for number, name in enumerate(STREAMS)]
    for system in map(Path, SYSTEM_DIRS):
        # As on systems where /bin is a link to /usr/bin.
        if system.is_symlink():
            links.append((str(system), str(system.readlink())))
        elif system.is_dir():
            binds.append((str(system), str(system), False))
    etc = [Path("/etc", name) for name in SYSTEM_FILES]
    # Resolved here, because what a link points at may not exist inside.
    binds += [(os.path.realpath(path), str(path), False) for path in etc if path.exists()]
    binds += [(f"/dev/{name}", f"/dev/{name}", True) for name in DEVICES]
    packaged = [path for path in sorted(runtime.iterdir()) if path.exists()]
    binds += [(os.path.realpath(path), f"{RUNTIME_DIR}/{path.name}", False) for path in packaged]
    masks = host_packages("/usr", "/usr")
    binds += [(str(packages), folder, False) for folder in host_packages(BASE_PREFIX, LANG_DIR)]
    files = [("/etc/passwd", PASSWD), ("/etc/group", GROUP), ("/etc/pip.conf", pip_conf())]
    return {"binds": binds, "masks": masks, "links": links, "files": files}


def launcher_command() -> list[str]:
    return [BASE_PYTHON, "-I", "-S", str(LAUNCHER)]


def host_packages(prefix: str, seen_at: str) -> list[str]:
    """Return the third-party package folders under `prefix` as the sandbox would see them."""
    scheme = {"base": prefix, "platbase": prefix}
    folders = {sysconfig.get_path(name, vars=scheme) for name in ("purelib", "platlib")}
    folders |= {*site.getsitepackages([prefix]), f"{prefix}/lib/python3/dist-packages"}
    inside = {os.path.realpath(folder) for folder in folders if Path(folder).is_dir()}
    return sorted(seen_at + folder.removeprefix(prefix) for folder in inside if folder.startswith(prefix + "/"))
