"""Everything the local Lambda remembers: functions, versions, aliases and layers, stored in one JSON file."""

from __future__ import annotations

import dataclasses
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lithops_magic.local.control.archives import Archive, Archives
from lithops_magic.local.control.pending_states import PendingStates
from lithops_magic.local.model import Mount, RunnableVersion
from lithops_magic.local.names import LATEST, Account, not_found

RETRIES = 2
"""Lambda's default number of retries of an asynchronous invocation."""

EVENT_AGE = 21_600
"""Lambda's default maximum age of an asynchronous event in seconds (6 hours)."""


def new_revision() -> str:
    return str(uuid.uuid4())


def timestamp() -> str:
    """Return the current time in Lambda's format: 2026-11-23T14:00:00.000+0000."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


@dataclass(slots=True)
class Version:
    """One version of a function; `$LATEST` is replaced, numbered ones never change."""

    number: str
    configuration: dict[str, Any]
    """Members of AWS's `FunctionConfiguration`, but for name, ARN, state and what follows from `code`."""
    code: Archive
    layers: list[Archive]
    """In the order of `configuration["Layers"]`."""
    revision: str
    modified: str
    change: str
    """Equal in two versions exactly when code and configuration are."""
    image: str = ""
    """Address of the container image that `code` stands for."""


@dataclass(slots=True)
class Alias:
    name: str
    version: str
    description: str
    weights: dict[str, float]
    """Share of invocations that go to another version."""
    revision: str


@dataclass(slots=True)
class EventInvoke:
    """How asynchronous invocations of one qualifier are retried; None is Lambda's default."""

    retries: int | None
    age: int | None
    destinations: dict[str, Any]
    modified: float


@dataclass(slots=True)
class Function:
    name: str
    versions: dict[str, Version]
    """`$LATEST` first, then the published ones in order."""
    aliases: dict[str, Alias] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    event_invoke: dict[str, EventInvoke] = field(default_factory=dict)
    policies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Resource policy statements by qualifier."""
    policy_revisions: dict[str, str] = field(default_factory=dict)
    """The policies' revisions: those their holders had when the policies last changed."""
    recursive_loop: str = "Terminate"
    reserved: int | None = None
    published: int = 0
    """Highest version number ever assigned; numbers are never reused."""

    @property
    def latest(self) -> Version:
        return self.versions[LATEST]


@dataclass(slots=True)
class LayerVersion:
    number: int
    content: Archive
    details: dict[str, Any]
    """Description, license and compatibility as published."""
    created: str
    policy: list[dict[str, Any]] = field(default_factory=list)
    """Statements of its resource policy."""
    policy_revision: str = ""


@dataclass(slots=True)
class Layer:
    name: str
    versions: dict[int, LayerVersion] = field(default_factory=dict)
    published: int = 0


class Registry:
    """The service's state; its methods may only be called from the event loop's thread."""

    def __init__(self, state: Path, account: Account, archives: Archives, settle: float = 0.0) -> None:
        self.account = account
        self.pending_states = PendingStates(account, settle)
        self.functions: dict[str, Function] = {}
        self.layers: dict[str, Layer] = {}
        self._archives = archives
        self._state = state
        self._file = state / "lambda.json"
        self._load()

    def function(self, name_or_arn: str, named: str | None = None) -> Function:
        """Return a function, or raise ResourceNotFoundException with the qualifier `named` where the name has none."""
        name, qualifier = self.account.split_function(name_or_arn)
        if name not in self.functions:
            raise not_found(self.account.function_arn(name, qualifier or named))
        return self.functions[name]

    def version(self, name_or_arn: str, qualifier: str | None = None) -> tuple[Function, Version, str | None]:
        """Return the function, the version a qualifier means (an alias: its main version), and the qualifier."""
        name, qualifier = self.account.split_function(name_or_arn, qualifier)
        function = self.functions.get(name)
        if function is not None:
            number = qualifier or LATEST
            if number in function.aliases:
                number = function.aliases[number].version
            if number in function.versions:
                return function, function.versions[number], qualifier
        raise not_found(self.account.function_arn(name, qualifier))

    def resolve(self, name_or_arn: str, qualifier: str | None = None) -> RunnableVersion:
        """Return the version an invocation runs; an alias with weights chooses at random.

        Raises
        ------
        ServiceError
            ResourceNotFoundException, or ResourceConflictException while it is being created.
        """
        name, named = self.account.split_function(name_or_arn, qualifier)
        if name not in self.functions:
            # Only here does AWS's error name $LATEST where the request has no qualifier.
            raise not_found(self.account.function_arn(name, named or LATEST))
        function, version, qualifier = self.version(name_or_arn, qualifier)
        self.pending_states.check_invocable(function.name, version.number)
        alias = function.aliases.get(qualifier or "")
        for number, share in (alias.weights if alias else {}).items():
            if random.random() < share:
                version = function.versions[number]
        return self._runnable(function, version)

    def reserved_concurrency(self, name: str) -> int | None:
        return self.function(name).reserved

    def recursive_loop(self, name: str) -> str:
        """Return whether a loop of invocations is stopped: Terminate or Allow."""
        return self.function(name).recursive_loop

    def event_invoke(self, name_or_arn: str, qualifier: str | None = None) -> tuple[int, int]:
        """Return the retries and the maximum age in seconds of an asynchronous event."""
        _, qualifier = self.account.split_function(name_or_arn, qualifier)
        settings = self.function(name_or_arn).event_invoke.get(qualifier or LATEST)
        retries = settings.retries if settings else None
        age = settings.age if settings else None
        return RETRIES if retries is None else retries, EVENT_AGE if age is None else age

    def layer_version(self, arn: str) -> LayerVersion | None:
        name, number = self.account.split_layer(arn)
        layer = self.layers.get(name)
        return layer.versions.get(number or 0) if layer else None

    def used_archives(self) -> set[str]:
        """Return the digests of all archives that a function or layer version needs."""
        return {archive.digest for archive in self._all_archives()}

    def stored_bytes(self) -> int:
        """`TotalCodeSize`: the zips of all function and layer versions."""
        codes = sum(version.code.size for function in self.functions.values() for version in function.versions.values())
        return codes + sum(item.content.size for layer in self.layers.values() for item in layer.versions.values())

    def save(self) -> None:
        """Write everything to the state folder, atomically."""
        data = {
            "functions": [dataclasses.asdict(function) for function in self.functions.values()],
            "layers": [dataclasses.asdict(layer) for layer in self.layers.values()],
        }
        # Renamed when complete, so that a crash while writing leaves the old state.
        scratch = self._file.with_suffix(".new")
        # Environments may hold secrets.
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps(data))
        scratch.replace(self._file)

    def _all_archives(self) -> Iterator[Archive]:
        for function in self.functions.values():
            for version in function.versions.values():
                yield version.code
                yield from version.layers
        for layer in self.layers.values():
            for item in layer.versions.values():
                yield item.content

    def _runnable(self, function: Function, version: Version) -> RunnableVersion:
        configuration = version.configuration
        variables = configuration.get("Environment", {}).get("Variables", {})
        return RunnableVersion(
            name=function.name,
            version=version.number,
            arn=self.account.function_arn(function.name),
            role=configuration["Role"],
            runtime=version.image or configuration["Runtime"],
            handler=configuration.get("Handler", ""),
            code=self._archives.folder(version.code.digest),
            layers=tuple(self._archives.folder(layer.digest) for layer in version.layers),
            environment=tuple(sorted(variables.items())),
            memory=configuration["MemorySize"],
            timeout=configuration["Timeout"],
            ephemeral_storage=configuration["EphemeralStorage"]["Size"],
            mounts=tuple(self._mount(item) for item in configuration.get("FileSystemConfigs", ())),
            log_group=configuration["LoggingConfig"]["LogGroup"],
            # Tags and policies change the public RevisionId, but must not restart sandboxes.
            revision=f"{version.modified} {version.change}",
        )

    def _mount(self, file_system: dict[str, str]) -> Mount:
        # One folder for each access point: shared by all functions that mount it, and persisted with the state.
        source = self._state / "efs" / file_system["Arn"].rpartition("/")[2]
        source.mkdir(parents=True, exist_ok=True)
        return Mount(file_system["LocalMountPath"], source)

    def _load(self) -> None:
        if not self._file.exists():
            return
        data = json.loads(self._file.read_text())
        self.functions = {item["name"]: _function(item) for item in data["functions"]}
        self.layers = {item["name"]: _layer(item) for item in data["layers"]}


def _function(item: dict[str, Any]) -> Function:
    versions = {number: _version(version) for number, version in item.pop("versions").items()}
    aliases = {name: Alias(**alias) for name, alias in item.pop("aliases").items()}
    events = {name: EventInvoke(**event) for name, event in item.pop("event_invoke").items()}
    return Function(**item, versions=versions, aliases=aliases, event_invoke=events)


def _version(item: dict[str, Any]) -> Version:
    code, layers = Archive(**item.pop("code")), [Archive(**layer) for layer in item.pop("layers")]
    return Version(**item, code=code, layers=layers)


def _layer(item: dict[str, Any]) -> Layer:
    versions = {
        int(number): LayerVersion(**{**version, "content": Archive(**version["content"])})
        for number, version in item.pop("versions").items()
    }
    return Layer(**item, versions=versions)
