"""Finds what must not leave the session, and removes it from exports."""

from __future__ import annotations

import ast
import base64
import gc
import html
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from lithops_magic.config.save_file import HIDDEN, SECRET_NAME
from lithops_magic.config.settings import CREDENTIALS
from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from lithops_magic.notebook.session import Session

_SHORTEST, _PIECE = 8, 16
"""Minimum length of a secret or part of one; shorter ones would match ordinary words."""

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an access key ID", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a session token", re.compile(r"\b(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[\w/+=%-]{40,}")),
    ("a presigned address", re.compile(r"(?<=[?&]X-Amz-Signature=)[0-9a-f]{64}")),
    (
        "a private key",
        re.compile(r"(?<=PRIVATE\ KEY-----)[\s\S]+?(?=-----END)|(?<=PRIVATE\ KEY\ BLOCK-----)[\s\S]+?(?=-----END)"),
    ),
    ("the password of an address", re.compile(r"(?<=://)[^\s/:@\"']*:[^\s/@\"']+(?=@)")),
    ("a token", re.compile(r"(?i)(?<=\bbearer\s)[\w.~+/-]{16,}=*|(?<=\b(?:basic|token)\s)[\w+/]{16,}=*")),
    (
        "a token",
        re.compile(
            r"\b(?:gh[pousr]_\w{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}|hf_\w{30,}|xox[abprs]-[\w-]{10,}"
            r"|sk-[\w-]{20,}|[rs]k_(?:live|test)_\w{16,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|pypi-[\w-]{40,}|npm_\w{36,}"
            r"|dapi[0-9a-f]{32}|SG\.[\w-]{16,}\.[\w-]{16,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+)"
            r"|(?<=hooks\.slack\.com/services/)[\w/]{20,}|(?<=[?&]sig=)[\w%+/=-]{20,}"
        ),
    ),
)
"""Strings recognizable as secrets by their form alone."""

_WORD = (
    r"(?:secret|token(?!i[sz]|s)|password|passwd|passphrase|(?:access|account|api|private|shared)[_-]?key|credential)"
)
_NAME = rf"(?:[\w.-]*{_WORD}[\w.-]*|pwd|pw)"
_TEXT = r"""[frbu]{0,2}(?:\"\"\"|\'\'\'|["'])"""
_ASSIGNED: tuple[re.Pattern[str], ...] = (
    # In code, JSON and reprs; only strings match, not calls, for example.
    re.compile(rf"""(?i)(\b{_NAME}["']?\s*\]?\s*(?::\s*[\w.|\[\] ]+=|:=|[=:])\s*{_TEXT})([^"'\n\\]{{6,}})(?=["'])"""),
    re.compile(rf"""(?i)(\\["']{_NAME}\\["']\s*:\s*\\["'])([^"'\n\\]{{6,}})(?=\\["'])"""),
    re.compile(
        rf"""(?i)(\b(?:setdefault|putenv|setenv|set_key|add_header)\(\s*["']{_NAME}["']\s*,\s*{_TEXT})([^"'\n\\]{{6,}})"""
    ),
    # In YAML and files of environment variables.
    re.compile(rf"""(?i)(\b{_NAME}\s*[=:][ \t]*)((?=[\w/+=-]*\d)[\w/+=-]{{16,}})(?![\w(])"""),
    # There, single words do not match, such as the type in an annotation.
    re.compile(rf"""(?im)(^[ \t-]*{_NAME}[ \t]*:[ \t]+)((?=\S*[\d\W])[^\s#"'(){{}}\[\],]{{6,}})(?=[ \t]*$)"""),
    # In shell code.
    re.compile(rf"""(\b[A-Z0-9_]*{_WORD.upper()}[A-Z0-9_]*=)([^\s"'$(){{}}\[\],]{{6,}})(?![\w(])"""),
    re.compile(rf"(?i)(--env[ =][\"']?{_NAME}=)([^\s\"']+)"),
    re.compile(rf"(?im)(^[ \t]*%(?:set_)?env[ \t]+{_NAME}[ \t=]+)([^\s{{$]\S*)"),
    re.compile(r"""(\bcurl\b[^\n]*?\s(?:-u|--user)[ =]["']?[^\s:"']+:)([^\s"']+)"""),
    re.compile(r"(?i)(\bmachine\s+\S+\s+login\s+\S+\s+password\s+)(\S+)"),
    re.compile(rf"(?i)(<{_NAME}>)([^<\s]+)(?=</)"),
)
"""A secret next to a name that identifies it as one."""


class Scrubber:
    """Replaces secrets in strings and in nested lists and dictionaries, and records what kinds were found."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        self._secrets = {form: secret for secret in known for form in _forms(secret)}
        # Longest first, because one secret may be the beginning of another.
        forms = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_wrapped, forms))) if forms else None
        self._pieces = {piece: form for form in reversed(forms) for piece in _pieces(form)}
        self._piece = re.compile("|".join(map(re.escape, self._pieces))) if self._pieces else None
        self._removed: dict[str, str] = {}

    @property
    def removed(self) -> int:
        """Number of different secrets found."""
        return len(self._removed)

    @property
    def kinds(self) -> str:
        """The kinds of secrets found."""
        return ", ".join(sorted(set(self._removed.values())))

    def scrub(self, value: Any) -> Any:
        """Return `value` without secrets; anything but strings, lists and dictionaries is returned unchanged."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.scrub(part) for part in value]
        if isinstance(value, Mapping):
            return type(value)({self.scrub(name): self.scrub(part) for name, part in value.items()})  # type: ignore[call-arg]
        return value

    def _text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(lambda match: self._note(_joined(match[0]), "a secret of this session"), text)
        if self._piece is not None:
            text = self._without_pieces(text, self._piece)
        for pattern in _ASSIGNED:
            text = pattern.sub(lambda match: match[1] + self._note(match[2], "what is called a secret"), text)
        for kind, shape in _SHAPES:
            text = shape.sub(lambda match, kind=kind: self._note(match[0], kind), text)  # type: ignore[misc]
        return text

    def _without_pieces(self, text: str, piece: re.Pattern[str]) -> str:
        """Remove parts of secrets, too, because a secret may be printed in two pieces."""
        done, at = [], 0
        while (match := piece.search(text, at)) is not None:
            form = self._pieces[match[0]]
            start, end, left = match.start(), match.end(), form.index(match[0])
            right = left + len(match[0])
            while start > at and left and text[start - 1] == form[left - 1]:
                start, left = start - 1, left - 1
            while end < len(text) and right < len(form) and text[end] == form[right]:
                end, right = end + 1, right + 1
            done += [text[at:start], self._note(form, "a secret of this session")]
            at = end
        return "".join([*done, text[at:]])

    def _note(self, secret: str, kind: str) -> str:
        if secret != HIDDEN:
            self._removed.setdefault(self._secrets.get(secret, secret), kind)
        return HIDDEN


def _forms(secret: str) -> set[str]:
    """Return a secret's possible forms: plain, quoted, escaped, in hexadecimal and base64, alone or in other data."""
    data = secret.encode(errors="surrogatepass")
    found = {secret, quote(secret, safe=""), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]}
    # Escaped twice: JSON in a string of a notebook, which is JSON itself.
    found.add(json.dumps(json.dumps(secret)[1:-1])[1:-1])
    found |= {repr(secret)[1:-1], data.hex(), data.hex().upper()}
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(bytes(before) + data).decode().rstrip("=")
            # The first and the last character may depend on neighboring bytes.
            found.add(encoded[(0, 2, 3)[before] : len(encoded) - ((before + len(data)) % 3 != 0)])
    return {form for form in found if len(form) >= _SHORTEST}


def _wrapped(form: str) -> str:
    """Return a pattern for a form that also matches if it is broken into lines."""
    return r"(?:\\?\r?\n[ \t]*|\\n)?".join(map(re.escape, form))


def _joined(text: str) -> str:
    return re.sub(r"\\?\r?\n[ \t]*|\\n", "", text)


def _pieces(form: str) -> Iterator[str]:
    """Yield enough parts of a long form that every larger part contains one of them."""
    return (form[start : start + _PIECE] for start in range(0, len(form) - _PIECE + 1, _PIECE // 2))


def known_secrets(session: Session, names: Mapping[str, Any] = MappingProxyType({})) -> set[str]:
    """Return the credentials known to this process, and every variable whose name identifies it as a secret.

    Does not ask AWS: credentials come from the environment, boto3's files, the settings, and sessions opened so far.
    Variables are those of the environment and of the notebook, `names`.
    """
    found = (*_of_settings(session), *_of_environment(), *_of_boto(), *_of_names(names))
    return {secret for secret in found if secret}


def assigned_secrets(cells: Iterable[str]) -> set[str]:
    """Return the strings that a notebook's code assigns to names that identify secrets."""
    found: set[str] = set()
    for source in cells:
        with suppress(SyntaxError, ValueError, RecursionError):
            for node in ast.walk(ast.parse(_MAGIC_LINE.sub("", source))):
                found |= {text for name, value in _pairs(node) if SECRET_NAME.search(name) for text in _literals(value)}
    return found


_MAGIC_LINE = re.compile(r"(?m)^[ \t]*[%!].*$")


def _pairs(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield names with the values that code gives them: by assignment, as an argument, or in a dictionary."""
    match node:
        case ast.Assign(targets, value):
            yield from ((ast.unparse(target), value) for target in targets)
        case ast.AnnAssign(target, _, value) if value is not None:
            yield ast.unparse(target), value
        case ast.keyword(str(name), value):
            yield name, value
        case ast.Dict(keys, values):
            yield from ((ast.unparse(key), value) for key, value in zip(keys, values, strict=True) if key is not None)


def _literals(value: ast.AST) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Tuple | ast.List):
        for part in value.elts:
            yield from _literals(part)


def _of_names(names: Mapping[str, Any]) -> Iterator[str]:
    for name, value in [*names.items()]:
        if SECRET_NAME.search(name):
            yield from _texts(value)
        elif type(value) is dict:
            # In the format of STS or of a configuration file.
            yield from _of_names({key: part for key, part in value.items() if isinstance(key, str)})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        yield value
    elif type(value) in (list, tuple, dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _of_settings(session: Session) -> Iterator[str | None]:
    with suppress(ConfigError):
        settings = session.load()
        yield from (getattr(settings, name) for name in CREDENTIALS)
        yield from (value for name, value in settings.env_vars.items() if SECRET_NAME.search(name))


def _of_environment() -> Iterator[str]:
    yield from (value for name, value in os.environ.items() if SECRET_NAME.search(name))


def _of_boto() -> Iterator[str | None]:
    import botocore.session
    from botocore.exceptions import BotoCoreError

    with suppress(BotoCoreError):
        for profile in botocore.session.Session().full_config["profiles"].values():
            yield from (profile.get(f"aws_{name}") for name in CREDENTIALS)
    yield from _of_open_sessions()


def _of_open_sessions() -> Iterator[str | None]:
    credentials = sys.modules.get("botocore.credentials")
    if credentials is None:
        return
    # Sessions that the user has opened are registered nowhere.
    for one in gc.get_objects():
        # `isinstance` would run the code of the user's proxy objects.
        if issubclass(type(one), credentials.Credentials):
            held = vars(one)
            for name in ("access_key", "secret_key", "token"):
                # Accessing the public attribute would renew expiring credentials.
                yield held.get(name) or held.get(f"_{name}")
