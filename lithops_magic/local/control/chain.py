"""Functions that invoke functions and wait for them: how many wait for an invocation, and where that ends."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lithops_magic.local.model import ServiceError

MAX_DEPTH = 16
"""Invocations in a chain after which Lambda takes it for a loop (Developer Guide, "Recursive loop detection")."""
_IN_A_FUNCTION = "exec-env/AWS_Lambda"
"""In the user agent of AWS's SDKs where AWS_EXECUTION_ENV is set, as it is in functions."""
_LINEAGE = re.compile(r"Lineage=1:\w+:(\d+)")
"""Of the trace id that a function is given, which AWS's SDKs send along with what it asks for."""


def depth(headers: Mapping[str, str]) -> int:
    """Return how many functions wait for what is asked for, each for the next."""
    found = _LINEAGE.search(headers.get("x-amzn-trace-id", ""))
    if found:
        return int(found[1]) + 1
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
