"""What a job would send, deploy and cost at worst, found without sending or creating anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lithops_magic.engine import captures
from lithops_magic.engine.options import MapOptions
from lithops_magic.engine.package import worker_package
from lithops_magic.engine.payload import Function, fragment
from lithops_magic.packages import Request, Supply, Target, supply

if TYPE_CHECKING:
    from lithops_magic.config import Settings

MOST_MEMORY = 10_240
"""MB of a Lambda (AWS Lambda's quotas)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job would do."""

    place: str
    items: int | None
    """None: they come from an iterator, which was not touched."""
    item_bytes: int | None
    """Of the first item in a request; None where looking at it would use it up."""
    function_bytes: int
    """Of the function in a request, with what it takes along."""
    captured: tuple[tuple[str, int], ...]
    """The largest values that it takes along, with their bytes."""
    function: str
    """The function's name; empty while it depends on a layer that is still to be published."""
    deployed: bool
    supply: Supply
    """The packages that would ship."""
    unpublished: int
    """Bytes of layers that are not in the account yet."""
    settings: Settings
    options: MapOptions
    item_cost: float
    """USD at list price of one task that runs into the time-out at every attempt, requests included."""
    tasks: int | None
    """Items, and one more for a reduction."""

    @property
    def cost(self) -> float | None:
        """USD at list price if every task runs into its time-out at every attempt; None if their number is unknown."""
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
    """Find out what a job would do; asks AWS what is there, and builds layers on this machine only.

    Raises
    ------
    LithopsMagicError
        The job could not be started, for the same reasons as in `start`.
    """
    from lithops_magic.aws.function import look_up
    from lithops_magic.aws.layer import find_layers
    from lithops_magic.aws.session import Cloud

    blob = Function.pickle(function, items, Request.parse(options.packages))
    asked = {"memory": options.memory, "timeout": options.timeout, "ephemeral_storage": options.tmp}
    settings = settings.replace(**{name: value for name, value in asked.items() if value is not None})
    given = supply(blob.need, Target.of(settings.architecture, local=settings.local), notify)
    cloud = Cloud.connect(settings, notify)
    found = find_layers(cloud, settings, given.layers)
    name, deployed = "", False
    known = [arn for arn in found if arn is not None]
    if len(known) == len(found):
        name, deployed = look_up(cloud, settings.replace(layers=(*settings.layers, *known)), worker_package())
    count = len(items) if isinstance(items, Sized) else None
    return Plan(
        place=cloud.describe(),
        items=count,
        item_bytes=_first_item(items, blob.room),
        function_bytes=len(blob.prefix),
        captured=tuple((capture.name, octets) for capture, octets in captures.sizes(function)[:3]),
        function=name,
        deployed=deployed,
        supply=given,
        unpublished=sum(layer.size for layer, arn in zip(given.layers, found, strict=True) if arn is None),
        settings=settings,
        options=options,
        item_cost=_worst(options, settings, cloud.region),
        tasks=None if count is None else count + (reduce is not None),
    )


def _first_item(items: Iterable[Any], room: int) -> int | None:
    return len(fragment(0, items[0], room)) if isinstance(items, Sequence) and items else None


def _worst(options: MapOptions, settings: Settings, region: str) -> float:
    from lithops_magic.aws import prices

    memory, cost = float(settings.memory), 0.0
    for _ in range(options.retries + 1):
        cost += prices.invocation_cost(
            settings.timeout * 1000, round(memory), settings.architecture, settings.ephemeral_storage, region
        )
        memory = min(MOST_MEMORY, memory * (options.retry_memory or 1))
    return cost * (2 if options.backups else 1)
