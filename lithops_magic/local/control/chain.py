"""Chains of functions that invoke each other and wait: how deep a chain is, and where it is stopped."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lithops_magic.local.model import ServiceError

MAX_DEPTH = 16
"""Invocations in a chain after which Lambda takes it for a loop (Developer Guide, "Recursive loop detection")."""
_IN_A_FUNCTION = "exec-env/AWS_Lambda"
"""Part of the user agent of AWS's SDKs where AWS_EXECUTION_ENV is set, as it is in functions."""
_LINEAGE = re.compile(r"Lineage=1:\w+:(\d+)")
"""The part of a function's trace id, sent along by AWS's SDKs, that counts the invocations before it."""


def depth(headers: Mapping[str, str]) -> int:
    """Return the depth of the chain: how many functions wait for this request, each for the next."""
    found = _LINEAGE.search(headers.get("x-amzn-trace-id", ""))
    if found:
        return int(found[1]) + 1
    # No trace: at least a request from a function can be told from any other.
    return int(_IN_A_FUNCTION in headers.get("user-agent", ""))


def check(waiting: int, loops: str) -> None:
    """Stop a chain that is too long, unless the function's `loops` setting is "Allow".

    Raises
    ------
    ServiceError
        RecursiveInvocationException.
    """
    if waiting >= MAX_DEPTH and loops != "Allow":
        text = (
            "Lambda has detected your function being invoked in a recursive loop with other AWS resources and stopped "
            "your function's invocation."
        )
        raise ServiceError("RecursiveInvocationException", text, members={"Type": "User"})
