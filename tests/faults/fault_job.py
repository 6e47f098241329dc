"""A job whose tasks count how often they run, in a file that all sandboxes share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import lithops_magic
from lithops_magic.config import Settings
from lithops_magic.engine import MapResult

MOUNT = "/mnt/tally"


@dataclass
class Counted:
    """A job whose tasks square their item and record that they ran."""

    account: Settings
    name: str

    def run(self, items: Iterable[int], **options: Any) -> MapResult:
        """Run the job to its end."""
        result = self.start(items, **options)
        assert result.wait(240)
        return result

    def start(self, items: Iterable[int], **options: Any) -> MapResult:
        """Begin the job."""
        name = self.name

        def square(item: int) -> int:
            folder = os.environ.get("LAMBDA_MOUNT_TALLY", MOUNT)
            # A short append is atomic, even if others write to the same file.
            with open(f"{folder}/{name}", "ab", buffering=0) as tally:  # noqa: PTH123
                tally.write(b"%d\n" % item)
            return item * item

        return lithops_magic.map(square, items, settings=self.account, background=True, **options)

    def executions(self) -> Counter[int]:
        """How often each item was run."""
        name = self.name

        def read(_: int) -> bytes:
            folder = os.environ.get("LAMBDA_MOUNT_TALLY", MOUNT)
            with open(f"{folder}/{name}", "rb") as tally:  # noqa: PTH123
                return tally.read()

        (data,) = lithops_magic.map(read, [0], settings=self.account)
        return Counter(int(line) for line in data.split())
