"""Waits for a function to become usable or to be deleted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from lithops_magic.aws.deploy.state_reasons import advice
from lithops_magic.aws.explain import aws_errors, sentence
from lithops_magic.aws.session import Cloud, Notify
from lithops_magic.errors import DeployError

if TYPE_CHECKING:
    from types_boto3_lambda.type_defs import FunctionConfigurationTypeDef

MAX_WAIT = 300.0
"""Seconds, the same as AWS's own waiter function_active_v2."""

FIRST_PAUSES = (0.1, 0.2, 0.7, 1.0)
LATER_PAUSE = 2.0
"""Seconds. After the first pauses, frequent polling gains little, and an account may call GetFunction only 100 times a
second. AWS's own waiter polls every second from the start, and cannot report what it waits for."""

USABLE = frozenset({"Active", "Inactive", "Deactivating", "Deactivated"})
"""States in which Invoke works or activates the function."""


def wait_until_active(cloud: Cloud, name: str, notify: Notify) -> FunctionConfigurationTypeDef:
    """Poll the function until it is usable.

    Raises
    ------
    DeployError
        It failed (for the reason AWS gives), was deleted, or is still pending after five minutes.
    """
    started = time.monotonic()
    for look, pause in _pauses():
        time.sleep(pause)
        with aws_errors(DeployError):
            function = cloud.client("lambda").get_function(FunctionName=name)["Configuration"]
        state = function.get("State", "Active")
        if state in USABLE:
            return function
        if state != "Pending":
            raise _failed(function)
        # By now, a function outside a VPC would be active.
        if look == len(FIRST_PAUSES) and function.get("VpcConfig", {}).get("VpcId"):
            notify("AWS connects the function to the VPC; the first time takes a minute or two …")
        if time.monotonic() - started > MAX_WAIT:
            break
    raise DeployError(f"{name} is still {state} after {MAX_WAIT:.0f} seconds. Run it again later.", code="Pending")


def wait_until_gone(cloud: Cloud, name: str, notify: Notify) -> None:
    """Poll a function that is being deleted until it is gone.

    Raises
    ------
    DeployError
        It still exists after five minutes.
    """
    client = cloud.client("lambda")
    notify(f"Waiting for {name} to be deleted …")
    started = time.monotonic()
    for _, pause in _pauses():
        with aws_errors(DeployError):
            try:
                client.get_function(FunctionName=name)
            except client.exceptions.ResourceNotFoundException:
                return
        if time.monotonic() - started > MAX_WAIT:
            break
        time.sleep(pause)
    raise DeployError(f"{name} is still being deleted. Run it again later.", code="Deleting")


def _pauses() -> Iterator[tuple[int, float]]:
    yield from enumerate(FIRST_PAUSES)
    yield from ((look, LATER_PAUSE) for look in count(len(FIRST_PAUSES)))


def _failed(function: FunctionConfigurationTypeDef) -> DeployError:
    code = str(function.get("StateReasonCode", "")) or str(function.get("State"))
    reason = sentence(function.get("StateReason") or f"AWS reports the state {function.get('State')}")
    return DeployError(f"The function did not become active: {code}: {reason} {advice(code)}".rstrip(), code=code)
