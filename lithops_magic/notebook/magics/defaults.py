"""The magics' session defaults, which `%config LambdaMagics.memory = 2048` sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics
from traitlets import Bool, Dict, Enum, Float, Int, TraitError, Unicode, Union, validate

from lithops_magic.config import limits
from lithops_magic.config.lifetime import LIFETIME, parse_lifetime
from lithops_magic.notebook.parse import flags, option_values

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def _number(allowed: limits.Range, what: str) -> Int[int | None, int | None]:
    return Int(None, min=allowed.low, max=allowed.high, allow_none=True, help=f"{what}; {allowed}.").tag(config=True)


def _text(what: str) -> Unicode[str | None, str | bytes | None]:
    return Unicode(None, allow_none=True, help=what).tag(config=True)


def _switch(default: bool, what: str) -> Bool[bool, bool | int]:
    return Bool(default, help=what).tag(config=True)


# `Magics` is a traitlets Configurable: attributes tagged with config=True are what `%config` and profiles set.
class LambdaDefaults(Magics):
    """An attribute per option that may have a default; None leaves the choice to the configuration file."""

    shell: InteractiveShell

    memory = _number(limits.MEMORY, "Memory of the function")
    timeout = _number(limits.TIMEOUT, "Maximum run time of a task")
    tmp = _number(limits.TMP, "Size of /tmp")
    env = Dict(value_trait=Unicode(), key_trait=Unicode(), help="Environment variables of the tasks.").tag(config=True)
    packages = _text("Packages to ship besides those that the code imports; none ships no packages.")
    chunksize = _number(limits.COUNT, "Items sent in one invocation")
    workers = _number(limits.COUNT, "Maximum invocations in flight")
    retries = _number(limits.RETRIES, "Retries of a task whose sandbox crashed or was lost")
    retry_errors = _switch(False, "Also retry tasks that raised an exception.")
    retry_memory = Float(
        None, allow_none=True, help="Factor by which to raise the memory of a task that ran out of it."
    ).tag(config=True)
    backups = _switch(False, "Run a second copy of tasks that take far longer than others.")
    errors = Enum(flags.RAISE_OR_KEEP, "raise", help="Raise the grouped errors at the end, or only keep them.").tag(
        config=True
    )
    locals = _switch(False, "Show the local variables in tracebacks.")
    cache = Union(
        [Bool(), Unicode(), Float()],
        default_value=None,
        allow_none=True,
        help="Use values computed before, and keep new ones: True for 30 days, or a time such as '12h' or '90d'.",
    ).tag(config=True)
    max_cost = Float(None, allow_none=True, help="US dollars after which a job sends nothing more.").tag(config=True)
    profile = _text("AWS profile to use.")
    local = _switch(False, "Use the local AWS on this machine, whatever is configured.")
    progress = _switch(True, "Show progress and a summary.")
    timeline = _switch(True, "Show a picture of the sandboxes while a job of more than three seconds runs.")

    @validate("retry_memory", "max_cost")
    def _check_number(self, proposal: Any) -> float | None:
        name, value = proposal["trait"].name, proposal["value"]
        low, what = option_values.ABOVE[name]
        if value is not None and not low < value < float("inf"):
            raise TraitError(f"{name} must be {what}, not {value}")
        return value  # type: ignore[no-any-return]

    @validate("cache")
    def _check_cache(self, proposal: Any) -> Any:
        value = proposal["value"]
        try:
            if value is not None and not isinstance(value, bool):
                parse_lifetime(value)
        except ValueError:
            raise TraitError(f"cache must be {LIFETIME}, not {value!r}") from None
        return value

    @validate("env")
    def _check_env(self, proposal: Any) -> dict[str, str]:
        try:
            return dict(option_values.parse_pair(f"{name}={value}") for name, value in proposal["value"].items())
        except ValueError as error:
            raise TraitError(f"env must be names and values, not {error}") from None
