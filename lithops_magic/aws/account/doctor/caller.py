"""Checks of the caller: credentials, clock and region."""

from __future__ import annotations

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, listed, ok, problem
from lithops_magic.aws.account.permission_errors import Unanswered

MAX_SKEW = 300
"""Seconds; AWS rejects signatures that are off by five minutes (IAM user guide, "Signature Version 4")."""


NOT_ASKED = frozenset({"NotAws", "500", "502", "503", "504", "EndpointConnectionError", "ConnectTimeoutError"})
"""Error codes that say nothing about the credentials."""


def credentials(facts: Facts) -> Verdict | None:
    """AWS accepts the credentials."""
    try:
        caller = facts.caller
    except Unanswered as unanswered:
        if unanswered.code in NOT_ASKED or not unanswered.code:
            return problem("AWS does not say who you are.", unanswered.denied.reason)
        return problem("AWS does not accept the credentials.", unanswered.denied.reason)
    account = facts.settings.account_id
    if account is not None and account != caller.account:
        return problem(
            f"They belong to account {caller.account}, but account_id says {account}.",
            "Choose another profile, or correct account_id.",
        )
    return ok(f"{caller.arn} in account {caller.account}.")


def clock(facts: Facts) -> Verdict | None:
    """This machine's clock agrees with AWS."""
    caller = facts.caller
    if caller.aws_time is None:
        return None
    skew = abs((caller.our_time - caller.aws_time).total_seconds())
    if skew > MAX_SKEW:
        return problem(f"This machine's clock differs from AWS's by {skew / 60:.0f} minutes.", "Set the clock.")
    return ok("This machine's clock agrees with AWS's.")


def region(facts: Facts) -> Verdict | None:
    """All configured resources are in the functions' region."""
    here = facts.cloud.region
    arns = [*facts.settings.layers, *(entry.access_point for entry in facts.settings.efs)]
    # A slice, because a malformed ARN may have fewer parts; it is reported as well.
    elsewhere = {arn for arn in arns if arn.split(":")[3:4] != [here]}
    if elsewhere:
        return problem(
            f"Not in {here}, where the functions run: {listed(elsewhere)}.", "Use resources in the same region."
        )
    return ok(f"Functions run in {here}.")
