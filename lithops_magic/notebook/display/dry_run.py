"""Shows what a job would do, without doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lithops_magic.engine.text import html
from lithops_magic.engine.text.units import duration, money, plural
from lithops_magic.engine.text.units import size as octets
from lithops_magic.engine.tune.tuning import Size

if TYPE_CHECKING:
    from lithops_magic.engine.backend.dry_run import Plan
    from lithops_magic.engine.cache.lookup import CacheLookup
    from lithops_magic.engine.tune.tuning import Tuning
    from lithops_magic.notebook.display.progress_frame import Bundle

_TITLE = "Dry run: nothing was sent, nothing was created."


def preview(function: Callable[[Any], Any], items: Iterable[Any], **wanted: Any) -> None:
    """Show the plan of a job that `engine.start` would start with the same arguments."""
    from lithops_magic.engine.backend.dry_run import plan
    from lithops_magic.engine.cache.lookup import look_up
    from lithops_magic.engine.tune import remembered
    from lithops_magic.notebook.display.status import show

    __tracebackhide__ = True
    found = plan(function, items, **wanted)
    # With the versions that the function would get, which are part of a value's key.
    there = look_up(function, items, found.options, found.settings, found.supply.differences)
    show(describe(found, remembered.find(function, found.settings, found.options), there))


def describe(plan: Plan, tuning: Tuning | None = None, there: CacheLookup | None = None) -> Bundle:
    """Return a plan as text and HTML.

    Parameters
    ----------
    tuning
        Earlier measurements of its function.
    there
        The values that are in the cache.
    """
    facts = {
        "where": f"{plan.place} · configured by {plan.settings.source}",
        "items": _items(plan),
        "payload": _payload(plan),
        "function": _function(plan),
        "packages": _packages(plan),
        "cost": _cost(plan),
    }
    facts |= {"cache": _cache(there)} if there else {}
    facts |= {"estimate": estimate} if (estimate := _estimate(plan, tuning, there.values if there else 0)) else {}
    facts |= {"note": " · ".join(plan.notes)} if plan.notes else {}
    table = html.facts((name, [text]) for name, text in facts.items())
    return {
        "text/plain": "\n".join((_TITLE, *(f"  {name:<8}  {text}" for name, text in facts.items()))),
        "text/html": f"<div><div><b>{_TITLE}</b></div>{table}</div>",
    }


def _items(plan: Plan) -> str:
    return "unknown: they come from an iterator, which was not touched" if plan.items is None else f"{plan.items:,}"


def _payload(plan: Plan) -> str:
    largest = ", ".join(f"{name} {octets(taken)}" for name, taken in plan.captured)
    function = f"function {octets(plan.function_bytes)}" + (f" (with {largest})" if largest else "")
    return function if plan.item_bytes is None else f"{function} · first item {octets(plan.item_bytes)}"


def _function(plan: Plan) -> str:
    settings = plan.settings
    name = plan.function or "named once its packages are uploaded"
    state = "deployed already" if plan.deployed else "to be deployed"
    limits = f"{settings.memory:,} MB, {duration(settings.timeout)}, {settings.ephemeral_storage:,} MB of /tmp"
    parts = [name, state, limits]
    if plan.functions > 1:
        parts.insert(1, f"with up to {plural(plan.functions - 1, 'copy', 'copies')}, for {plan.workers:,} workers")
    if variables := [name for name, _ in plan.options.env]:
        parts.append(f"with {', '.join(variables)}")
    return " · ".join(parts)


def _packages(plan: Plan) -> str:
    if not plan.supply.built:
        return "none"
    shipped = [entry for layer in plan.supply.built for entry in layer.packages]
    listed = (
        ", ".join(f"{entry.name} {entry.version} ({octets(entry.size)})" for entry in shipped) or "your own modules"
    )
    return f"{listed} · {f'to be uploaded: {octets(plan.to_upload)}' if plan.to_upload else 'uploaded already'}"


def _cost(plan: Plan) -> str:
    attempts = plan.options.retries + 1
    worst = f"a task that runs {_times(attempts)} into its timeout of {duration(plan.settings.timeout)}"
    if plan.options.backups:
        worst += ", and its backup copy"
    each = f"at most {money(plan.item_cost)} for {worst}"
    if plan.cost is not None and plan.tasks is not None:
        each = f"at most {money(plan.cost)}: {plural(plan.tasks, 'task')}, {each}"
    limit = plan.options.max_cost
    stop = f"; nothing more is sent once {money(limit)} is spent" if limit is not None else ""
    return f"{each}{stop} (AWS list price{', free here' if plan.settings.local else ''})"


def _cache(there: CacheLookup) -> str:
    if there.problem:
        return there.problem
    saved = f", which saves ≈ {money(there.cost)}" if there.cost else ""
    return f"{plural(there.values, 'value is', 'values are')} there{saved}"


def _estimate(plan: Plan, tuning: Tuning | None, cached: int) -> str:
    """Estimate the job's cost from measurements of its function."""
    # Values in the cache cost nothing again.
    tasks = (plan.tasks or 0) - cached
    if tuning is None or tasks <= 0:
        return ""
    size = Size(plan.settings.memory, plan.settings.architecture)
    found = tuning.estimate(size, tasks)
    if found is None:
        others = ", ".join(f"{one.size.memory:,}" for one in tuning.measured if one.usable)
        return f"--tune has measured {others} MB, and not {size.memory:,} MB"
    between = f"{money(found.low)} to {money(found.high)}"
    items = plural(found.measured, "item")
    return f"probably {money(found.usd)}, {between} with 95 % confidence (--tune has measured {items})"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
