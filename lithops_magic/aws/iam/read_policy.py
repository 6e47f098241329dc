"""Reads IAM policies: whom they trust and what they grant, judging by the documents alone."""

from __future__ import annotations

import re
from typing import Any

from lithops_magic.aws.iam.policy import Document

Statement = dict[str, Any]


def as_list(value: Any) -> list[Any]:
    """Return a policy field that may be a single value or a list as a list."""
    return value if isinstance(value, list) else [value]


def trusts_lambda(document: Any) -> bool:
    """Whether a trust policy lets Lambda assume its role."""
    return any(_lets_lambda(statement) for statement in _statements(document))


def example(statement: Statement) -> str:
    """Return an example of a resource matched by one of our statements."""
    pattern: str = as_list(statement["Resource"])[0]
    return pattern if pattern == "*" else pattern.replace("*", "0").replace("?", "0")


def not_granted(policies: list[Document], wanted: list[Statement]) -> list[str]:
    """Return the actions in `wanted` that no policy allows, or that one unconditionally denies."""
    statements = [statement for policy in policies for statement in _statements(policy)]
    allowing = [statement for statement in statements if statement.get("Effect") == "Allow"]
    # Conditions cannot be evaluated: assume that those on allowed actions hold, and those on denied actions do not.
    denying = [s for s in statements if s.get("Effect") == "Deny" and "Condition" not in s]
    return [
        action
        for statement in wanted
        for action in statement["Action"]
        if not _any_covers(allowing, action, example(statement)) or _any_covers(denying, action, example(statement))
    ]


def _statements(document: Any) -> list[Statement]:
    """Return a document's statements; other services than AWS accept one without any, which allows nothing."""
    found = as_list(document.get("Statement", [])) if isinstance(document, dict) else []
    return [statement for statement in found if isinstance(statement, dict)]


def _lets_lambda(statement: Statement) -> bool:
    principal = statement.get("Principal", {})
    services = as_list(principal.get("Service", [])) if isinstance(principal, dict) else []
    actions = as_list(statement.get("Action", []))
    return (
        statement.get("Effect") == "Allow"
        and "lambda.amazonaws.com" in services
        and any(action in ("sts:AssumeRole", "sts:*", "*") for action in actions)
    )


def _any_covers(statements: list[Statement], action: str, resource: str) -> bool:
    return any(_covers(statement, action, resource) for statement in statements)


def _covers(statement: Statement, action: str, resource: str) -> bool:
    def among(key: str, value: str, flags: re.RegexFlag) -> bool:
        if f"Not{key}" in statement:
            return not any(_matches(pattern, value, flags) for pattern in as_list(statement[f"Not{key}"]))
        return any(_matches(pattern, value, flags) for pattern in as_list(statement.get(key, [])))

    # IAM ignores case in actions, but not in resources.
    return among("Action", action, re.IGNORECASE) and among("Resource", resource, re.NOFLAG)


def _matches(pattern: str, value: str, flags: re.RegexFlag) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, flags) is not None
