"""How one job is to be run: every option's name, type, default and meaning are declared here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from lithops_magic import data
from lithops_magic.closest import closest
from lithops_magic.config import limits
from lithops_magic.config.lifetime import DEFAULT, LIFETIME, parse_lifetime
from lithops_magic.config.settings import ALIASES, SETTING_OF
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    from lithops_magic.config import Settings

KEEP_AFTER = 5.0
"""Seconds: keeping a result that took longer is worth the hundred-thousandth of a dollar it costs."""

Callback = Callable[[Any, Any], object]
"""Receives each event of a job and its state at the time (``lithops_magic.callbacks``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """How one job is run; None means the setting's or the engine's own choice.

    Raises
    ------
    MisuseError
        A value is wrong.
    """

    memory: int | None = None
    """Memory of the function in MB; more memory also means more CPU."""
    timeout: int | None = None
    """Maximum seconds per invocation, up to 900."""
    tmp: int | None = None
    """Size of `/tmp` in MB, 512 to 10,240."""
    env: tuple[tuple[str, str], ...] = ()
    """Environment variables for the tasks, besides those of the settings; changing them deploys no new function."""
    chunksize: int | None = None
    """Tasks per invocation; by default adapted to the measured duration of the tasks."""
    workers: int | None = None
    """Maximum invocations in flight; by default what the account allows. Above 1,000, the function is deployed several
    times, because AWS starts at most 1,000 sandboxes of each function in ten seconds."""
    retries: int = 2
    """How often a task is retried after a crash, a timeout or a lost connection; 0 never runs a task twice. Exceptions
    that the function raises are not retried."""
    retry_errors: bool = False
    """Also retry tasks whose function raised an exception."""
    retry_memory: float | None = None
    """Factor by which to raise the memory of a task that ran out of it when it is retried, such as 2."""
    backups: bool = False
    """Near the end of the job, send a second copy of a task that takes more than three times as long as its peers; the
    first result wins. Off by default, because such a task runs twice: only for functions that may run twice."""
    max_cost: float | None = None
    """USD at list price after which nothing more is sent; what is in flight then is still billed."""
    detach: bool = False
    """Hand all tasks to Lambda as asynchronous invocations and return as soon as that is done: the job continues
    without this process, its results are kept in S3 for seven days, and ``lithops_magic.attach(result.job_id)`` picks
    it up. `workers` does not limit it, and it takes at most 100,000 items."""
    keep_after: float = KEEP_AFTER
    """Seconds after which a task's result is also kept in S3, where a lost connection or kernel cannot take it."""
    errors: Literal["raise", "keep"] = "raise"
    """``"raise"``: raise the first error with a summary of all when the job is over; ``"keep"``: only keep them."""
    locals: bool = False
    """Whether an error shows the local variables of the frame that failed."""
    cache: float | None = None
    """Reuse values computed before, by any notebook of this account and namespace, and keep the new ones: True for 30
    days, or a time such as ``"12h"`` or ``"90d"``. A value is reused if the function (its code, what it captures,
    the modules and the versions of the packages it reaches, `files` and `env`) and the item are the same.
    Randomness, the time and other files are not tracked: a function that depends on them returns what it returned
    then."""
    reduce_by: str | None = None
    """Reduce the values of each group of items separately. Groups are named by an attribute of the items, or by a key
    of dictionaries, such as ``"key"`` for the parts of each object; the result's ``reduced`` is then a dictionary."""
    to_s3: str | None = None
    """Leave the values in S3, where tasks write them: an address such as ``"bucket/prefix/{index}.parquet"``, whose
    suffix (parquet, csv, json, npy, else pickle; bytes as they are) says how. The result has references with `key`,
    ``read()`` and ``get()`` instead. A task that runs twice writes the same object twice."""
    packages: str | tuple[str, ...] | None = None
    """Packages to ship in addition to those that the function is seen to use, or in other versions: ``"numpy==2.1
    polars"``, a requirements file, or a list of these; ``"none"`` ships none at all. Once a file names hashes,
    everything that is fetched must match its own."""
    files: str | tuple[str, ...] | None = None
    """Files and folders to put into the tasks' working folder: a path, a pattern such as ``"data/*.csv"``, or a list of
    these. What is in or below this process's folder keeps its relative path; anything else goes by its own name."""
    starmap: bool = False
    """Call the function with each item's elements as its arguments, as `itertools.starmap` does."""
    callbacks: tuple[Callback, ...] = ()
    """Each is called with every event of the job (``lithops_magic.callbacks``) and a snapshot of it, one after the
    other in a thread of its own; one that raises is not called again, and the job continues."""
    label: str = ""
    """What the user calls the job, shown in its repr."""
    about: str = ""
    """Where the job was started and how its code begins, shown in lists of jobs."""

    @property
    def keeping(self) -> dict[str, list[str]]:
        """What a worker must know to keep outcomes in S3: the first one is final, so it must not be a retried error."""
        return {"again": ["error"]} if self.retry_errors else {}

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings, overridden by the options that concern the function itself."""
        chosen = {SETTING_OF[name]: getattr(self, name) for name in ("memory", "timeout", "tmp")}
        return settings.replace(**{name: value for name, value in chosen.items() if value is not None})

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name in _NEEDED:
                object.__setattr__(self, name, check(name, value))
        if self.to_s3 and self.cache:
            raise MisuseError("cache: values that stay in S3 (to_s3) are not cached; leave out cache or to_s3")


NAMES = tuple(field.name for field in fields(MapOptions))


def check_names(names: Mapping[str, Any], allowed: tuple[str, ...] = NAMES, caller: str = "") -> None:
    """Reject unknown options.

    Raises
    ------
    MisuseError
        There is one; the message suggests what was probably meant.
    """
    for name in names:
        if name not in allowed:
            meant = ALIASES.get(name) if ALIASES.get(name) in allowed else closest(name, allowed)
            hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(allowed)}"
            raise MisuseError(f"{caller}there is no option {name!r}; {hint}")


def _wrong(name: str, wanted: object, value: object) -> MisuseError:
    return MisuseError(f"{name} must be {wanted}, not {value!r}")


def _whole(allowed: limits.Range) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        try:
            return allowed.checked(value)
        except ValueError:
            raise _wrong(name, allowed, value) from None

    return check


def _above(low: float, wanted: str, *, also: bool = False) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        try:
            # NaN fails every comparison below; True would pass as 1.
            number = math.nan if isinstance(value, str | bytes | bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (low < number < math.inf or (also and number >= low)):
            raise _wrong(name, wanted, value)
        return number

    return check


def flag(name: str, value: Any) -> bool:
    """Return a switch, or raise MisuseError."""
    # NumPy's bool is not a subclass of Python's.
    if type(value).__name__ not in ("bool", "bool_"):
        raise _wrong(name, "True or False", value)
    return bool(value)


def _lifetime(name: str, value: Any) -> float | None:
    if value is None or value is False:
        return None
    if value is True:
        return DEFAULT
    try:
        return parse_lifetime(value) or None
    except ValueError:
        raise _wrong(name, LIFETIME, value) from None


def _one_of(*choices: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _wrong(name, " or ".join(map(repr, choices)), value)
        return value

    return check


def _attribute(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _wrong(name, "the name of an attribute of the items, such as 'key'", value)
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def _pair(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        raise TypeError
    return tuple(value)


def _pairs(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    wanted = "names and values, such as {'DEBUG': '1'}"
    try:
        # A string of two characters would unpack as a pair, too.
        pairs = tuple(
            (key, text) for key, text in map(_pair, value.items() if isinstance(value, Mapping) else value or ())
        )
    except (TypeError, ValueError):
        raise _wrong(name, wanted, value) from None
    for key, text in pairs:
        texts = isinstance(key, str) and isinstance(text, str)
        # No process can have such a variable.
        if not texts or not key or "=" in key or "\0" in key + text:
            # Name the key, not the value, which may be secret.
            raise MisuseError(f"{name} must be {wanted}, all of them strings: look at {key!r}")
    return pairs


def _texts(name: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    texts = tuple(value) if isinstance(value, list | tuple | set | frozenset) else ()
    if not all(isinstance(text, str) for text in texts) or (value and not texts):
        raise _wrong(name, "a string or a list of strings", value)
    return texts


def _paths(name: str, value: Any) -> str | tuple[str, ...]:
    one = isinstance(value, str | os.PathLike)
    try:
        paths = tuple(os.fspath(path) for path in ([value] if one else value))
        if isinstance(value, Mapping | bytes) or not all(isinstance(path, str) and path for path in paths):
            raise TypeError
    except TypeError:
        raise _wrong(name, "a path or a list of paths", value) from None
    return paths


def _callables(name: str, value: Any) -> tuple[Callback, ...]:
    given = tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)
    for each in given:
        if not callable(each):
            raise _wrong(name, "functions that take an event and a snapshot", each)
    return given


_NEEDED = frozenset(field.name for field in fields(MapOptions) if field.default is not None)
"""Options for which None is validated like any other value."""

_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "memory": _whole(limits.MEMORY),
    "timeout": _whole(limits.TIMEOUT),
    "tmp": _whole(limits.TMP),
    "env": _pairs,
    "chunksize": _whole(limits.COUNT),
    "workers": _whole(limits.COUNT),
    "retries": _whole(limits.RETRIES),
    "retry_errors": flag,
    "retry_memory": _above(1, "a factor above 1, such as 2"),
    "backups": flag,
    "max_cost": _above(0, "an amount of US dollars above 0"),
    "detach": flag,
    "keep_after": _above(0, "seconds, at least 0", also=True),
    "errors": _one_of("raise", "keep"),
    "locals": flag,
    "cache": _lifetime,
    "reduce_by": _attribute,
    "to_s3": data.checked,
    "packages": _texts,
    "files": _paths,
    "starmap": flag,
    "callbacks": _callables,
    "label": _text,
    "about": _text,
}
