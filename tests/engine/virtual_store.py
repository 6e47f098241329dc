"""S3 in memory, and transfers that take virtual time and no threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lithops_magic.aws.storage.objects import TAMPERED, Found
from lithops_magic.engine.dispatch import cached, transfers
from lithops_magic.errors import AwsError
from virtual_lambda import VirtualClock


class MemoryStore:
    """The objects of one account."""

    bucket, owner, start = "the-bucket", "the-owner", ""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: list[str] = []
        """The keys written, in that order."""
        self.asked: list[str] = []
        """The keys read."""
        self.known: set[str] = set()
        """Keys that are not checked again, because this process has written them."""
        self.refuses: BaseException | None = None
        """Raised by every write."""

    def value(self, content: bytes) -> dict[str, Any]:
        """The reference to a value that a worker wrote."""
        name = hashlib.sha256(content).hexdigest()
        self.objects[f"values/{name}"] = content
        return {"object": f"values/{name}", "sha256": name, "size": len(content)}

    def put_once(
        self, data: bytes, *, sha256: str, recheck: bool = False, sending: Callable[[int], None] | None = None
    ) -> str:
        key = f"once/{sha256}"
        if (recheck or key not in self.known) and key not in self.objects:
            if sending is not None:
                sending(len(data))
            self.put(key, data)
        self.known.add(key)
        return key

    def put(self, key: str, data: bytes) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.objects[key] = data
        self.written.append(key)

    put_new = put

    def list(self, prefix: str) -> Iterator[str]:
        return (key for key in self.objects if key.startswith(prefix))

    def find(self, prefix: str) -> Iterator[Found]:
        return (Found(key, len(self.objects[key]), 2e9) for key in self.list(prefix))

    def get(self, key: str, *, sha256: str | None = None, size: int | None = None) -> bytes:
        self.asked.append(key)
        if key not in self.objects:
            raise AwsError("there is no such object", code="NoSuchKey")
        content = self.objects[key]
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise AwsError("it was altered", code=TAMPERED)
        return content

    def delete_prefix(self, prefix: str) -> int:
        return 0

    def prepare_cache(self) -> None:
        self.put("prepared", b"")


class VirtualTransfers:
    """Transfers that each take `seconds`, any number of them at once."""

    def __init__(self, clock: VirtualClock, seconds: float, deliver: Callable[[Any], None]) -> None:
        self._clock, self._seconds, self._deliver = clock, seconds, deliver
        self._closed = False
        self.pending = 0

    def start(self, work: Callable[[], Any]) -> None:
        assert not self._closed
        self.pending += 1
        self._clock.later(self._seconds, lambda: self._deliver(work()))

    def close(self) -> None:
        self._closed = True


def in_virtual_time(patch: pytest.MonkeyPatch, clock: VirtualClock, seconds: float) -> None:
    """Make every transfer of later jobs take that many virtual seconds."""
    for module in (transfers, cached):
        patch.setattr(module, "Transfers", lambda deliver: VirtualTransfers(clock, seconds, deliver))
