"""Lets others observe the calls that boto3 makes for us in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Observer = Callable[[str, Mapping[str, Any]], object]
"""Receives the operation, such as ``"lambda.CreateFunction"``, and its parameters, in the calling thread."""

_observers: list[Observer] = []


def add(observer: Observer) -> None:
    """Report each call to `observer` from now on."""
    _observers.append(observer)


def remove(observer: Observer) -> None:
    """Stop reporting to `observer`."""
    _observers.remove(observer)


def watch(client: Any) -> None:
    """Report the calls of a client to all observers."""
    client.meta.events.register("provide-client-params.*.*", _tell)


def _tell(params: Mapping[str, Any], model: Any, **_: Any) -> None:
    # A copy, because an observer may remove itself.
    for observer in [*_observers]:
        observer(f"{model.service_model.service_name}.{model.name}", params)
