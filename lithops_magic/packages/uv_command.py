"""Runs uv as a child process, and turns its messages into exceptions."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

from lithops_magic.errors import PackageError
from lithops_magic.packages.indexes import Given, configuration, options
from lithops_magic.packages.uv_settings import NOT_PASSED_ON, no_binary
from lithops_magic.working_folder import working_folder

_UNREACHABLE = (
    "error sending request",
    "dns error",
    "Connection refused",
    "Network is unreachable",
    "timed out",
    "network was disabled",
)
_DENIED = re.compile(r"\b(401 Unauthorized|403 Forbidden|407 Proxy Authentication Required)\b")
_NO_BINARY = re.compile(r"A source distribution is required for (?:`([^`]+)`)?")
_BUILT = re.compile("The built wheel `|Failed to build ")
_DOWNLOAD = re.compile(r"Downloading (?P<name>\S+) \((?P<size>[\d.]+)(?P<unit>[KMG])iB\)")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class Unresolvable(Exception):
    """No versions and wheels satisfy all requirements; the text explains the conflict."""


class IndexUnreachable(Exception):
    """The package index does not respond, and the packages are not in uv's cache."""


def run(
    arguments: Sequence[str], text: str, notify: Callable[[str], None] | None = None, given: Given = ()
) -> tuple[str, list[str]]:
    """Run uv with `text` on standard input and the settings in `given`; return its output and its warnings.

    Raises
    ------
    Unresolvable, IndexUnreachable
        As they say.
    """
    try:
        return _call(arguments, text, notify, given)
    except IndexUnreachable:
        # Anything fetched before is still cached, however old.
        try:
            return _call([*arguments, "--offline"], text, given=given)
        except Unresolvable as error:
            raise IndexUnreachable(str(error)) from None


def _call(
    arguments: Sequence[str], text: str, notify: Callable[[str], None] | None = None, given: Given = ()
) -> tuple[str, list[str]]:
    # Otherwise uv looks for a virtual environment around the working folder, or downloads a Python.
    always = ["--python", sys.executable, "--no-python-downloads", "--color", "never", "--no-progress"]
    if arguments[0] == "pip":
        always += options(given)
    environment = {**os.environ, **configuration(given)}
    here = working_folder()
    # Files and not pipes: only stderr is read while uv runs, and a full pipe would block it.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as asked, tempfile.TemporaryFile("w+") as output:
        asked.write(text)
        asked.seek(0)
        process = subprocess.Popen(
            [_program(), *arguments, *always],
            env={name: value for name, value in environment.items() if name not in NOT_PASSED_ON},
            # uv refuses to start in a deleted folder.
            cwd=here if here.is_absolute() else tempfile.gettempdir(),
            stdin=asked,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        said = _listen(process, notify)
        output.seek(0)
        told = output.read()
    if process.returncode == 0:
        # Yanked versions concern the user; uv's other warnings are about how it is called.
        return told, [line[9:] for line in said.splitlines() if line.startswith("warning: ") and "yank" in line]
    if denied := _DENIED.search(said):
        raise PackageError(
            f"The package index denies access ({denied[1]}): give it credentials, in its URL in pip's or "
            f"uv's configuration or in ~/.netrc. {_reason(said)}"
        )
    if "--no-index" in always and "index lookups were disabled" in said:
        tool = "uv" if os.environ.get("UV_NO_INDEX") else "pip"
        raise PackageError(
            f"{tool} is configured with no-index, and find-links lacks packages that Lambda needs: {_reason(said)}"
        )
    source_only = no_binary()
    if ((wanted := _NO_BINARY.search(said)) and wanted[1] not in arguments) or (source_only and _BUILT.search(said)):
        told = source_only or "uv is configured with no-binary"
        raise PackageError(f"{told}, but packages for Lambda come as wheels: leave that out.")
    if any(sign in said for sign in _UNREACHABLE):
        offline = "uv is configured with UV_OFFLINE; " if os.environ.get("UV_OFFLINE") else ""
        raise IndexUnreachable(offline + _reason(said))
    raise Unresolvable(_reason(said) or f"uv ended with status {process.returncode}")


def _listen(process: subprocess.Popen[str], notify: Callable[[str], None] | None) -> str:
    """Return uv's output, without credentials; `notify` is told immediately what is being downloaded."""
    said, downloads = [], []
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(_CREDENTIALS.sub("", line))
            if notify is not None and (download := _DOWNLOAD.fullmatch(line.rstrip())):
                downloads.append(f"{download['name']} ({float(download['size']):,.0f} {download['unit']}B)")
                notify(f"Downloading {', '.join(downloads)}")
    return "".join(said)


def without_password(url: str) -> str:
    """Return a URL that is safe to show."""
    return _CREDENTIALS.sub("", url)


def _reason(said: str) -> str:
    """Reduce uv's explanation to one line, without its formatting, hints and generalities."""
    before_hints = re.split(r"\n\s*hint:", re.sub(r"(?m)^warning: .*\n", "", said))[0]
    line = " ".join(re.sub(r"[×╰─▶│├]", " ", before_hints).split())
    line = re.sub(r"^.*?\bcause: |\berror: |^No solution found when resolving dependencies:? ", "", line)
    return re.sub(r", we can conclude that your requirements are unsatisfiable\.?$", "", line)


@functools.cache
def _program() -> str:
    if importlib.util.find_spec("uv") is not None:
        import uv

        return str(uv.find_uv_bin())
    raise PackageError("Packages for Lambda are fetched with uv, which is not installed: pip install uv")
