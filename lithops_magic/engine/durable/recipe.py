"""What another process needs to continue a job, as plain data: the file names none of our classes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lithops_magic.config.settings import CREDENTIALS, FileSystem, Settings
from lithops_magic.engine.options import NAMES, MapOptions
from lithops_magic.engine.wire.container import Container
from lithops_magic.engine.wire.function import Function
from lithops_magic.packages import Need, Request, Unit

# Nothing secret is written to disk; values of environment variables may be secrets.
_UNWRITTEN = {*CREDENTIALS, "env_vars", "notes", "source", "unread"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What another process needs to continue a job."""

    settings: Settings
    """Without credentials and, once written and read back, without values of environment variables."""
    options: MapOptions
    function: Function
    secrets: Mapping[str, Mapping[str, str]]
    """Digests of the environment variables from ``settings`` and from ``options``."""
    complete: bool = True
    """Whether it has the values of the environment variables."""
    lost: tuple[str, ...] = ()
    """Files in the job's folder that were tampered with or damaged: the job cannot be resumed without them."""

    @classmethod
    def of(cls, settings: Settings, options: MapOptions, function: Function, key: bytes) -> Recipe:
        """Leave out what must not be written; `key` is the job's."""
        secrets = {"settings": _digests(settings.env_vars, key), "options": _digests(dict(options.env), key)}
        return cls(settings.without_credentials(), options, function, secrets)

    def to_plain(self) -> dict[str, Any]:
        """Return everything but the function's container and its files, which are represented by hashes."""
        options = {name: getattr(self.options, name) for name in NAMES if name not in ("env", "callbacks")}
        return {
            "settings": {name: value for name, value in asdict(self.settings).items() if name not in _UNWRITTEN},
            "options": options,
            "head": {name: value for name, value in self.function.head.items() if name != "env"},
            "need": _plain_need(self.function.need),
            "function": self.function.container.sha256,
            "secrets": self.secrets,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], container: bytes, sources: bytes) -> Recipe:
        """Return the recipe as written, with a container and files that are empty if they do not match their hashes."""
        packed = Container.parse(container)
        intact = packed.sha256 == plain["function"]
        whole = _hash(sources) == plain["need"]["sources"]
        lost = (*(() if intact else ("function",)), *(() if whole else ("sources",)))
        function = Function(
            packed if intact else Container(b""),
            _need(plain["need"], sources if whole else b""),
            _absent,
            plain["head"],
            (),
        )
        secrets = plain["secrets"]
        return cls(
            _settings(plain["settings"]), _options(plain["options"]), function, secrets, complete=False, lost=lost
        )

    def with_environment(self, candidates: Sequence[Mapping[str, str]], key: bytes) -> Recipe:
        """Return the recipe with values of the environment variables, each from the first candidate that matches.

        Raises
        ------
        LookupError
            Some variables, named in the error, have no match.
        """
        found = {place: _matching(digests, candidates, key) for place, digests in self.secrets.items()}
        absent = sorted({name for place, digests in self.secrets.items() for name in digests.keys() - found[place]})
        if absent:
            raise LookupError(", ".join(absent))
        head = {**self.function.head, **({"env": found["options"]} if found["options"] else {})}
        return replace(
            self,
            settings=self.settings.replace(env_vars=found["settings"]),
            options=replace(self.options, env=tuple(found["options"].items())),
            function=replace(self.function, head=head),
            complete=True,
        )


def _absent(_: Any) -> Any:
    """Stand in for a function that is still in its container."""
    raise NotImplementedError


def _digest(name: str, value: str, key: bytes) -> str:
    return hmac.digest(key, f"{name}={value}".encode(), hashlib.sha256).hex()


def _digests(variables: Mapping[str, str], key: bytes) -> dict[str, str]:
    return {name: _digest(name, value, key) for name, value in variables.items()}


def _matching(digests: Mapping[str, str], candidates: Sequence[Mapping[str, str]], key: bytes) -> dict[str, str]:
    """Return the values that match these digests."""
    return {
        name: each[name]
        for name, digest in digests.items()
        # Later entries replace earlier ones in a dict, so that the first candidate wins.
        for each in reversed(candidates)
        if name in each and hmac.compare_digest(_digest(name, each[name], key), digest)
    }


def _settings(plain: Mapping[str, Any]) -> Settings:
    # Another version may have recorded more settings than this one has.
    known = {field.name for field in fields(Settings)}
    values = {name: _frozen(value) for name, value in plain.items() if name in known}
    return Settings(**{**values, "efs": tuple(FileSystem(**each) for each in plain["efs"])})


def _options(plain: Mapping[str, Any]) -> MapOptions:
    known = {field.name for field in fields(MapOptions)}
    return MapOptions(**{name: _frozen(value) for name, value in plain.items() if name in known})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain_need(need: Need) -> dict[str, Any]:
    return {
        "units": [[unit.name, str(unit.path), str(unit.root), unit.kind, why] for unit, why in need.units],
        "projects": need.projects,
        "named": need.named,
        "sources": _hash(need.sources),
        "nothing": need.request.nothing,
        "requirements": need.request.requirements,
        "files": [[str(path), base64.b64encode(data).decode()] for path, data in need.request.files],
        "data": [[name, str(path)] for name, path in need.request.data],
        "environment": need.environment,
    }


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _need(plain: Mapping[str, Any], sources: bytes) -> Need:
    files = tuple((Path(path), base64.b64decode(data)) for path, data in plain["files"])
    data = tuple((name, Path(path)) for name, path in plain.get("data", ()))
    return Need(
        units=tuple((Unit(name, Path(path), Path(root), kind), why) for name, path, root, kind, why in plain["units"]),
        projects=tuple(plain["projects"]),
        named=tuple(plain.get("named", ())),
        sources=sources,
        request=Request(plain["nothing"], tuple(plain["requirements"]), files, data),
        environment=tuple((folder, changed) for folder, changed in plain["environment"]),
    )
