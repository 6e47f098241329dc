"""Uploads and downloads: which data can be written, and the progress bar of a large file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside

LARGE = 2**26
"""Bytes of a file from which its transfer has a progress bar."""


def readable(body: Any) -> Any:
    """Return the data to be written as a binary file.

    Raises
    ------
    MisuseError
        It is neither text, nor bytes, nor a file.
    """
    if isinstance(body, str):
        return io.BytesIO(body.encode())
    if isinstance(body, io.TextIOBase):
        return io.BytesIO(body.read().encode())
    if hasattr(body, "read"):
        return body
    try:
        # Any buffer, such as a NumPy array, as its bytes.
        return io.BytesIO(memoryview(body).cast("B"))
    except TypeError:
        raise MisuseError(f"an object must be text, bytes or a file, not {type(body).__name__}") from None


@contextmanager
def shown(size: int, name: str) -> Iterator[Any]:
    """Show a large transfer's progress; yield the callback that boto3 tells the bytes transferred."""
    if size < LARGE or inside.is_task():
        yield None
        return
    from lithops_magic.lithops.progress import bar

    with bar(total=size, unit="B", unit_scale=True, unit_divisor=1024, desc=name) as moving:
        yield moving.update
