"""Finds or deploys a job's function and everything it needs, running independent steps in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.engine.backend.copies import needed
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.wire.store import Store
from lithops_magic.errors import LithopsMagicError

if TYPE_CHECKING:
    from lithops_magic.aws.deploy.function import DeployedFunction
    from lithops_magic.aws.session import Cloud
    from lithops_magic.aws.storage.objects import ObjectStore
    from lithops_magic.config import Settings
    from lithops_magic.engine.backend.remembered import Remembered
    from lithops_magic.packages import Need, Supply

FALLBACK_WORKERS = 100
"""Invocations in flight if the account's limit is unknown: a tenth of AWS's default quota."""
UNKNOWN_CONCURRENCY = (
    f"This endpoint does not report a concurrency limit: at most {FALLBACK_WORKERS} workers are used; "
    "set workers (or max_workers in the configuration) to change that."
)
FEW_COPIES = (
    "{refused} of {copies} copies of the function could not be deployed, and sandboxes start more slowly: {why}"
)
SIDE_BY_SIDE = 6
"""Functions deployed in parallel: the control plane allows 15 requests a second, and each takes about one second."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A function that this process found or deployed."""

    cloud: Cloud
    function: DeployedFunction
    copies: tuple[str, ...]
    """Names of the copies with the same definition."""
    asked: int
    """Number of functions requested."""
    workers: int
    """Concurrent invocations that the account allows."""
    notes: tuple[str, ...]
    differences: tuple[str, ...]
    store: Store
    recalled: bool
    """Whether it is known only from an earlier process and was not checked by this one."""


def deploy(
    settings: Settings, need: Need, workers: int | None, copies: int, notify: Callable[[str], None], *, afresh: bool
) -> Deployment:
    """Find or deploy a function that meets `need`.

    Parameters
    ----------
    workers
        Concurrent invocations requested by the user; None uses what the account allows.
    copies
        How many times to deploy it if the account's concurrency makes that worthwhile.
    afresh
        Whether resources known from an earlier process may be gone.

    Raises
    ------
    LithopsMagicError
        AWS refuses a request, or a package is unavailable.
    """
    from lithops_magic.aws import prices
    from lithops_magic.aws.account.local_role import denied_on_aws
    from lithops_magic.aws.deploy.role import role_arn
    from lithops_magic.aws.session import Cloud
    from lithops_magic.aws.storage.objects import ObjectStore
    from lithops_magic.engine.backend import remembered

    # Packages first: whether they can be shipped is known without AWS.
    possible, given, notes = gather(settings, need, notify)
    notify("Connecting")
    # Before connecting, because the local AWS starts in the meantime.
    package = worker_package()
    cloud = Cloud.connect(possible, notify)
    name = remembered.key(cloud, possible, given, package)
    # The store outlives this job: holding `notify` would keep the whole job and its values alive.
    store = ObjectStore(cloud, settings, account=role_arn(cloud, possible).split(":")[4])
    recalled = None if afresh else remembered.recall(name, copies)
    if recalled is None:
        found, refused = _find(cloud, possible, given, store, copies, notify)
        remembered.remember(name, found)
        notes += refused
    else:
        found = recalled
    notes = (*notes, *filter(None, [prices.estimate_note(cloud.region), denied_on_aws(cloud, settings)]))
    notes = (*notes, *_about_concurrency(cloud, workers, found.concurrency))
    return Deployment(
        cloud=cloud,
        function=found.function,
        copies=found.copies,
        asked=copies,
        workers=found.concurrency or FALLBACK_WORKERS,
        notes=notes,
        differences=given.differences,
        store=store,
        recalled=recalled is not None,
    )


def gather(settings: Settings, need: Need, notify: Callable[[str], None]) -> tuple[Settings, Supply, tuple[str, ...]]:
    """Return the settings that can be met, the packages that meet `need` there, and notes for the user.

    Raises
    ------
    PackageError
        Something is not available for Lambda.
    """
    from lithops_magic.packages import Room, Target, supply

    settings, notes = _without_image(settings)
    notify("Looking for packages")
    target = Target.of(settings.architecture, local=settings.local)
    given = supply(need, target, notify, Room.of(settings))
    return settings, given, (*notes, *given.notes)


def _find(
    cloud: Cloud, settings: Settings, given: Supply, store: ObjectStore, copies: int, notify: Callable[[str], None]
) -> tuple[Remembered, tuple[str, ...]]:
    """Find or create everything the function needs, and its copies; also return notes about the copies."""
    from lithops_magic.aws.deploy import function
    from lithops_magic.aws.deploy.archive import store_archives
    from lithops_magic.aws.deploy.layer import publish_layers
    from lithops_magic.aws.invoke import sender as invoke
    from lithops_magic.engine.backend.remembered import Remembered

    # Leaving the block waits for all copies: none is created after the job has failed.
    with ThreadPoolExecutor(SIDE_BY_SIDE, "lambda-deploy") as beside:
        # Meanwhile, because the account's limits do not depend on packages.
        concurrency = beside.submit(invoke.concurrency, cloud)
        published = publish_layers(cloud, settings, given.layers, notify)
        stored = store_archives(cloud, settings, given.archives, notify)
        settings = settings.replace(layers=(*settings.layers, *published), env_vars={**settings.env_vars, **stored})
        notify("Deploying the function")
        worth = min(copies, needed(concurrency.result() or 1)) if copies > 1 else 1
        further = [
            beside.submit(function.deploy, cloud, settings, worker_package(), copy=number) for number in range(1, worth)
        ]
        # The sandbox may not create the bucket, where a result that is too large would be stored.
        deployed = function.deploy(cloud, settings, worker_package(), notify, store.prepare)
    names, problems = _outcomes(further)
    why = problems[0] if problems else ""
    refused = (FEW_COPIES.format(refused=len(problems), copies=worth - 1, why=why),) if problems else ()
    # Record fewer than were asked for, so that the next process tries the refused ones again.
    asked = copies if not problems else len(names) + 1
    return Remembered(deployed, concurrency.result(), names, asked), refused


def _outcomes(further: Sequence[Future[DeployedFunction]]) -> tuple[tuple[str, ...], list[LithopsMagicError]]:
    """Return the names of the usable copies, and the errors that prevented the others."""
    names, problems = [], []
    for copy in further:
        try:
            names.append(copy.result().name)
        except LithopsMagicError as problem:
            problems.append(problem)
    return tuple(names), problems


def _about_concurrency(cloud: Cloud, workers: int | None, concurrency: int | None) -> tuple[str, ...]:
    from lithops_magic.aws.account import quota

    if concurrency is None:
        return (UNKNOWN_CONCURRENCY,) if workers is None else ()
    if cloud.is_local or (workers or 0) <= concurrency:
        return ()
    return (
        f"workers is {workers:,}, but this account's concurrency limit is {concurrency:,}: the rest waits. "
        f"To raise it: Service Quotas, AWS Lambda, {quota.NAME}, {quota.link(cloud.region)}",
    )


def _without_image(settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Drop a container image from the settings, because the local AWS cannot run one, and say so."""
    if not settings.local or settings.runtime is None:
        return settings, ()
    note = "the local AWS cannot run container images: tasks get the packages they use, not the image in runtime"
    return settings.replace(runtime=None), (note,)
