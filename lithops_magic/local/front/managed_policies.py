"""AWS's managed policies, over a thousand, created when one is first looked up, which most jobs never do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any


def defer_policies() -> None:
    """Make moto's IAM create them lazily: they are most of its start-up time."""
    from moto.iam.models import IAMBackend

    make = IAMBackend._init_aws_policies

    def begin(backend: IAMBackend) -> MutableMapping[str, Any]:
        return LazyPolicies(lambda: {policy.arn: policy for policy in make(backend)})

    # `aws_managed_policies` is read only to create the others.
    setattr(IAMBackend, "_init_aws_policies", lambda _: [])  # noqa: B010
    setattr(IAMBackend, "_init_managed_policies", begin)  # noqa: B010


class LazyPolicies(MutableMapping[str, Any]):
    """Policies by ARN; `make` creates them at the first lookup."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make: Callable[[], Mapping[str, Any]] | None = make
        self._made: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def _policies(self) -> dict[str, Any]:
        with self._lock:
            if self._make is not None:
                self._made = dict(self._make())
                self._make = None
        return self._made

    def __getitem__(self, arn: str) -> Any:
        return self._policies[arn]

    def __setitem__(self, arn: str, policy: Any) -> None:
        self._policies[arn] = policy

    def __delitem__(self, arn: str) -> None:
        del self._policies[arn]

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)
