"""What a job would send, deploy and cost at worst, determined without sending or creating anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lithops_magic.config.limits import MAX_MEMORY
from lithops_magic.engine.backend import copies
from lithops_magic.engine.backend.deployment import gather
from lithops_magic.engine.backend.deployment_package import worker_package
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.wire import captures
from lithops_magic.engine.wire.function import Function
from lithops_magic.errors import SerializationError
from lithops_magic.packages import Request, Supply
from lithops_magic.worker import packing

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job would do."""

    place: str
    items: int | None
    """None if they come from an iterator, which is left untouched."""
    item_bytes: int | None
    """Size of the first item's pickle; None if looking at it would consume it."""
    function_bytes: int
    """Size of the function's pickle, including what it captures."""
    captured: tuple[tuple[str, int], ...]
    """The largest captured values with their sizes in bytes."""
    function: str
    """The function's name; empty if it depends on a layer that is yet to be published."""
    deployed: bool
    supply: Supply
    """The packages that would be shipped."""
    to_upload: int
    """Bytes of packages that are not yet in the account."""
    notes: tuple[str, ...]
    """Notes for the user, one sentence each."""
    settings: Settings
    options: MapOptions
    item_cost: float
    """USD at list price of one task that hits the timeout on every attempt, including requests."""
    tasks: int | None
    """Number of items, plus one for a reduction."""

    @property
    def workers(self) -> int | None:
        """Concurrent invocations requested by the user."""
        return self.options.workers or self.settings.max_workers

    @property
    def functions(self) -> int:
        """How many times the function is deployed, if the account's concurrency makes that worthwhile."""
        return copies.wanted(self.workers, self.items)

    @property
    def cost(self) -> float | None:
        """USD at list price if every task hits its timeout on every attempt; None if their number is unknown."""
        return None if self.tasks is None else self.tasks * self.item_cost


def plan(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    options: MapOptions,
    settings: Settings,
    reduce: Callable[[list[Any]], Any] | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Determine what a job would do; queries AWS, but builds layers only on this machine.

    Raises
    ------
    LithopsMagicError
        The job could not be started, for the same reasons as with `start`.
    """
    from lithops_magic.aws import prices
    from lithops_magic.aws.session import Cloud

    packed = Function.pickle(function, items, Request.parse(options.packages, options.files))
    # As a job does, up to the point where it would upload something.
    settings, given, notes = gather(options.applied_to(settings), packed.need, notify)
    cloud = Cloud.connect(settings, notify)
    name, deployed, to_upload = _look_up(cloud, settings, given)
    count = _count(items)
    return Plan(
        place=cloud.describe(),
        items=count,
        item_bytes=_first_item(items),
        function_bytes=len(packed.container),
        captured=tuple((capture.name, octets) for capture, octets in captures.sizes(function)[:3]),
        function=name,
        deployed=deployed,
        supply=given,
        to_upload=to_upload,
        notes=(*packed.warnings, *notes, *filter(None, [prices.estimate_note(cloud.region)])),
        settings=settings,
        options=options,
        item_cost=_worst(options, settings, cloud.region),
        tasks=None if count is None else count + (reduce is not None),
    )


def _look_up(cloud: Cloud, settings: Settings, given: Supply) -> tuple[str, bool, int]:
    """Return the function's name, whether it exists, and how many bytes of packages are not in the account yet."""
    from lithops_magic.aws.deploy.archive import archives_variable, missing_archives
    from lithops_magic.aws.deploy.function import look_up
    from lithops_magic.aws.deploy.layer import find_layers

    found = find_layers(cloud, settings, given.layers)
    layers = [arn for arn in found if arn is not None]
    to_publish = [layer for layer, arn in zip(given.layers, found, strict=True) if arn is None]
    to_store = missing_archives(cloud, settings, given.archives)
    to_upload = sum(one.size for one in (*to_publish, *to_store))
    if to_publish:
        # AWS assigns the version that is part of a layer's name, and the function's name depends on that.
        return "", False, to_upload
    variables = {**settings.env_vars, **archives_variable(cloud, settings, given.archives)}
    complete = settings.replace(layers=(*settings.layers, *layers), env_vars=variables)
    return *look_up(cloud, complete, worker_package()), to_upload


def _count(items: Iterable[Any]) -> int | None:
    try:
        return len(items) if isinstance(items, Sized) else None
    except Exception:  # an iterable's own method may fail too
        return None


def _first_item(items: Iterable[Any]) -> int | None:
    if not isinstance(items, Sequence) or not items:
        return None
    try:
        return len(packing.dumps(items[0]))
    except Exception as error:
        raise SerializationError(f"The first item cannot be pickled: {type(error).__name__}: {error}") from error


def _worst(options: MapOptions, settings: Settings, region: str) -> float:
    from lithops_magic.aws import prices

    memory, cost = float(settings.memory), 0.0
    for _ in range(options.retries + 1):
        cost += prices.invocation_cost(
            settings.timeout * 1000, round(memory), settings.architecture, settings.ephemeral_storage, region
        )
        memory = min(MAX_MEMORY, memory * (options.retry_memory or 1))
    # Each task may get a copy.
    return cost * (2 if options.backups else 1)
