"""Functions that take an `obj`: they are mapped over addresses, with one call per part of each object."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lithops_magic.errors import MisuseError
from lithops_magic.lithops import inside
from lithops_magic.lithops.arguments import elements
from lithops_magic.lithops.storage.utils import CloudObject

PARAMETER = "obj"


@dataclass(frozen=True)
class Cut:
    """How objects are split into parts, under Lithops' names of the arguments."""

    obj_chunk_size: int | None = None
    obj_chunk_number: int | None = None
    obj_newline: str | bytes | None = "\n"

    def refuse(self) -> None:
        """Raise an error if these arguments are given to a function that cannot use them."""
        for name, default in vars(Cut()).items():
            if getattr(self, name) != default:
                raise MisuseError(
                    f"{name} is for functions that have a parameter `{PARAMETER}`: it splits objects in S3"
                )


def parts(data: Any, cut: Cut, settings: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each part of the objects at the addresses in `data`, with the call's other arguments.

    Raises
    ------
    MisuseError
        Something is not an address, or nothing is there.
    """
    if inside.is_task():
        raise MisuseError(
            f"a task cannot map over objects (`{PARAMETER}`): map over them in the program that starts it"
        )
    from lithops_magic.data import s3

    for element in elements(data):
        beside, address = _split(element)
        found = s3(
            address, chunk=cut.obj_chunk_size, newline=cut.obj_newline, obj_chunk_number=cut.obj_chunk_number
        ).bound(lambda: settings)
        yield from ((beside, part) for part in found)


def _split(element: Any) -> tuple[Any, str | os.PathLike[str]]:
    beside: Any = ()
    address = element
    # The other keys are further arguments of the call, as in Lithops.
    if isinstance(element, dict) and PARAMETER in element:
        beside, address = {name: value for name, value in element.items() if name != PARAMETER}, element[PARAMETER]
    if isinstance(address, CloudObject):
        return beside, f"s3://{address.bucket}/{address.key}"
    if not isinstance(address, str | os.PathLike):
        raise MisuseError(
            f"a function with a parameter `{PARAMETER}` is mapped over addresses, such as 'bucket/key', or over "
            f"dictionaries with one under '{PARAMETER}', not {type(element).__name__}"
        )
    return beside, address
