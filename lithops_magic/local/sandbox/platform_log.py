"""What Lambda itself reports about an invocation: the lines around a function's log, and failure payloads."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

SIGNALS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    10: "user defined signal 1",
    11: "segmentation fault",
    12: "user defined signal 2",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
}
"""Names as Go's runtime, in which Lambda's supervisor is written, prints them on Linux."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended; `error_type` is empty on success."""

    payload: bytes
    failed: bool
    status: str = ""
    """`error` or `timeout` if the platform, not the function's code, ended it."""
    error_type: str = ""
    message: str = ""
    """What the platform adds to the log."""


# Texts and error types are AWS's own, from recordings and from its Runtime Interface Emulator.
def exited(request_id: str, status: int, out_of_memory: bool) -> Outcome:
    """Return the outcome of an invocation whose process exited."""
    kind = "Runtime.OutOfMemory" if out_of_memory else "Runtime.ExitError"
    if out_of_memory or status < 0:
        number = 9 if out_of_memory else -status
        how = f"Runtime exited with error: signal: {SIGNALS.get(number, f'signal {number}')}"
    elif status == 0:
        how = "Runtime exited without providing a reason"
    else:
        how = f"Runtime exited with error: exit status {status}"
    message = f"RequestId: {request_id} Error: {how}"
    return Outcome(_payload(kind, message), True, "error", kind, f"{message}\n{kind}\n")


def timed_out(request_id: str, timeout: int) -> Outcome:
    text = f"Task timed out after {timeout:.2f} seconds"
    payload = _payload("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return Outcome(payload, True, "timeout", "Sandbox.Timedout", f"{now}Z {request_id} {text}\n\n")


def init_failed(body: bytes) -> Outcome:
    """Return the outcome of an invocation whose function could not be loaded."""
    try:
        kind = str(json.loads(body)["errorType"])
    except (ValueError, KeyError, TypeError):
        kind = "Runtime.Unknown"
    return Outcome(body, True, "error", kind)


def too_large() -> Outcome:
    kind = "Function.ResponseSizeTooLarge"
    text = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    return Outcome(json.dumps({"errorMessage": text, "errorType": kind}).encode(), True, "error", kind)


def start_line(request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}\n"


def init_line(milliseconds: float, phase: str, outcome: Outcome) -> str:
    """Return the log line of an initialization that failed or timed out."""
    error = f"\tError Type: {outcome.error_type}" if outcome.status == "error" else ""
    return f"INIT_REPORT Init Duration: {milliseconds:.2f} ms\tPhase: {phase}\tStatus: {outcome.status}{error}\n"


def end_lines(
    request_id: str, outcome: Outcome, milliseconds: float, init: float | None, memory: int, used: int
) -> str:
    """Return END and REPORT; `memory` in MB, `used` in bytes, the rest in milliseconds.

    Since August 2025 a cold start's initialization is billed too.
    """
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {milliseconds:.2f} ms",
        f"Billed Duration: {math.ceil(round(milliseconds + (init or 0), 2))} ms",
        f"Memory Size: {memory} MB",
        f"Max Memory Used: {math.ceil(used / (1 << 20))} MB",
    ]
    if init is not None:
        fields.append(f"Init Duration: {init:.2f} ms")
    if outcome.status:
        fields.append(f"Status: {outcome.status}")
    if outcome.status == "error":
        fields.append(f"Error Type: {outcome.error_type}")
    ending = "\n" if outcome.status else "\t\n"
    return f"END RequestId: {request_id}\n" + "\t".join(fields) + ending


def _payload(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}, separators=(",", ":")).encode()
