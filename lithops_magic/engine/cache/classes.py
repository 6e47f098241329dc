"""Values whose classes the notebook defines: they load as instances of the class that the notebook has now.

cloudpickle identifies such classes by a random number. A value pickled in another kernel has a different number for
the same class, so that number is translated to the one that the class has here.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from lithops_magic.worker import packing

_tracker = cloudpickle.cloudpickle._get_or_create_tracker_id


def number(container: bytes, kinds: Sequence[type]) -> dict[str, int]:
    """Return which of the classes `kinds` a packed value refers to, as numbers in it mapped to places in `kinds`."""
    if not kinds:
        return {}
    # The number stands in the pickle as text; finding it there is enough, since 32 random digits do not occur by
    # chance.
    data = bytes(_data(container))
    return {name: place for place, kind in enumerate(kinds) if (name := _tracker(kind)).encode() in data}


def load(container: bytes, numbers: Mapping[str, int], kinds: Sequence[type]) -> Any:
    """Unpack a value that refers to its classes by these numbers."""
    if not numbers:
        return packing.loads(container)
    _, (data, *buffers) = packing.parts(container)
    translated = bytes(data)
    for name, place in numbers.items():
        # Both have 32 hexadecimal digits, so lengths and offsets in the pickle stay valid.
        translated = translated.replace(name.encode(), _tracker(kinds[place]).encode())
    return pickle.loads(translated, buffers=map(bytearray, buffers))


def _data(container: bytes) -> bytes | memoryview:
    """Return the pickle of a packed value, without its large buffers."""
    data: bytes | memoryview = packing.parts(container)[1][0]
    return data
