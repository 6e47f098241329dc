"""Checks of the execution role itself."""

from __future__ import annotations

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, ok, problem
from lithops_magic.aws.iam.read_policy import trusts_lambda

CREATE = "Run `lithops-magic role create`, or correct execution_role."


def role(facts: Facts) -> Verdict | None:
    """The execution role exists, in this account."""
    arn = facts.role_arn
    if arn is None:
        return problem("No execution role is configured.", CREATE)
    if arn.split(":")[4:5] != [facts.account]:
        return problem(f"{arn} is not a role of account {facts.account}.", CREATE)
    if facts.role is not None:
        return ok(f"{arn} exists.")
    if facts.settings.execution_role is None:
        return ok("The local AWS creates its own role at the first run.")
    return problem(f"There is no role {arn}.", CREATE)


def role_trust(facts: Facts) -> Verdict | None:
    """Lambda may assume the role."""
    if facts.role is None:
        return None
    if trusts_lambda(facts.role.get("AssumeRolePolicyDocument", {})):
        return ok("AWS Lambda may assume the role.")
    return problem(
        "AWS Lambda may not assume the role.",
        "Let lambda.amazonaws.com do sts:AssumeRole in its trust policy, or run `lithops-magic role create`.",
    )
