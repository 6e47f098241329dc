"""Packs a value as bytes: its pickle, its large buffers beside it uncopied, each compressed where that pays.

A container is a plain pickle (which starts with 0x80) if it has nothing to gain, as small values have not; else it is
`MAGIC`, the number of parts, the stored and the true size of each, and the parts: first the pickle, then its buffers.

One of a large function is `PARTS`, the numbers of its parts, of those at their start that pickles were cut into, and of
runs of parts, the sizes as above, for each run how many parts it has and `HERE` or the hash of the object that it is,
and the parts that are here. Without any run, all are here. Its value is that of the last pickle.
"""

from __future__ import annotations

import copyreg
import importlib
import io
import pickle
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from . import cell, reducers, values

MAGIC, PARTS = b"L", b"M"
HERE = bytes(32)
OUT_OF_BAND = 4096
"""Bytes from which a buffer stands beside the pickle: below, copying it costs less than keeping account of it."""
COMPRESS_FROM = 65_536
"""Bytes from which a part may be compressed: below, trying costs a noticeable part of a task's CPU for little."""
WORTH = 0.7
"""Compress what keeps at most this share of its size.

Measured on one core, zlib level 1: text 25 % at 257 MB/s, small integers 27 % at 214, rounded floats 44 % at 101,
noisy 8-bit pictures 82 % at 59, random floats 96 % at 50. At 0.7 and some 80 MB/s it pays on any link below 20 MB/s,
and it makes up for the third that base64 adds; the sandbox's own link (78 MB/s) is never the bottleneck then.
"""
_SAMPLES, _SAMPLE = 4, 4096
_FILE_NAME = 10
"""Where the file name stands among the arguments of `types.CodeType`."""
_NUMERIC = "numpy._core.numeric"
PLAIN = frozenset({bool, bytes, complex, float, int, str, type(None)})
whichmodule: Callable[[Any, str], str] = vars(pickle)["whichmodule"]
_COUNT = struct.Struct("<cI")
PARTS_HEAD = struct.Struct("<cIII")
SIZES = struct.Struct("<QQ")
RUN = struct.Struct("<I32s")
Sizes = Sequence[tuple[int, int]]
"""The stored and the true size of some parts."""


def dumps(value: Any) -> bytes:
    """Pack `value`; raises what pickling it raises."""
    if type(value) in PLAIN:
        # An eighth of the time, and cloudpickle has nothing to add to them.
        data = pickle.dumps(value, protocol=5)
        return data if len(data) < COMPRESS_FROM else pack(data)
    buffers = Buffers()
    with io.BytesIO() as file:
        Pickler(file, buffers.take).dump(value)
        return pack(file.getvalue(), buffers.views)


def loads(container: bytes | bytearray) -> Any:
    """Return the value; arrays in it can be written to."""
    return unpickle(*parts(container))


def unpickle(cut: int, parts: Sequence[bytes | bytearray | memoryview]) -> Any:
    """Return the value of parts, of which the first ones are pickles; it owns those that are a `bytearray`."""
    while True:
        buffers = map(_owned, parts[cut:])
        try:
            if cut == 1:
                return pickle.loads(parts[0], buffers=buffers)
            stream = _Stream(parts[:cut])
            unpickler = pickle.Unpickler(stream, buffers=buffers)
            while stream.left:
                value = unpickler.load()
            return value
        except ModuleNotFoundError as error:
            # Arrays of numpy 2, where there is numpy 1.
            if error.name != _NUMERIC or _NUMERIC in sys.modules:
                raise
            sys.modules[_NUMERIC] = importlib.import_module("numpy.core.numeric")


def _owned(part: bytes | bytearray | memoryview) -> bytearray:
    return part if isinstance(part, bytearray) else bytearray(part)


class _Stream:
    """A file of pickles that were cut between what is read at once."""

    def __init__(self, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        self.left = [memoryview(part) for part in reversed(parts)]

    def _take(self, size: int) -> memoryview:
        part = self.left.pop()
        if size < len(part):
            self.left.append(part[size:])
        return part[:size]

    def read(self, size: int = 0) -> bytes:
        return bytes(self._take(size))

    readline = read

    def readinto(self, buffer: memoryview) -> int:
        buffer[:] = self._take(len(buffer))
        return len(buffer)


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Keep the name of the code's file, by which tracebacks find the user's line; cloudpickle 3.1.3 drops it."""
    _, arguments = cloudpickle.Pickler.dispatch_table[CodeType](code)
    arguments = *arguments[:_FILE_NAME], code.co_filename, *arguments[_FILE_NAME + 1 :]
    return values.code, (sys.version[:4], *arguments)


_SHARED = {"random": ("random", "_inst"), "numpy": ("numpy.random.mtrand", "_rand")}
"""Where the generator is that a package's own functions, such as `random.random`, draw from."""


def shared_generator(package: str) -> Any:
    """Return that generator, which every process has; None if the package is not loaded."""
    module, name = _SHARED[package]
    return getattr(sys.modules.get(module), name, None)


class _Reducers(dict[type, Any]):
    """What takes objects apart, by their type: cloudpickle's own, then what is registered for the whole process.

    Lithops registers tblib for every exception, for the sake of tracebacks; no sandbox has it.
    """

    def __missing__(self, kind: type) -> Any:
        reduce = copyreg.dispatch_table[kind]
        if issubclass(kind, BaseException) and (getattr(reduce, "__module__", None) or "").startswith("tblib."):
            raise KeyError(kind)
        return reduce


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles as cloudpickle does; code keeps the name of its file, and exceptions need no tblib."""

    dispatch_table = _Reducers({**cloudpickle.Pickler.dispatch_table.maps[0], CodeType: _reduce_code, **reducers.TABLE})

    def __init__(self, file: Any, buffer_callback: Callable[[pickle.PickleBuffer], bool] | None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, value: Any) -> Any:
        """Take along what cloudpickle does not see: what a notebook cell reads, the slots of a class, a registry."""
        if isinstance(value, FunctionType) and (dispatcher := reducers.dispatcher(value)) is not None:
            return dispatcher
        reduced = super().reducer_override(value)
        if isinstance(value, FunctionType) and (names := cell.globals_of(value)) is not None:
            _, slots = reduced[2]
            slots["__globals__"] = names
        elif isinstance(value, type) and isinstance(reduced, tuple) and "__slots__" in vars(value):
            reduced = reducers.with_slots(value, reduced)
        elif reduced is NotImplemented and not isinstance(value, type | FunctionType):
            reduced = self._reduced(value)
        return reduced

    def _reduced(self, value: Any) -> Any:
        """Do what pickle would, and refuse what it would look for in the other end's `__main__`."""
        for package, (module, name) in _SHARED.items():
            if value is shared_generator(package):
                return getattr, (sys.modules[module], name)
        try:
            reduce = self.dispatch_table[type(value)]
        except KeyError:
            reduced = value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        else:
            reduced = reduce(value)
        if str(type(value).__module__).partition(".")[0] == "pandas":
            return reducers.of_pandas(value, reduced)
        if isinstance(reduced, str) and whichmodule(value, reduced) in ("__main__", "__mp_main__"):
            raise pickle.PicklingError(
                f"{reduced} (a {type(value).__qualname__}) is pickled by its name alone, and only the notebook has it"
            )
        return reduced


class Buffers:
    """Collects the large buffers of a value while it is pickled."""

    def __init__(self) -> None:
        self.views: list[memoryview] = []

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """A `buffer_callback`: true if the pickle itself is to hold the buffer."""
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND:
            return True
        self.views.append(view)
        return False


def pack(data: bytes, buffers: Sequence[memoryview] = ()) -> bytes:
    """Put a pickle and its buffers in one container."""
    if not buffers and len(data) < COMPRESS_FROM:
        return data
    true: list[bytes | memoryview] = [data, *buffers]
    stored = [shrunk(part) for part in true]
    if not buffers and stored[0] is data:
        return data
    sizes = [SIZES.pack(len(new), len(old)) for new, old in zip(stored, true, strict=True)]
    return b"".join([_COUNT.pack(MAGIC, len(true)), *sizes, *stored])


def shrunk(part: bytes | memoryview) -> bytes | memoryview:
    if len(part) < COMPRESS_FROM:
        return part
    step = (len(part) - _SAMPLE) // (_SAMPLES - 1)
    sample = b"".join(part[start : start + _SAMPLE] for start in range(0, step * _SAMPLES, step))
    if len(zlib.compress(sample, 1)) > WORTH * len(sample):
        return part
    return min(zlib.compress(part, 1), part, key=len)


def parts(container: bytes | bytearray, piece: Callable[[str, Sizes], Any] | None = None) -> tuple[int, list[Any]]:
    """Return how many parts pickles were cut into, and all parts; `piece` returns those of an object elsewhere."""
    if container[:1] not in (MAGIC, PARTS):
        return 1, [container]
    view = memoryview(container)
    place, (magic, count) = _COUNT.size, _COUNT.unpack_from(view)
    cut, runs = 1, 0
    if magic == PARTS:
        place, (_, count, cut, runs) = PARTS_HEAD.size, PARTS_HEAD.unpack_from(view)
    end = place + count * SIZES.size
    sizes = [*SIZES.iter_unpack(view[place:end])]
    place = end + runs * RUN.size
    found: list[Any] = []
    for number, sha256 in [*RUN.iter_unpack(view[end:place])] or [(count, HERE)]:
        group = sizes[len(found) : len(found) + number]
        if sha256 != HERE:
            assert piece
            found += piece(sha256.hex(), group)
            continue
        found += split(view[place:], group)
        place += sum(stored for stored, _ in group)
    return cut, found


def split(data: memoryview, sizes: Sizes) -> Iterator[bytes | memoryview]:
    """Yield the parts that data begin with."""
    for stored, true in sizes:
        part, data = data[:stored], data[stored:]
        yield part if stored == true else zlib.decompress(part, bufsize=true)
