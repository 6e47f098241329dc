"""The command `quota`: shows how much can run concurrently, and what a job would take and cost."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from lithops_magic.cli.account import add_common, chosen_settings
from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from lithops_magic.aws.account.quota import Quota
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of `lithops-magic`."""
    quota = commands.add_parser("quota", help="show how much can run at once, and what a job would take and cost")
    add_common(quota)
    quota.add_argument("--tasks", type=int, metavar="N", help="number of tasks of a job to estimate")
    quota.add_argument("--seconds", type=float, metavar="T", help="duration of each of its tasks")
    quota.add_argument("--workers", type=int, metavar="N", help="maximum number of its invocations in flight")
    quota.set_defaults(run=_quota)


def _quota(options: argparse.Namespace) -> int:
    from lithops_magic.aws.account import quota
    from lithops_magic.aws.session import Cloud

    _check(options)
    settings = chosen_settings(options)
    cloud = Cloud.connect(settings)
    found = quota.read(cloud)
    print(cloud.describe())
    for name, text in _rows(cloud, found):
        print(f"  {name:<20} {text}")
    if options.tasks is not None:
        print(_job(options, settings, cloud, found))
    return 0


def _check(options: argparse.Namespace) -> None:
    if (options.tasks is None) != (options.seconds is None):
        raise ConfigError("--tasks and --seconds go together: quota --tasks 10000 --seconds 2")
    for name in ("tasks", "seconds", "workers"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"--{name} must be above 0, not {value:g}.")


def _rows(cloud: Cloud, found: Quota) -> list[tuple[str, str]]:
    from lithops_magic.aws.account import quota

    minutes = f"{quota.RECENT.total_seconds() / 60:.0f} minutes"
    used = f"unknown: {found.why}" if found.used is None else f"{found.used:,} at most in the last {minutes}"
    if cloud.is_local:
        return [("sandboxes at once", f"{found.unreserved:,} (lithops-magic local --workers)"), ("used now", used)]
    return [
        ("sandboxes at once", f"{found.unreserved:,}, of {found.account:,} in the account and region"),
        ("used now", used),
        (
            "new sandboxes",
            f"{quota.RAMP:,} every {quota.RAMP_SECONDS:.0f} s, for each function; --workers above {quota.RAMP:,} "
            "deploys copies of it",
        ),
        ("to raise it", f"Service Quotas, AWS Lambda, {quota.NAME}: {quota.link(cloud.region)}"),
    ]


def _job(options: argparse.Namespace, settings: Settings, cloud: Cloud, found: Quota) -> str:
    from lithops_magic.aws import prices
    from lithops_magic.aws.account.quota import RAMP, makespan
    from lithops_magic.engine.backend import copies
    from lithops_magic.engine.text import units

    asked = options.workers or settings.max_workers
    workers = min(found.unreserved, asked or found.unreserved)
    functions = copies.wanted(asked and workers, options.tasks)
    took = units.duration(makespan(options.tasks, options.seconds, workers, ramp=RAMP * functions))
    cost = options.tasks * prices.invocation_cost(
        options.seconds * 1000, settings.memory, settings.architecture, settings.ephemeral_storage, cloud.region
    )
    tasks, sandboxes = units.plural(options.tasks, "task"), units.plural(workers, "sandbox", "sandboxes")
    return (
        f"A job of {tasks} of {units.duration(options.seconds)}: at least {took} with {sandboxes} of "
        f"{settings.memory:,} MB, {units.price(cost, local=cloud.is_local)}"
    )
