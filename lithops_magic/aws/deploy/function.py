"""The deployed function: found by name or created, listed and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lithops_magic.aws.definition import FUNCTION_HASH, OWNER_TAG, creation_request, original, owner, start_of_names
from lithops_magic.aws.deploy.create import create
from lithops_magic.aws.deploy.log_group import prepare_log_group
from lithops_magic.aws.deploy.role import role_arn
from lithops_magic.aws.deploy.wait import USABLE, wait_until_active, wait_until_gone
from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.session import Cloud, Notify, silent
from lithops_magic.config import Settings
from lithops_magic.errors import DeployError

if TYPE_CHECKING:
    from types_boto3_lambda.type_defs import FunctionConfigurationTypeDef


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A function that can be invoked."""

    name: str
    arn: str
    memory: int
    """MB."""
    timeout: int
    """Seconds."""
    created: bool
    """Whether this call created it."""

    @property
    def account(self) -> str:
        """The account that owns it."""
        return self.arn.split(":")[4]


@dataclass(frozen=True, slots=True)
class ListedFunction:
    """One of our functions in the account, with its copies."""

    name: str
    arn: str
    runtime: str
    memory: int
    """MB."""
    timeout: int
    """Seconds."""
    size: int
    """Size of the deployment package in bytes."""
    last_modified: str
    """In ISO 8601."""
    copies: tuple[str, ...] = ()
    """Names of the copies with the same definition."""

    @property
    def label(self) -> str:
        """Its name in lists."""
        return f"{self.name} × {len(self.copies) + 1}" if self.copies else self.name


def deploy(
    cloud: Cloud,
    settings: Settings,
    package: bytes,
    notify: Notify = silent,
    meanwhile: Callable[[], object] = object,
    copy: int = 0,
) -> DeployedFunction:
    """Find the function that runs `package` under `settings`, or create it, and wait until it can be invoked.

    Parameters
    ----------
    package
        The deployment package, a zip.
    notify
        Told about steps that take a while.
    meanwhile
        Called in another thread once the function is created, and not waited for; not called if it exists already. By
        default `object`, which does nothing.
    copy
        Number of the copy with the same definition, from 1; 0 is the function itself.

    Raises
    ------
    ConfigError
        AWS Lambda does not support this Python version.
    DeployError
        AWS refuses the function, or it does not become active; the message explains why.
    """
    request = creation_request(settings, role_arn(cloud, settings), package, copy)
    name = request["FunctionName"]
    found = _find(cloud, name)
    # A function whose creation failed stays that way, and a new one of the same definition needs its name.
    if found is not None and found.get("State") == "Failed":
        _delete(cloud, name)
        found = None
    if found is not None and found.get("State") == "Deleting":
        wait_until_gone(cloud, name, notify)
        found = None
    created = found is None
    if found is None:
        notify(f"Deploying {name} …")
        create(cloud, request, notify)
        # While AWS activates the function, which takes seconds; nothing waits for these two.
        pool = ThreadPoolExecutor(2, "lambda-deploy")
        pool.submit(prepare_log_group, cloud, name)
        pool.submit(meanwhile)
        pool.shutdown(wait=False)
        found = wait_until_active(cloud, name, notify)
    elif found.get("State", "Active") not in USABLE:
        found = wait_until_active(cloud, name, notify)
    return DeployedFunction(name, found["FunctionArn"], found["MemorySize"], found["Timeout"], created)


def look_up(cloud: Cloud, settings: Settings, package: bytes) -> tuple[str, bool]:
    """Return the name of the function that `deploy` would return, and whether it exists; changes nothing.

    Raises
    ------
    ConfigError
        AWS Lambda does not support this Python version, or no role is configured.
    DeployError
        The call is not permitted.
    """
    name = creation_request(settings, role_arn(cloud, settings), package)["FunctionName"]
    found = _find(cloud, name)
    return name, found is not None and found.get("State") not in ("Failed", "Deleting")


def list_functions(cloud: Cloud, settings: Settings) -> list[ListedFunction]:
    """Return our functions in this account, region and namespace, by name, each together with its copies.

    Raises
    ------
    AwsError
        The call is not permitted.
    """
    alike: dict[str, list[FunctionConfigurationTypeDef]] = {}
    with aws_errors():
        for name, entry in _ours(cloud, settings):
            alike.setdefault(name, []).append(entry)
    return [_listed(name, entries) for name, entries in sorted(alike.items())]


def delete_functions(cloud: Cloud, settings: Settings, *, dry_run: bool = False) -> list[str]:
    """Delete this namespace's functions and their copies, and return their names as in lists.

    Parameters
    ----------
    dry_run
        Delete nothing; only return the names.

    Raises
    ------
    AwsError
        A call is not permitted.
    """
    deleted = []
    for function in list_functions(cloud, settings):
        # By tag as well as by name: somebody else's function may be named like ours.
        names = [name for name in (function.name, *function.copies) if _is_owned(cloud, settings, function, name)]
        for name in () if dry_run else names:
            _delete(cloud, name)
        if names:
            deleted.append(replace(function, name=names[0], copies=tuple(names[1:])).label)
    return deleted


def _is_owned(cloud: Cloud, settings: Settings, alike: ListedFunction, name: str) -> bool:
    """Whether a function has this namespace's tag; `alike` is the list entry that includes it."""
    with aws_errors():
        tags = cloud.client("lambda").list_tags(Resource=f"{alike.arn.rpartition(':')[0]}:{name}")["Tags"]
    return tags.get(OWNER_TAG) == owner(settings)


def _find(cloud: Cloud, name: str) -> FunctionConfigurationTypeDef | None:
    client = cloud.client("lambda")
    with aws_errors(DeployError):
        try:
            return client.get_function(FunctionName=name)["Configuration"]
        except client.exceptions.ResourceNotFoundException:
            return None


def _delete(cloud: Cloud, name: str) -> None:
    client = cloud.client("lambda")
    with aws_errors():
        try:
            client.delete_function(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            return


def _ours(cloud: Cloud, settings: Settings) -> Iterator[tuple[str, FunctionConfigurationTypeDef]]:
    """Yield our functions, each with its own name or, for a copy, that of its original."""
    # With the exact number of digits: the default namespace's prefix is also the start of all others'.
    name = re.compile(re.escape(start_of_names(settings)) + f"[0-9a-f]{{{FUNCTION_HASH}}}")
    for page in cloud.client("lambda").get_paginator("list_functions").paginate():
        for entry in page["Functions"]:
            of = original(entry["FunctionName"], entry.get("Description", ""))
            if of is not None and name.fullmatch(entry["FunctionName"]):
                yield of, entry


def _listed(name: str, entries: list[FunctionConfigurationTypeDef]) -> ListedFunction:
    """Return the entry for a function and its copies; the function named `name` itself may be gone."""
    entry, *copies = sorted(entries, key=lambda one: (one["FunctionName"] != name, one["FunctionName"]))
    return ListedFunction(
        name=entry["FunctionName"],
        arn=entry["FunctionArn"],
        runtime=entry.get("Runtime", ""),
        memory=entry["MemorySize"],
        timeout=entry["Timeout"],
        size=entry["CodeSize"],
        last_modified=entry["LastModified"],
        copies=tuple(copy["FunctionName"] for copy in copies),
    )
