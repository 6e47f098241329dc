"""Lets others see which calls boto3 makes for us in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Observer = Callable[[str, Mapping[str, Any]], object]
"""Told the operation, such as ``"lambda.CreateFunction"``, and its parameters, in the thread that calls."""

_observers: list[Observer] = []


def add(observer: Observer) -> None:
    """Tell `observer` each call from now on."""
    _observers.append(observer)


def remove(observer: Observer) -> None:
    """Tell `observer` no more."""
    _observers.remove(observer)


def watch(client: Any) -> None:
    """Have the calls of a client be seen."""
    client.meta.events.register("provide-client-params.*.*", _tell)


def _tell(params: Mapping[str, Any], model: Any, **_: Any) -> None:
    for observer in [*_observers]:
        observer(f"{model.service_model.service_name}.{model.name}", params)
