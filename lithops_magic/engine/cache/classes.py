"""Values of classes of the notebook's own: they come back as instances of the class that the notebook has now.

cloudpickle numbers such classes at random, and whoever unpickles an instance finds the class by that number. A value
of another kernel has another number for the same class, so it is given the one that the class has here.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.worker import packing

_tracker = cloudpickle.cloudpickle._get_or_create_tracker_id


def number(container: bytes, kinds: Sequence[type]) -> dict[str, int]:
    """Return which of the classes `kinds` a packed value refers to: their numbers in it, and places in `kinds`."""
    if not kinds:
        return {}
    data = bytes(_data(container))
    return {name: place for place, kind in enumerate(kinds) if (name := _tracker(kind)).encode() in data}


def load(container: bytes, numbers: Mapping[str, int], kinds: Sequence[type]) -> Any:
    """Unpack a value whose classes have these numbers in it."""
    if not numbers:
        return packing.loads(container)
    _, (data, *buffers) = packing.parts(container)
    translated = bytes(data)
    for name, place in numbers.items():
        # Both are 32 hexadecimal digits: nothing that counts bytes is wrong afterwards.
        translated = translated.replace(name.encode(), _tracker(kinds[place]).encode())
    return pickle.loads(translated, buffers=map(bytearray, buffers))


def _data(container: bytes) -> bytes | memoryview:
    """Return the pickle of a packed value, without its large buffers."""
    data: bytes | memoryview = packing.parts(container)[1][0]
    return data
