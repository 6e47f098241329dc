"""Checks of the permissions of role and caller, simulated by IAM or else read from the policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, ok, problem
from lithops_magic.aws.account.permission_errors import Unanswered, asking
from lithops_magic.aws.iam.policy import execution_policy, user_policy
from lithops_magic.aws.iam.read_policy import Statement, as_list, example, not_granted


def role_permissions(facts: Facts) -> Verdict | None:
    """The role has the permissions that our functions need."""
    role = facts.role
    # The local AWS's default role has no permissions, and needs none there.
    if role is None or facts.settings.execution_role is None:
        return None
    place = facts.place
    wanted = _allowing(execution_policy(facts.settings, place.account, place.region, facts.bucket))
    try:
        missing, how = _simulated(facts, role["Arn"], wanted), "IAM's simulation"
    # The simulation needs a permission of its own, which the user may lack: reading the policies is the next best.
    except Unanswered:
        policies = facts.policies_of_role(role["RoleName"])
        missing, how = not_granted(policies, wanted), "its policies (ignoring conditions)"
    if missing:
        return problem(
            f"According to {how}, the role lacks {_some(missing)}.",
            "Run `lithops-magic role create`, or add what `lithops-magic policy execution` prints.",
        )
    return ok(f"The role has the permissions that the functions need, according to {how}.")


def own_permissions(facts: Facts) -> Verdict | None:
    """The caller may deploy and invoke functions, and pass the role to them."""
    if facts.cloud.is_local:
        return ok("The local AWS allows everything.")
    arn, role = facts.caller.arn, facts.role_arn
    if role is None:
        return None
    # IAM simulates users, groups and roles, but not the root user.
    if arn.endswith(":root"):
        return ok("You are the account's root user, which can do everything: use another user instead.")
    place = facts.place
    wanted = _allowing(user_policy(facts.settings, place.account, place.region, facts.bucket, role))
    missing = _simulated(facts, _principal(facts, arn), wanted)
    if missing:
        return problem(
            f"According to IAM's simulation, you lack {_some(missing)}.",
            "Ask whoever manages the account to add what `lithops-magic policy user` prints.",
        )
    return ok("You may deploy and invoke functions and pass them the role.")


def _some(missing: list[str]) -> str:
    shown = ", ".join(missing[:4])
    return shown if len(missing) <= 4 else f"{shown} and {len(missing) - 4} more permissions"


def _allowing(document: dict[str, Any]) -> list[Statement]:
    """Return the statements that must be allowed."""
    return [
        statement
        for statement in document["Statement"]
        if statement["Effect"] == "Allow" and not statement["Sid"].startswith("Optional")
    ]


def _principal(facts: Facts, arn: str) -> str:
    """Return the ARN that IAM simulates for a caller: for a session, that of its role."""
    session = re.fullmatch(r"(arn:[^:]+):sts::(\d+):assumed-role/([^/]+)/.*", arn)
    if session is None:
        return arn
    start, account, name = session.groups()
    iam = facts.cloud.client("iam")
    try:
        # A session's ARN omits the role's path, which roles of IAM Identity Center have.
        with asking("iam"):
            return iam.get_role(RoleName=name)["Role"]["Arn"]
    except Unanswered:  # not permitted; most roles have no path
        return f"{start}:iam::{account}:role/{name}"


def _simulated(facts: Facts, principal: str, wanted: list[Statement]) -> list[str]:
    """Return the wanted actions that IAM would deny."""
    iam = facts.cloud.client("iam")
    missing: list[str] = []
    for statement in wanted:
        with asking("iam"):
            answer = iam.simulate_principal_policy(
                PolicySourceArn=principal,
                ActionNames=statement["Action"],
                ResourceArns=[example(statement)],
                ContextEntries=list(_context(statement)),
            )
        missing += [
            result["EvalActionName"]
            for result in answer["EvaluationResults"]
            if result["EvalDecision"] != "allowed" and result["EvalActionName"] not in missing
        ]
    return missing


def _context(statement: Statement) -> Iterator[Any]:
    for conditions in statement.get("Condition", {}).values():
        for key, value in conditions.items():
            yield {"ContextKeyName": key, "ContextKeyValues": as_list(value), "ContextKeyType": "string"}
