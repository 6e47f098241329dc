"""Completes the magics' options, their choices, and notebook names in the rest of the line."""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from lithops_magic.notebook.magics import bucket_names, config
from lithops_magic.notebook.parse import options
from lithops_magic.notebook.parse.option import Option, by_flag, every_flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.config import Settings

_MAGIC = re.compile(r"%%?lambda_(\w+)\s")
_OPTIONS: dict[str, tuple[Option, ...]] = {
    "map": options.MAP,
    "call": options.CALL,
    "logs": options.LOGS,
    "attach": options.ATTACH,
    "status": options.MANAGE,
    "clean": options.CLEAN,
    "cache": options.CACHE,
    "tune": options.TUNE,
    "config": config.OPTIONS,
    "export": (),
}
_REDUCERS = ("all", "any", "dict", "len", "list", "max", "min", "set", "sorted", "sum", "tuple")
"""Python's functions that reduce a list to one value."""
_EXPRESSIONS = ("map", "logs", "tune")
"""Magics whose line contains an expression."""
_ADDRESS = re.compile(r"(?<![\w.])s3\([^()]*[\"']([^\"'()]*)\Z")
"""The part of an S3 address written so far."""
_NAME = re.compile(r"(?<![\w.\"'])[^\W\d]\w*\Z")


def matcher_for(
    shell: InteractiveShell, identifier: str, settings: Callable[[], Settings]
) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return a matcher for the shell's completer."""

    @context_matcher(  # type: ignore[untyped-decorator]
        # Above IPython's own matchers, whose results can then be suppressed.
        identifier=identifier,
        priority=100,
    )
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        line = _line(context)
        magic = _MAGIC.match(line)
        if magic is None or magic[1] not in _OPTIONS:
            return {"completions": []}
        address = _ADDRESS.search(line) if magic[1] in _EXPRESSIONS else None
        if address is not None:
            return _addresses(address[1], settings)
        fragment, found = _complete(line[magic.end() :], magic[1], shell.user_ns)
        suppressed = _suppressed(line[magic.end() :], magic[1], found=bool(found))
        # IPython ignores the suppression of a matcher without results, so return one that adds nothing.
        answers = found or ([(fragment, "param")] if suppressed is True else [])
        return {
            "completions": [SimpleCompletion(text=text, type=kind) for text, kind in answers],
            "matched_fragment": fragment,
            "suppress": suppressed,
        }

    result: Callable[[CompletionContext], SimpleMatcherResult] = complete
    return result


def _addresses(written: str, settings: Callable[[], Settings]) -> SimpleMatcherResult:
    found = bucket_names.beginning_with(written, settings)
    return {
        "completions": [SimpleCompletion(text=text, type="path") for text in found],
        "matched_fragment": written,
        "suppress": bool(found),
    }


def _suppressed(text: str, magic: str, *, found: bool) -> bool | set[str]:
    """Return which of IPython's own completions would be misleading.

    It would offer `memoryview` for `--me`, and files if it knows nothing better; inside quotes, files may be meant.
    """
    if magic not in _EXPRESSIONS or text.rpartition(" ")[2].startswith("-") or _awaiting(text, magic) is not None:
        return True
    if found and not _NAME.search(text):
        return True
    return set() if {"'", '"'} & set(text) else {"IPCompleter.file_matcher"}


def _awaiting(text: str, magic: str) -> Option | None:
    """Return the option whose value is being written."""
    before = next((past for past in reversed(text.split(" ")[:-1]) if past), "")
    option = by_flag(_OPTIONS[magic]).get(before)
    return option if option is not None and option.metavar is not None else None


def _line(context: CompletionContext) -> str:
    """Return the line up to the cursor, including the lines that it continues."""
    lines = context.full_text.split("\n")[: context.cursor_line + 1]
    if context.cursor_position is not None:
        lines[-1] = lines[-1][: context.cursor_position]
    # A magic's line may continue over several; IPython's context knows only the one with the cursor.
    first = len(lines) - 1
    while first and lines[first - 1].endswith("\\"):
        first -= 1
    return " ".join(line.removesuffix("\\") for line in lines[first:])


def _complete(text: str, magic: str, namespace: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    word = text.rpartition(" ")[2]
    if word.startswith("-"):
        return word, [(flag, "param") for flag in every_flag(_OPTIONS[magic]) if flag.startswith(word)]
    option = _awaiting(text, magic)
    if option is not None and magic == "config":
        return word, [(text, "param") for text in _settings(option, word) if text.startswith(word)]
    if option is not None:
        return word, [(text, "param") for text in _values(option, namespace) if text.startswith(word)]
    if magic == "attach" and word == text:
        return word, [(job, label) for job, label in _jobs(word) if job.startswith(word)]
    if magic == "export":
        return word, [(path, "path") for path in _files(word)]
    name = _NAME.search(word)
    if magic not in _EXPRESSIONS:
        return word, []
    if name is None:
        return "", []
    usable = dict.fromkeys([*_names(namespace), *_names(vars(builtins))])
    return name[0], [(text, "instance") for text in usable if text.startswith(name[0])]


def _jobs(word: str) -> list[tuple[str, str]]:
    """Return jobs with descriptions: the ID as listed, or in full once more of it is written."""
    from lithops_magic.notebook.display.job_table import SHOWN, listed_jobs

    length = SHOWN if len(word) < SHOWN else None
    return [(job.id[:length], f"{job.state}: {job.about}" if job.about else job.state) for job in listed_jobs()]


def _settings(option: Option, word: str) -> list[str]:
    """Return NAME= for every setting and, once a name is complete, NAME=VALUE if there are examples."""
    if option.field != "set":
        return [str(path) for path in sorted(Path().iterdir()) if path.suffix in (".yaml", ".yml", ".lithops_config")]
    name, given, _ = word.partition("=")
    if given:
        return [f"{name}={value}" for value in _of_setting(name)]
    from lithops_magic.notebook.form.names import NAMES

    return [f"{name}=" for name in NAMES]


def _of_setting(name: str) -> tuple[str, ...]:
    from lithops_magic.config.regions import lambda_regions
    from lithops_magic.config.settings import ALIASES

    if name in ("region", "region_name"):
        return lambda_regions()
    if name in ("local", "architecture"):
        return ("true", "false") if name == "local" else ("x86_64", "arm64")
    if name == "profile":
        return tuple(_profiles())
    option = by_flag(options.MAP).get(f"--{ALIASES.get(name, name)}")
    return option.examples if option is not None else ()


def _values(option: Option, namespace: Mapping[str, Any]) -> list[str]:
    if option.offers == "profiles":
        return _profiles()
    if option.offers == "files":
        return [str(path) + "/" * path.is_dir() for path in sorted(Path().iterdir()) if not path.name.startswith(".")]
    if option.offers == "requirements":
        return ["none", *(str(path) for path in sorted(Path().glob("*requirements*.txt")))]
    if option.offers is None:
        return [*option.choices, *option.examples]
    names = _names(namespace)
    if option.offers == "variables":
        return names
    return [*(name for name in names if callable(namespace[name])), *_REDUCERS]


def _profiles() -> list[str]:
    from botocore.session import Session

    return sorted(Session().available_profiles)


def _files(word: str) -> list[str]:
    """Return notebooks and folders whose names start with `word`, and files that an export may replace."""
    folder, _, start = word.rpartition("/")
    try:
        found = sorted(Path(folder or ".").expanduser().iterdir())
    except OSError:
        return []
    before = f"{folder}/" if folder else ""
    return [
        f"{before}{path.name}{'/' if path.is_dir() else ''}"
        for path in found
        if path.name.startswith(start) and not path.name.startswith(".")
        if path.is_dir() or path.suffix in (".ipynb", ".html", ".py")
    ]


def _names(namespace: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in namespace if not name.startswith("_"))
