"""Checks of the account's limits, and of a free dry-run invocation."""

from __future__ import annotations

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, ok, problem
from lithops_magic.aws.account.permission_errors import DENIALS, Denied, Unanswered, asking
from lithops_magic.aws.deploy.function import list_functions

LOW_CONCURRENCY = 100
"""AWS's default is 1,000; a new account may have 10 (AWS Lambda quotas)."""

FULL = 0.9
"""Share of the code storage above which it counts as nearly full."""


def concurrency(facts: Facts) -> Verdict | None:
    """Enough functions can run concurrently."""
    available = facts.account_settings["AccountLimit"].get("UnreservedConcurrentExecutions", 0)
    wanted = facts.settings.max_workers
    more = "Ask for more in Service Quotas (AWS Lambda, Concurrent executions): it costs nothing."
    if wanted is not None and wanted > available:
        return problem(f"max_workers is {wanted}, but {available:,} functions can run at once.", more)
    if available < LOW_CONCURRENCY and not facts.cloud.is_local:
        return problem(f"Only {available:,} functions can run at once, which is very few.", more)
    return ok(f"{available:,} functions can run at once.")


def code_storage(facts: Facts) -> Verdict | None:
    """There is room for more functions and layers."""
    limit = facts.account_settings["AccountLimit"].get("TotalCodeSize", 0)
    used = facts.account_settings["AccountUsage"].get("TotalCodeSize", 0)
    text = f"{used / 2**30:.1f} of {limit / 2**30:.0f} GB of code storage are used."
    if used > FULL * limit:
        return problem(text, "Delete functions and layer versions that are no longer used in this region.")
    return ok(text)


def invocation(facts: Facts) -> Verdict | None:
    """An already deployed function may be invoked."""
    try:
        with asking("lambda"):
            functions = list_functions(facts.cloud, facts.settings)
    except Unanswered as unanswered:
        # `list_functions` has already translated the error, which no longer names the denied operation.
        if unanswered.code in DENIALS:
            raise Unanswered(Denied("lambda:ListFunctions", ""), unanswered.code) from None
        raise
    if not functions:
        return None
    name = functions[0].name
    try:
        with asking("lambda"):
            facts.cloud.client("lambda").invoke(FunctionName=name, InvocationType="DryRun")
    except Unanswered as unanswered:
        if unanswered.denied.permission:
            return problem(f"You may not invoke {name}.", f"Ask for the permission {unanswered.denied.permission}.")
        raise
    return ok(f"You may invoke {name}.")
