"""Explains why a task failed and what to do: each kind of failure has its own error class."""

from __future__ import annotations

import json
import re
import signal
import sys

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.engine.dispatch import missing_files, missing_programs
from lithops_magic.errors import (
    DiskFull,
    ImportFailed,
    InitFailed,
    RemoteError,
    RemoteTraceback,
    TaskCrashed,
    TaskError,
    TaskOutOfMemory,
    TaskTimeout,
)
from lithops_magic.packages import missing_module

Cause = tuple[type[TaskError], str]

NEARLY_ALL = 0.95
"""Memory share above which a killed process is taken to have run out of memory."""

_INIT = (
    "Runtime.ImportModuleError",
    "Runtime.HandlerNotFound",
    "Runtime.UserCodeSyntaxError",
    "Runtime.MalformedHandlerName",
)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_DISK_FULL = "[Errno 28]"
_ENDED = (
    "Crashing compiled code and os._exit() do that, and Python cannot catch it. To find the line, run this item in a "
    "script"
)
_STATUS = re.compile(r"^Runtime exited with error: exit status (\d+)$")
_LOOKED_UP = (
    "NameError",
    "UndefinedVariableError",
    "CatalogException",
    "PatsyError",
    "FactorEvaluationError",
    "SQLInterfaceError",
)
_UNDEFINED = re.compile(r"(?:name|variable) '(\w+)' is not defined|with name (\w+) does not|'(\w+)' was not found")
"""How Python, pandas, DuckDB, formulas and Polars report an unknown name in a string of code."""
_NO_DEBUGGER = "a sandbox has no debugger: .debug(i) of the result runs the task here, where breakpoint() works"
_LOG = "The function's log in CloudWatch may say more"
_NO_FILE = ("FileNotFoundError", "ImportError", "OSError", "PermissionError")
_SHARED = tuple(f"multiprocessing/{name}.py" for name in ("heap", "shared_memory", "synchronize"))
"""First users of /dev/shm: locks of pools and queues, and shared memory itself."""
_NO_SHARED_MEMORY = (
    "Lambda has no shared memory (/dev/shm), which multiprocessing's pools, locks and queues and ProcessPoolExecutor "
    "need: use a ThreadPoolExecutor, processes with pipes (multiprocessing.Process, Pipe), or let one sandbox run "
    "several tasks at once with worker_processes in the configuration"
)
_NO_LIBRARY = "cannot open shared object file: No such file or directory"


def timeout(seconds: int) -> str:
    """The message for a task that timed out."""
    return f"it ran longer than the function's {seconds} s; raise it with timeout (--timeout)"


def out_of_memory(limit: int, used: int | None) -> str:
    """The message for a task that was killed for its memory use; MB."""
    amount = f"{used} of the function's {limit} MB" if used else f"the function's {limit} MB"
    return f"it used up {amount}; raise it with memory (--memory)"


def of_exception(
    error: RemoteTraceback, memory: int, original: BaseException | None = None
) -> tuple[type[RemoteError], str]:
    """Return the error class for an exception from the user's code, and a hint to add to its message."""
    if error.type == "ModuleNotFoundError":
        module = _NO_MODULE.match(error.message)
        return (
            ImportFailed,
            f" in the sandbox ({missing_module.explain(module[1])})"
            if module and "--packages" not in error.message
            else "",
        )
    # A library that this machine has and the sandbox lacks is a file to ship, not one that Lambda lacks.
    if error.message.endswith(_NO_LIBRARY) and not missing_files.explain(error, original):
        library = error.message.partition(":")[0]
        text = f" (Lambda has no {library}: use a build of the package that bundles it, or a layer that has it)"
        return ImportFailed, text
    if error.message.startswith(_DISK_FULL):
        return DiskFull, " (the function's disk is full; enlarge /tmp with tmp (--tmp), or write elsewhere)"
    if error.type in _NO_FILE and any(frame.file.endswith(_SHARED) for frame in error.frames):
        return RemoteError, f" ({_NO_SHARED_MEMORY})"
    if error.type == "MemoryError":
        return RemoteError, f" (the function has {memory} MB; raise it with memory (--memory))"
    if error.type == "BdbQuit":
        return RemoteError, f" ({_NO_DEBUGGER})"
    # Before missing files, whose patterns include "not found", too.
    if name := _only_in_a_text(error):
        return RemoteError, f" (the notebook has {name}, but {_why_not_seen(name, error.type)})"
    if remedy := missing_programs.explain(error) or missing_files.explain(error, original):
        return RemoteError, f" ({remedy})"
    return RemoteError, ""


def _only_in_a_text(error: RemoteTraceback) -> str:
    """The notebook variable that a task's string of code failed to find; empty if there is none."""
    found = _UNDEFINED.search(error.message) if error.type.rpartition(".")[2] in _LOOKED_UP else None
    name = next(filter(None, found.groups()), "") if found else ""
    return name if name in vars(sys.modules["__main__"]) else ""


def _why_not_seen(name: str, kind: str) -> str:
    if kind.endswith("SQLInterfaceError"):
        return f"in a task, Polars finds only local variables: use pl.SQLContext({name}={name}).execute(...)"
    return f"the task names it only in a string that is built at run time: mention {name} in the code as well"


def of_process(code: int, memory: int, used: int | None) -> Cause:
    """Why one of a sandbox's processes died, judging by its exit code (negative for a signal)."""
    # The kernel kills with SIGKILL when memory runs out, but so may the user's own code.
    if code == -signal.SIGKILL and used is not None and used >= NEARLY_ALL * memory:
        return TaskOutOfMemory, out_of_memory(memory, used)
    if code < 0:
        return TaskCrashed, f"its process was killed by signal {-code} ({_signal(-code)}). {_ENDED}"
    return TaskCrashed, f"its process exited with status {code}. {_ENDED}"


def _signal(number: int) -> str:
    try:
        return signal.strsignal(number) or signal.Signals(number).name
    except ValueError:
        return "unknown"


def of_sandbox(reply: Reply, memory: int, seconds: int) -> Cause:
    """Why a sandbox could not reply."""
    kind, message, begun = _platform_error(reply.payload)
    # AWS reports only that the process exited; the memory it used tells why it was killed.
    used = reply.report.max_memory_mb if reply.report else None
    full = used is not None and used >= memory
    # AWS's current form, and the one before it, which had no type.
    if kind == "Sandbox.Timedout" or "Task timed out after" in message:
        return TaskTimeout, timeout(seconds)
    if kind == "Runtime.OutOfMemory" or (kind == "Runtime.ExitError" and (full or "signal: killed" in message)):
        return TaskOutOfMemory, out_of_memory(memory, used)
    if kind == "Fault":
        return TaskCrashed, f"{message}. {_LOG}"
    reason = message.partition("Error: ")[2] or message or "the sandbox gave no reason"
    if begun and (status := _STATUS.search(reason)):
        return TaskCrashed, f"its process exited with status {status[1]}. {_ENDED}"
    reason += f" ({kind})" if kind else ""
    if kind in _INIT or not begun:
        return InitFailed, (
            f"its sandbox could not start: {reason}. Check the function's layers and environment variables"
        )
    return TaskCrashed, f"its sandbox ended: {reason}. {_ENDED if kind == 'Runtime.ExitError' else _LOG}"


def _platform_error(payload: bytes) -> tuple[str, str, bool]:
    """Type and message of an error, and whether the function had been called."""
    try:
        fields = json.loads(payload)
        kind, message = str(fields.get("errorType") or ""), str(fields.get("errorMessage") or "")
    except (ValueError, AttributeError):
        return "", payload[:200].decode("utf-8", "replace"), True
    # An exception during the worker's import has all fields of an exception in a call except the request ID.
    return kind, message, fields.get("requestId") != ""
