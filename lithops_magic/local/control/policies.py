"""Resource policies of functions: stored but not enforced; anyone who can sign a request may invoke."""

from __future__ import annotations

import json
import re
from typing import Any

from lithops_magic.local.control.context import Context, Result, check_revision
from lithops_magic.local.control.registry import Alias, Function, Version, new_revision
from lithops_magic.local.names import LATEST, conflict, invalid, not_found, resource_not_found

_CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
}


class Policies:
    """Operations on resource policies."""

    def __init__(self, context: Context) -> None:
        self._account = context.account
        self._registry = context.registry

    async def add_permission(self, params: dict[str, Any]) -> Result:
        function, qualifier = self._target(params)
        if qualifier == LATEST:
            raise invalid("We currently do not support adding policies for $LATEST.")
        # Without a qualifier, it is the whole function's: $LATEST itself cannot have a policy.
        statements = function.policies.get(qualifier or LATEST, [])
        _check_revision(params, function, qualifier)
        if any(statement["Sid"] == params["StatementId"] for statement in statements):
            raise conflict(
                f"The statement id ({params['StatementId']}) provided already exists. "
                "Please provide a new statement id, or remove the existing statement."
            )
        statement = _statement(params, self._account.function_arn(function.name, qualifier))
        function.policies[qualifier or LATEST] = [*statements, statement]
        _renew(function, qualifier)
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    async def get_policy(self, params: dict[str, Any]) -> Result:
        name, qualifier = self._account.split_function(params["FunctionName"], params.get("Qualifier"))
        function = self._registry.functions.get(name)
        statements = function.policies.get(qualifier or LATEST) if function else None
        if function is None or not statements:
            raise resource_not_found("The resource you requested does not exist.")
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
        return {
            "Policy": json.dumps(policy, separators=(",", ":")),
            "RevisionId": function.policy_revisions[qualifier or LATEST],
        }

    async def remove_permission(self, params: dict[str, Any]) -> Result:
        function, qualifier = self._target(params, "No policy found for")
        statements = function.policies.get(qualifier or LATEST)
        if not statements:
            raise resource_not_found("No policy is associated with the given resource.")
        _check_revision(params, function, qualifier)
        others = [statement for statement in statements if statement["Sid"] != params["StatementId"]]
        if len(others) == len(statements):
            raise resource_not_found(f"Statement {params['StatementId']} is not found in resource policy.")
        function.policies[qualifier or LATEST] = others
        _renew(function, qualifier)
        return {}

    def _target(self, params: dict[str, Any], problem: str = "Function not found") -> tuple[Function, str | None]:
        name, qualifier = self._account.split_function(params["FunctionName"], params.get("Qualifier"))
        arn = self._account.function_arn(name, qualifier)
        function = self._registry.functions.get(name)
        if function is None:
            raise resource_not_found(f"{problem}: {arn}")
        if qualifier and qualifier not in function.versions and qualifier not in function.aliases:
            raise resource_not_found(f"Cannot find alias arn: {arn}") if _is_alias(qualifier) else not_found(arn)
        return function, qualifier


def _is_alias(qualifier: str) -> bool:
    return re.fullmatch(r"(?!\d+$)[a-zA-Z0-9-_]+", qualifier) is not None


def _holder(function: Function, qualifier: str | None) -> Version | Alias:
    """Return what the policy is attached to."""
    return function.aliases.get(qualifier or "") or function.versions[qualifier or LATEST]


def _renew(function: Function, qualifier: str | None) -> None:
    """Give a changed policy and its holder a new revision; later changes of the holder do not affect the policy's."""
    revision = _holder(function, qualifier).revision = new_revision()
    function.policy_revisions[qualifier or LATEST] = revision


def _check_revision(params: dict[str, Any], function: Function, qualifier: str | None) -> None:
    """Accept the policy's own revision as well as its holder's."""
    if params.get("RevisionId") != function.policy_revisions.get(qualifier or LATEST, ""):
        check_revision(params, _holder(function, qualifier).revision, "GetPolicy")


def _statement(params: dict[str, Any], resource: str) -> dict[str, Any]:
    statement = {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(params["Principal"]),
        "Action": params["Action"],
        "Resource": resource,
    }
    condition: dict[str, dict[str, str]] = {}
    for member, (operator, key) in _CONDITIONS.items():
        if member in params:
            condition.setdefault(operator, {})[key] = params[member]
    return {**statement, "Condition": condition} if condition else statement


def _principal(principal: str) -> Any:
    if principal == "*":
        return principal
    if principal.endswith(".amazonaws.com"):
        return {"Service": principal}
    if principal.isdigit():
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    raise invalid("The provided principal was invalid. Please check the principal and try again.")
