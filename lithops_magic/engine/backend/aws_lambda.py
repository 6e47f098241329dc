"""Where a job's function runs: AWS Lambda, or the local AWS."""

from __future__ import annotations

import hmac
import math
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lithops_magic.config.limits import MAX_MEMORY
from lithops_magic.engine.backend.copies import needed, wanted
from lithops_magic.engine.backend.deployment import Deployment, deploy
from lithops_magic.engine.backend.endpoint import UNLIMITED, Endpoint, Limits, NoSender

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.packages import Need

FEW_FILES = (
    "this process's open-file limit is too low for {wanted:,} concurrent invocations: {workers:,} are used "
    "(ulimit -n raises the limit)"
)
LOST_SECONDS = 180.0
"""Added to the function's timeout: time to connect, refresh credentials, try again, and look in S3."""


_deployments: dict[object, Deployment] = {}
"""Deployments by everything that determines where a function runs; saves each later job half a second."""


def deployed_here() -> list[str]:
    """Return the names of the functions that this process found or deployed, latest first."""
    latest = reversed(list(_deployments.values()))
    return list(dict.fromkeys(name for known in latest for name in (known.function.name, *known.copies)))


_digest_key = secrets.token_bytes(32)


def _environment() -> bytes:
    """Return a digest that tells environments apart without revealing secrets: tracebacks show local variables."""
    code = hmac.new(_digest_key, digestmod="sha256")
    for name in sorted(name for name in os.environ if name.startswith(("AWS_", "LITHOPS_"))):
        code.update(f"{name}={os.environ[name]}\0".encode(errors="surrogateescape"))
    return code.digest()


class LambdaBackend:
    """AWS Lambda or the local AWS, depending on `settings`.

    Parameters
    ----------
    settings
        Where the function runs, and with how much memory and time.
    workers
        Maximum invocations in flight; None uses what the account allows.
    need
        The packages and modules that the function needs.
    tasks
        Number of tasks, which may justify several copies of the function; None if unknown.
    asynchronous
        Whether invocations are only queued, to run later.
    """

    grows = True

    def __init__(
        self,
        settings: Settings,
        workers: int | None,
        need: Need,
        *,
        tasks: int | None = None,
        asynchronous: bool = False,
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._asynchronous = asynchronous
        self._need = need
        self._workers = workers or settings.max_workers

    def connect(self, notify: Callable[[str], None], *, afresh: bool) -> Endpoint:
        """Connect, find or deploy the function, and open a way to invoke it."""
        from lithops_magic.aws import prices
        from lithops_magic.aws.invoke import sender as invoke
        from lithops_magic.packages import Target, fingerprint

        settings, copies = self._settings, self._copies()
        # Objects in S3 expire, so they are checked again once a day.
        content = fingerprint(self._need, Target.of(settings.architecture, local=settings.local))
        # Whatever can change where the function runs: boto3 reads AWS_*, the configuration LITHOPS_*.
        key = (settings, self._need, content, _environment(), datetime.now(UTC).date())
        reused = (
            not afresh
            and key in _deployments
            and _deployments[key].asked >= copies
            # A local AWS may have ended since.
            and invoke.is_there(_deployments[key].cloud)
        )
        # Two threads may both do this: a function is named by its definition, so that they get the same one.
        if not reused:
            _deployments[key] = deploy(settings, self._need, self._workers, copies, notify, afresh=afresh)
        known = _deployments[key]
        cloud, deployed = known.cloud, known.function
        asked = self._workers or known.workers
        workers = invoke.allow_sockets(asked)
        few = (FEW_FILES.format(workers=workers, wanted=asked),) if workers < asked else ()
        transport = invoke.open_transport(
            cloud,
            deployed.name,
            max_in_flight=workers,
            timeout=deployed.timeout,
            asynchronous=self._asynchronous,
        )
        return Endpoint(
            sender=transport,
            copies=tuple(transport.beside(name) for name in known.copies[: needed(workers) - 1]),
            workers=workers,
            limits=Limits(deployed.memory, deployed.timeout),
            local=cloud.is_local,
            reused=reused or known.recalled,
            price=self._price(cloud.region),
            request_price=prices.price_of(cloud.region).request,
            notes=(*known.notes, *few),
            patience=deployed.timeout + LOST_SECONDS,
            differences=known.differences,
            store=known.store,
        )

    def _copies(self) -> int:
        """Return how many times to deploy the function, limited by the number of possible connections."""
        from lithops_magic.aws.invoke import sender as invoke

        copies = wanted(self._workers, self._tasks)
        return copies if copies == 1 else wanted(invoke.allow_sockets(self._workers or 1), self._tasks)

    def view(self, notify: Callable[[str], None], *, connected: bool) -> Endpoint:
        """Return an endpoint for a function that will not be invoked; `connected` if at least S3 is needed."""
        from lithops_magic.aws import prices
        from lithops_magic.aws.session import Cloud
        from lithops_magic.aws.storage.objects import ObjectStore

        settings, store = self._settings, None
        if connected:
            notify("Connecting")
            store = ObjectStore(Cloud.connect(settings, notify), settings)
        return Endpoint(
            sender=NoSender(),
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
        """Return a backend with `factor` times the memory, capped at AWS's maximum; None if already at it."""
        memory = min(MAX_MEMORY, math.ceil(self._settings.memory * factor))
        if memory == self._settings.memory:
            return None
        # Few tasks are expected to need more memory.
        return LambdaBackend(self._settings.replace(memory=memory), self._workers, self._need, tasks=1)

    def needing(self, need: Need) -> LambdaBackend:
        """Return a backend whose function meets `need`."""
        return LambdaBackend(self._settings, self._workers, need, tasks=self._tasks, asynchronous=self._asynchronous)
