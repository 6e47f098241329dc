"""Packs a value as bytes: its pickle and, out of band, its large buffers, each compressed where that pays.

A small value's container is a plain pickle (which starts with 0x80). Any other is `MAGIC`, the number of parts, the
stored and the true size of each, and the parts: first the pickle, then its buffers.

A large function's is `PARTS`; the numbers of parts, of leading parts that pickles were cut into, and of runs of parts;
the sizes as above; for each run its number of parts and `HERE` or the hash of the object that holds them; and the
parts that are here. Without runs, all are here. Its value is that of the last pickle.
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
"""Bytes from which a buffer is stored out of band: below, copying it is cheaper."""
COMPRESS_FROM = 65_536
"""Bytes from which to try compressing a part: below, the gain is not worth the CPU."""
MAX_RATIO = 0.7
"""Compress what shrinks to at most this share of its size.

Measured on one core, zlib level 1: text 25 % at 257 MB/s, small integers 27 % at 214, rounded floats 44 % at 101,
noisy 8-bit pictures 82 % at 59, random floats 96 % at 50. At 0.7 and some 80 MB/s it pays on any link below 20 MB/s,
and it makes up for the third that base64 adds; the sandbox's own link (78 MB/s) is never the bottleneck then.
"""
_SAMPLES, _SAMPLE = 4, 4096
_FILE_NAME = 10
"""Position of the file name among the arguments of `types.CodeType`."""
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
        # pickle takes an eighth of the time, and cloudpickle adds nothing for these types.
        data = pickle.dumps(value, protocol=5)
        return data if len(data) < COMPRESS_FROM else pack(data)
    buffers = Buffers()
    with io.BytesIO() as file:
        Pickler(file, buffers.take).dump(value)
        return pack(file.getvalue(), buffers.views)


def loads(container: bytes | bytearray) -> Any:
    """Return the value; its arrays are writable."""
    return unpickle(*parts(container))


def unpickle(cut: int, parts: Sequence[bytes | bytearray | memoryview]) -> Any:
    """Return the value of parts, the first of which are pickles; it takes over those that are a `bytearray`."""
    while True:
        buffers = map(_owned, parts[cut:])
        try:
            if cut == 1:
                return pickle.loads(parts[0], buffers=buffers)
            stream = _Stream(parts[:cut])
            unpickler = pickle.Unpickler(stream, buffers=buffers)
            # One unpickler for all pickles: later ones refer to objects in earlier ones. The last one is the value.
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
    """A file of the parts that pickles were cut into."""

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
    """Keep the code's file name, by which tracebacks find the user's line; cloudpickle 3.1.3 drops it."""
    _, arguments = cloudpickle.Pickler.dispatch_table[CodeType](code)
    arguments = *arguments[:_FILE_NAME], code.co_filename, *arguments[_FILE_NAME + 1 :]
    return values.code, (sys.version[:4], *arguments)


_SHARED = {"random": ("random", "_inst"), "numpy": ("numpy.random.mtrand", "_rand")}
"""Where a package has the generator behind functions such as `random.random`."""


def shared_generator(package: str) -> Any:
    """Return this process's shared generator of a package; None if the package is not loaded."""
    module, name = _SHARED[package]
    return getattr(sys.modules.get(module), name, None)


class _Reducers(dict[type, Any]):
    """Reducers by type: cloudpickle's own, then those registered for the whole process.

    Lithops registers tblib's for exceptions, to pickle tracebacks; sandboxes do not have tblib.
    """

    def __missing__(self, kind: type) -> Any:
        reduce = copyreg.dispatch_table[kind]
        if issubclass(kind, BaseException) and (getattr(reduce, "__module__", None) or "").startswith("tblib."):
            raise KeyError(kind)
        return reduce


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler, but code keeps its file name, and exceptions need no tblib."""

    dispatch_table = _Reducers({**cloudpickle.Pickler.dispatch_table.maps[0], CodeType: _reduce_code, **reducers.TABLE})

    def __init__(self, file: Any, buffer_callback: Callable[[pickle.PickleBuffer], bool] | None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, value: Any) -> Any:
        """Handle what cloudpickle misses: the names a cell reads, a class's slots, a singledispatch registry."""
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
        """Reduce as pickle would, but refuse what would be looked up in the other end's `__main__`."""
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
        """A `buffer_callback`: return True to keep the buffer in band."""
        view = buffer.raw()
        if view.nbytes < OUT_OF_BAND:
            return True
        self.views.append(view)
        return False


def pack(data: bytes, buffers: Sequence[memoryview] = ()) -> bytes:
    """Put a pickle and its buffers into one container."""
    if not buffers and len(data) < COMPRESS_FROM:
        return data
    true: list[bytes | memoryview] = [data, *buffers]
    stored = [compressed(part) for part in true]
    if not buffers and stored[0] is data:
        return data
    sizes = [SIZES.pack(len(new), len(old)) for new, old in zip(stored, true, strict=True)]
    return b"".join([_COUNT.pack(MAGIC, len(true)), *sizes, *stored])


def compressed(part: bytes | memoryview) -> bytes | memoryview:
    if len(part) < COMPRESS_FROM:
        return part
    step = (len(part) - _SAMPLE) // (_SAMPLES - 1)
    sample = b"".join(part[start : start + _SAMPLE] for start in range(0, step * _SAMPLES, step))
    if len(zlib.compress(sample, 1)) > MAX_RATIO * len(sample):
        return part
    return min(zlib.compress(part, 1), part, key=len)


def parts(container: bytes | bytearray, piece: Callable[[str, Sizes], Any] | None = None) -> tuple[int, list[Any]]:
    """Return how many parts pickles were cut into, and all parts; `piece` fetches those held by another object."""
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
    """Yield the parts at the start of `data`."""
    for stored, true in sizes:
        part, data = data[:stored], data[stored:]
        yield part if stored == true else zlib.decompress(part, bufsize=true)
