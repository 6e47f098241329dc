"""Identifies the packages and modules that some code reaches: a text that changes whenever their code does.

It is the same on all machines with the same versions, wherever and whenever these were installed.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from lithops_magic.packages.distributions import Part, is_from_files
from lithops_magic.packages.editable import contents_of
from lithops_magic.packages.metadata import edited_files
from lithops_magic.packages.moment import Moment, moment
from lithops_magic.packages.need import Need
from lithops_magic.packages.platform import Target
from lithops_magic.packages.supply import closure_of, fingerprint


def identity(need: Need, target: Target, meaning: Callable[[bytes, str], bytes]) -> str:
    """Return a text that changes whenever the packages and modules that meet `need` do.

    Parameters
    ----------
    meaning
        Returns what identifies the code of a file, given its source and name.
    """
    request, closure = closure_of(need, target)
    facts = [
        [request.nothing, request.requirements, [hashlib.sha256(data).hexdigest() for _, data in request.files]],
        sorted(_identity(part) for part in closure.parts.values()),
        sorted(map(str, closure.not_installed.values())),
        # Modules without a distribution have no version, so their files identify them.
        fingerprint(need, target) if closure.unowned else "",
        sorted(_of_sources(need, meaning)),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _of_sources(need: Need, meaning: Callable[[bytes, str], bytes]) -> list[tuple[str, str]]:
    """Return the user's own modules and files, each with what identifies it."""
    if not need.sources:
        return []
    with zipfile.ZipFile(io.BytesIO(need.sources)) as files:
        contents = [(name, files.read(name)) for name in files.namelist()]
    # A file that is named like a module but not loaded as one may be data that is read.
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    code = {name for name, _ in contents for unit in need.own if str(unit.root / name) in loaded}
    code -= {name for name, _ in need.request.data}
    return [
        (name, (meaning(data, name) if name in code else hashlib.sha256(data).digest()).hex())
        for name, data in contents
    ]


def goes_with(read: bytes, sent: bytes) -> bool:
    """Whether the archive `sent` contains all files of `read` unchanged; it may contain more."""
    here, there = _sums(read), _sums(sent)
    return here.items() <= there.items()


def _sums(archive: bytes) -> dict[str, tuple[int, int]]:
    if not archive:
        return {}
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return {info.filename: (info.CRC, info.file_size) for info in files.infolist()}


def _identity(part: Part) -> str:
    states = tuple(_state(file.path) for file in contents_of(part.distribution))
    return _content_version(part, str(getattr(part.distribution, "_path", "")), states)


def _state(path: Path) -> Moment:
    try:
        return moment(path.stat())
    except OSError:
        return 0, 0, 0


@functools.lru_cache(maxsize=512)
def _content_version(part: Part, _folder: str, _states: tuple[Moment, ...]) -> str:
    """Return an installed distribution's version, plus its contents if one version may have several."""
    files = list(contents_of(part.distribution))
    edited = [
        (file.name, hashlib.sha256(file.path.read_bytes()).hexdigest()) for file in edited_files(part.distribution)
    ]
    # A wheel for any platform is the same everywhere; of the others, only those from an index are known by version.
    by_content = part.pure or is_from_files(part.distribution)
    told = [(file.name, file.digest) for file in files if by_content and ".dist-info/" not in file.name]
    unlisted = [
        (file.name, hashlib.sha256(file.path.read_bytes()).hexdigest())
        for file in files
        if not file.digest
        and file.path.is_file()
        and ".dist-info/" not in file.name
        and not file.name.startswith("bin/")
    ]
    return json.dumps([part.pin, sorted(told), sorted(edited), sorted(unlisted)])
