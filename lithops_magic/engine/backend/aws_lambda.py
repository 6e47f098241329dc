"""What the scheduler needs of AWS: a deployed function that can be invoked, and what an invocation costs."""

from __future__ import annotations

import hmac
import math
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from lithops_magic.aws.invoke.outcomes import Done, Refused
from lithops_magic.config.limits import MOST_MEMORY
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.wire.store import Store

if TYPE_CHECKING:
    from lithops_magic.aws.deploy.function import DeployedFunction
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings
    from lithops_magic.engine.backend.remembered import Remembered
    from lithops_magic.packages import Need, Supply

FALLBACK_WORKERS = 100
"""Invocations in flight where nobody says how many an account may have: a tenth of AWS's usual quota."""
UNKNOWN_CONCURRENCY = (
    f"This endpoint does not say how many functions may run at once: {FALLBACK_WORKERS} at most are used; "
    "workers (or max_workers in the configuration) changes that."
)
FEW_FILES = (
    "this process may open too few files for {wanted:,} invocations at once: {workers:,} are used "
    "(ulimit -n raises the limit)"
)
UNLIMITED = 1_000_000_000
"""Invocations at once where none is sent."""
LOST_SECONDS = 180.0
"""Beyond the function's timeout: for a connection, newer credentials and a second attempt, and for a look at S3."""


class Sender(Protocol):
    """Invokes one function many times at once; `aws.invoke.Transport` is one."""

    def send(self, payload: bytes, done: Done) -> None:
        """Start one invocation and return at once; `done` is called once, from another thread.

        It returns False for an answer that is not the function's own: the connection that brought it is closed.
        """

    def close(self) -> None:
        """Abandon everything and return at once."""


class Left(Refused):
    """Not sent, because the job is only looked at."""

    __slots__ = ()


class Nowhere:
    """A sender of a job that is only looked at: nobody sends anything with it."""

    def send(self, payload: bytes, done: Done) -> None:  # noqa: ARG002
        """Refuse."""
        done(Left("", "", ""))

    def close(self) -> None:
        """There is nothing to abandon."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox has."""

    memory: int
    """MB."""
    timeout: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A function that can be invoked."""

    sender: Sender
    workers: int
    """Most invocations in flight."""
    limits: Limits
    local: bool
    reused: bool
    """Whether it was known from an earlier job and may have gone meanwhile."""
    price: Callable[[float], float]
    """USD for a number of billed milliseconds."""
    request_price: float
    """USD per invocation."""
    notes: tuple[str, ...] = ()
    """What the user should know, one sentence each."""
    patience: float = math.inf
    """Seconds after which an invocation of which nothing was heard is given up."""
    differences: tuple[str, ...] = ()
    """Packages of which it has another version than the notebook, one phrase each."""
    store: Store | None = None
    """Where what does not fit in an invocation is put."""


class Backend(Protocol):
    """Where functions run."""

    @property
    def grows(self) -> bool:
        """Whether to connect again deploys a function with all that has turned out to be needed meanwhile."""

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        """Find or deploy the function; `notify` is told each step. `afresh`: what was known is gone."""

    def larger(self, factor: float) -> Backend | None:
        """Return the same with `factor` times the memory, as far as AWS has it; None if it has the most already."""

    def needing(self, need: Need) -> Backend:
        """Return the same where the function has what `need` says."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A function that was found or deployed in this process."""

    cloud: Cloud
    function: DeployedFunction
    workers: int
    notes: tuple[str, ...]
    differences: tuple[str, ...]
    store: Store
    recalled: bool
    """Whether an earlier process found it, and this one has not looked."""


_known: dict[object, _Known] = {}
"""By everything that decides where a function runs; saves each further job half a second."""


def deployed_here() -> list[str]:
    """Return the names of the functions that this process has found or deployed, the latest first."""
    return list(dict.fromkeys(known.function.name for known in reversed(list(_known.values()))))


_once = secrets.token_bytes(32)


def _environment() -> bytes:
    """Return what tells two environments apart, and nothing of the secrets in them: tracebacks show local variables."""
    code = hmac.new(_once, digestmod="sha256")
    for name in sorted(os.environ):
        if name.startswith(("AWS_", "LITHOPS_")):
            code.update(f"{name}={os.environ[name]}\0".encode(errors="surrogateescape"))
    return code.digest()


class LambdaBackend:
    """AWS Lambda, or the local AWS, as `settings` say.

    Parameters
    ----------
    settings
        Where and with how much memory and time the function runs.
    workers
        Most invocations in flight; None takes what the account allows.
    need
        The packages and modules that the function needs.
    asynchronous
        Whether invocations are only taken, and run later.
    """

    grows = True

    def __init__(self, settings: Settings, workers: int | None, need: Need, *, asynchronous: bool = False) -> None:
        self._settings = settings
        self._asynchronous = asynchronous
        self._need = need
        self._workers = workers or settings.max_workers

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        """Connect, find or deploy the function, and open a way to invoke it."""
        from lithops_magic.aws import prices
        from lithops_magic.aws.invoke import sender as invoke
        from lithops_magic.packages import Target, fingerprint

        settings = self._settings
        # What is in S3 expires: once a day it is looked at again.
        content = fingerprint(self._need, Target.of(settings.architecture, local=settings.local))
        key = (settings, self._need, content, _environment(), datetime.now(UTC).date())
        reused = not afresh and key in _known and _known[key].cloud.is_there()
        if not reused:
            _known[key] = self._deploy(notify, afresh=afresh)
        cloud, deployed = _known[key].cloud, _known[key].function
        wanted = self._workers or _known[key].workers
        workers = invoke.allow_sockets(wanted)
        few = (FEW_FILES.format(workers=workers, wanted=wanted),) if workers < wanted else ()

        return Endpoint(
            sender=invoke.open_transport(
                cloud,
                deployed.name,
                max_in_flight=workers,
                timeout=deployed.timeout,
                asynchronous=self._asynchronous,
            ),
            workers=workers,
            limits=Limits(deployed.memory, deployed.timeout),
            local=cloud.is_local,
            reused=reused or _known[key].recalled,
            price=self._price(cloud.region),
            request_price=prices.price_of(cloud.region).request,
            notes=(*_known[key].notes, *few),
            patience=deployed.timeout + LOST_SECONDS,
            differences=_known[key].differences,
            store=_known[key].store,
        )

    def view(self, notify: Callable[[str], None], *, connected: bool) -> Endpoint:
        """Return what stands for a function that is not to be invoked; `connected` to S3 at least."""
        from lithops_magic.aws import prices
        from lithops_magic.aws.session import Cloud
        from lithops_magic.aws.storage.objects import ObjectStore

        settings, store = self._settings, None
        if connected:
            notify("Connecting")
            store = ObjectStore(Cloud.connect(settings, notify), settings)
        return Endpoint(
            sender=Nowhere(),
            workers=UNLIMITED,
            limits=Limits(settings.memory, settings.timeout),
            local=settings.local,
            reused=False,
            price=self._price(settings.region or ""),
            request_price=prices.price_of(settings.region or "").request,
            store=store,
        )

    def _price(self, region: str) -> Callable[[float], float]:
        from lithops_magic.aws import prices

        settings = self._settings

        def price(billed_ms: float) -> float:
            return prices.compute_cost(
                billed_ms, settings.memory, settings.architecture, settings.ephemeral_storage, region
            )

        return price

    def larger(self, factor: float) -> LambdaBackend | None:
        """Return the same with `factor` times the memory, as far as AWS has it; None if it has the most already."""
        memory = min(MOST_MEMORY, math.ceil(self._settings.memory * factor))
        if memory == self._settings.memory:
            return None
        return LambdaBackend(self._settings.replace(memory=memory), self._workers, self._need)

    def needing(self, need: Need) -> LambdaBackend:
        """Return the same where the function has what `need` says."""
        return LambdaBackend(self._settings, self._workers, need, asynchronous=self._asynchronous)

    def _deploy(self, notify: Callable[[str], None], *, afresh: bool) -> _Known:
        from lithops_magic.aws import prices
        from lithops_magic.aws.account.local_role import denied_on_aws
        from lithops_magic.aws.session import Cloud
        from lithops_magic.aws.storage.objects import ObjectStore
        from lithops_magic.engine.backend import remembered

        settings, given, notes = gather(self._settings, self._need, notify)
        notify("Connecting")
        cloud = Cloud.connect(settings, notify)
        name = remembered.key(cloud, settings, given, worker_package())
        recalled = None if afresh else remembered.recall(name)
        if recalled is None:
            found = self._found(cloud, settings, given, notify)
            remembered.remember(name, found)
        else:
            found = recalled
        # It outlives this job: a `notify` in it would keep the job with all its values.
        store = ObjectStore(cloud, self._settings, account=found.function.account)
        notes = (*notes, *filter(None, [prices.estimate_note(cloud.region), denied_on_aws(cloud, self._settings)]))
        concurrency, wanted = found.concurrency, self._workers
        if concurrency is None and wanted is None:
            notes = (*notes, UNKNOWN_CONCURRENCY)
        if concurrency is not None and not cloud.is_local and (wanted or 0) > concurrency:
            notes = (*notes, _too_many(cloud, wanted or 0, concurrency))
        workers = concurrency or FALLBACK_WORKERS
        return _Known(cloud, found.function, workers, notes, given.differences, store, recalled is not None)

    def _found(self, cloud: Cloud, settings: Settings, given: Supply, notify: Callable[[str], None]) -> Remembered:
        """Find or create all that the function needs, what does not depend on one another side by side."""
        from lithops_magic.aws.deploy import function
        from lithops_magic.aws.deploy.archive import store_archives
        from lithops_magic.aws.deploy.layer import publish_layers
        from lithops_magic.aws.deploy.role import role_arn
        from lithops_magic.aws.invoke import sender as invoke
        from lithops_magic.aws.storage.objects import ObjectStore
        from lithops_magic.engine.backend.remembered import Remembered

        with ThreadPoolExecutor(1, "lambda-deploy") as beside:
            concurrency = beside.submit(invoke.concurrency, cloud)
            published = publish_layers(cloud, settings, given.layers, notify)
            stored = store_archives(cloud, settings, given.archives, notify)
            settings = settings.replace(layers=(*settings.layers, *published), env_vars={**settings.env_vars, **stored})
            notify("Deploying the function")
            store = ObjectStore(cloud, self._settings, account=role_arn(cloud, settings).split(":")[4])
            # A result that is too large must find its bucket: the sandbox may not create it.
            deployed = function.deploy(cloud, settings, worker_package(), notify, store.prepare)
        return Remembered(deployed, concurrency.result())


def _too_many(cloud: Cloud, workers: int, concurrency: int) -> str:
    from lithops_magic.aws.account import quota

    return (
        f"workers is {workers:,}, but this account runs {concurrency:,} sandboxes at once: the rest waits. "
        f"More: Service Quotas, AWS Lambda, {quota.NAME}, {quota.link(cloud.region)}"
    )


def gather(settings: Settings, need: Need, notify: Callable[[str], None]) -> tuple[Settings, Supply, tuple[str, ...]]:
    """Return the settings as they can be met, the packages that meet `need` there, and what the user should know.

    Raises
    ------
    PackageError
        Something cannot be had for Lambda.
    """
    from lithops_magic.packages import Room, Target, supply

    settings, notes = _without_image(settings)
    notify("Looking for packages")
    target = Target.of(settings.architecture, local=settings.local)
    given = supply(need, target, notify, Room.of(settings))
    return settings, given, (*notes, *given.notes)


def _without_image(settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return what the local AWS, which cannot run a container image, makes of settings that name one."""
    if not settings.local or settings.runtime is None:
        return settings, ()
    note = "the local AWS runs no container images: tasks get the packages they use instead of the image in runtime"
    return settings.replace(runtime=None), (note,)
