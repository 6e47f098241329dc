"""Cache keys: a value is named by the meanings of its function and of its item."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lithops_magic import packages
from lithops_magic.engine.cache.impure import visibly_impure
from lithops_magic.engine.cache.meaning import Meaning, Undetermined
from lithops_magic.errors import PackageError
from lithops_magic.worker import packing

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.engine.options import MapOptions

_FORMAT = 1
"""Increment whenever the same function would get another name, or its values another format."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """Names one value among those of its function."""

    digest: bytes
    kinds: tuple[type, ...] = ()
    """Classes that the item brings with it."""


class Keys:
    """Computes the cache keys of one job.

    Parameters
    ----------
    function
        The mapped function in its current state.
    settings, options
        Where and how it runs.
    sources
        The files that are sent along.
    say
        Told, once, that and why an item's value cannot be cached.

    Raises
    ------
    Undetermined
        The function has no reproducible meaning.
    """

    def __init__(
        self,
        function: Any,
        settings: Settings,
        options: MapOptions,
        sources: bytes | None = None,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._say = say
        self._said = False
        if settings.runtime and "@sha256:" not in settings.runtime:
            raise Undetermined(
                "the container image is named by a tag, which may be moved to another one: use its digest"
            )
        self._request = packages.Request.parse(options.packages, options.files)
        self._target = packages.Target.of(settings.architecture, local=settings.local)
        self._modules: dict[frozenset[str], str] = {}
        self._sources = b""
        # Kept alive, because the classes below are identified by their ids.
        self._meaning = Meaning()
        self._meaning.add(function)
        self.kinds = tuple(self._meaning.kinds)
        """Classes that the function brings with it."""
        self._shared = {id(kind): number for number, kind in enumerate(self.kinds)}
        self._own = self._packages(self._meaning)
        # The files are read twice, for the key and to be sent: a value must not be stored under the key of other files.
        if sources is not None and not packages.goes_with(self._sources, sources):
            raise Undetermined("a file was changed while the job was starting")
        self.impure = visibly_impure(self._meaning, sends_files=bool(self._request.data))
        """What the function visibly depends on besides its arguments, in words."""
        facts = [
            _FORMAT,
            [sys.implementation.name, sys.version_info.major, sys.version_info.minor],
            self._meaning.digest().hex(),
            self._own,
            [settings.architecture, settings.runtime, settings.layers, [asdict(each) for each in settings.efs]],
            [sorted(settings.env_vars.items()), options.env, options.starmap],
        ]
        self._facts = json.dumps(facts)

    def of_function(self, differences: Iterable[str] = ()) -> str:
        """Return the function's name; `differences`: packages with another version on Lambda, one phrase each."""
        return hashlib.sha256(json.dumps([self._facts, *sorted(differences)]).encode()).hexdigest()[:32]

    def of_item(self, item: Any) -> Key | None:
        """Return the key of a task's value among those of the function; None if it has none."""
        try:
            return self._of_item(item)
        except Undetermined as error:
            if not self._said:
                self._said = True
                self._say(f"cache: not used for items that cannot be identified: {error}")
            return None

    def _of_item(self, item: Any) -> Key:
        if type(item) in packing.PLAIN:
            # Plain values are the same in every process, so their pickle says what they are; the prefix keeps them
            # apart from walked ones.
            return Key(hashlib.sha256(b"=" + packing.dumps(item)).digest())
        meaning = Meaning(self._shared)
        meaning.add(item)
        digest = hashlib.sha256(b"*" + meaning.digest() + self._packages(meaning).encode()).digest()
        return Key(digest, tuple(meaning.kinds))

    def _packages(self, meaning: Meaning) -> str:
        """Return what identifies the packages and modules that an object reaches."""
        names = frozenset(meaning.modules | packages.imports_of_code(meaning.codes))
        if names not in self._modules:
            try:
                need = packages.need_of(dict.fromkeys(sorted(names), "used"), self._request)
            except PackageError as error:
                raise Undetermined(str(error)) from error
            self._modules[names] = packages.identity(need, self._target, _of_file)
            if not self._sources:
                self._sources = need.sources
        return self._modules[names]


@lru_cache(maxsize=4096)
def _of_file(content: bytes, name: str) -> bytes:
    """Return what identifies a file of the user's modules: what it does if it is Python source, else its contents."""
    if PurePosixPath(name).suffix == ".py":
        try:
            # Without this module's own `from __future__` imports, which would change what the code means.
            code = compile(content, name, "exec", dont_inherit=True)
            meaning = Meaning()
            meaning.add(code)
            return meaning.digest()
        except (SyntaxError, ValueError, Undetermined):  # not for this Python: only its contents can identify it
            pass
    return hashlib.sha256(content).digest()
