"""How many concurrent sandboxes the account allows, and what that means for a job."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lithops_magic.aws.account.permission_errors import Unanswered, asking

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud

RAMP = 1000
"""Maximum new sandboxes that one function gets per `RAMP_SECONDS` (AWS Lambda's quotas page, scaling rate)."""
RAMP_SECONDS = 10.0
RECENT = timedelta(minutes=5)
"""How far back "used now" looks: CloudWatch has Lambda's metrics by the minute, some with a delay."""


NAME = "Concurrent executions (L-B99A9384)"
"""The quota's name and code in Service Quotas, under AWS Lambda."""


def link(region: str) -> str:
    """Return the page of the AWS console for requesting an increase."""
    return f"https://{region}.console.aws.amazon.com/servicequotas/home/services/lambda/quotas/L-B99A9384"


@dataclass(frozen=True, slots=True)
class Quota:
    """The account's concurrency in this region: limit and use."""

    account: int
    """Concurrent executions of all functions together."""
    unreserved: int
    """The part that no function has reserved."""
    used: int | None
    """Peak concurrency in the last minutes; None if that is not available."""
    why: str = ""
    """Why it is not available."""


def read(cloud: Cloud) -> Quota:
    """Ask AWS for the account's concurrency.

    Raises
    ------
    AwsError
        The call is not permitted.
    """
    from lithops_magic.aws.explain import aws_errors

    with aws_errors():
        limit = cloud.client("lambda").get_account_settings()["AccountLimit"]
    used, why = (None, "the local AWS has no metrics") if cloud.is_local else _used(cloud)
    return Quota(limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"], used, why)


def makespan(tasks: int, seconds: float, workers: int, *, ramp: int = RAMP) -> float:
    """Return the minimum duration of a job in seconds if each task takes `seconds`; cold starts are not included.

    Of `workers` sandboxes, AWS starts `ramp` at once and as many every ten seconds; each runs one task at a time.
    """
    if tasks <= 0 or seconds <= 0:
        return 0.0
    workers = min(workers, tasks)
    starts = [(RAMP_SECONDS * index, min(ramp, workers - first)) for index, first in enumerate(range(0, workers, ramp))]

    # The small number, because division may round a task that ends at that very moment down to an unfinished one.
    def done(moment: float) -> int:
        return sum(count * int((moment - start) / seconds + 1e-9) for start, count in starts if start <= moment)

    # By bisection: `done` only grows with time, and has no simple inverse while sandboxes are still being added.
    # The first sandboxes alone, without those added later, would need until `late`.
    early, late = 0.0, math.ceil(tasks / starts[0][1]) * seconds
    while late - early > 1e-6 * late:
        middle = (early + late) / 2
        early, late = (early, middle) if done(middle) >= tasks else (middle, late)
    return late


def _used(cloud: Cloud) -> tuple[int | None, str]:
    now = datetime.now(UTC)
    try:
        with asking("cloudwatch"):
            # Without dimensions, the metric is that of the whole account.
            answer = cloud.client("cloudwatch").get_metric_statistics(
                Namespace="AWS/Lambda",
                MetricName="ConcurrentExecutions",
                StartTime=now - RECENT,
                EndTime=now,
                Period=60,
                Statistics=["Maximum"],
            )
    except Unanswered as unanswered:
        denied = unanswered.denied
        return None, f"needs {denied.permission}" if denied.permission else denied.reason
    return round(max((point["Maximum"] for point in answer["Datapoints"]), default=0)), ""
