"""Finds what must not leave the session, and takes it out of whatever is exported."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lithops_magic.config.save import HIDDEN, SECRET_NAME
from lithops_magic.config.settings import CREDENTIALS
from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from lithops_magic.notebook.session import Session

_SHORTEST = 8
"""Characters below which a secret would be found in ordinary words."""

_SHAPES = re.compile(
    r"""
    \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                                       # ids of access keys
    | \b(?:IQoJb3JpZ2lu|FwoGZXIvYXdz|FQoGZXIvYXdz)[\w/+=%-]{40,}        # session tokens, as AWS begins them
    | (?<=[?&]X-Amz-Signature=)[0-9a-f]{64}                             # what makes a presigned address valid
    | (?<=-----BEGIN\ PRIVATE\ KEY-----)[\s\S]+?(?=-----END)
    | (?<=-----BEGIN\ RSA\ PRIVATE\ KEY-----)[\s\S]+?(?=-----END)
    """,
    re.VERBOSE,
)
_ASSIGNED = re.compile(
    r"""(?ix) (\b aws_?(?:secret_?access_?key|session_?token) \b ["']? \s* [=:] \s* ["']?) ([\w/+=]{16,})"""
)
"""A secret beside the name that AWS gives it, known to this session or not."""


class Scrubber:
    """Replaces secrets in text and in nested lists and dictionaries, and counts them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {secret for secret in secrets if len(secret) >= _SHORTEST}
        self._known = {form: secret for secret in found for form in (secret, quote(secret, safe=""))}
        # The longest first: one secret may be the beginning of another.
        forms = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None
        self._removed: set[str] = set()

    @property
    def removed(self) -> int:
        """How many different secrets were found."""
        return len(self._removed)

    def scrub(self, value: Any) -> Any:
        """Return `value` without secrets; what is no text, list or dictionary is returned as it is."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.scrub(part) for part in value]
        if isinstance(value, Mapping):
            return type(value)({self.scrub(name): self.scrub(part) for name, part in value.items()})  # type: ignore[call-arg]
        return value

    def _text(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(self._hide, text)
        text = _ASSIGNED.sub(lambda match: match[1] + self._note(match[2]), text)
        return _SHAPES.sub(self._hide, text)

    def _hide(self, match: re.Match[str]) -> str:
        return self._note(match.group())

    def _note(self, secret: str) -> str:
        self._removed.add(self._known.get(secret, secret))
        return HIDDEN


def known_secrets(session: Session) -> set[str]:
    """Return the credentials that this process knows, and every variable whose name says that it is a secret.

    Nothing is asked of AWS: credentials are those that are in the environment, in boto3's files, in the settings, and
    in the sessions that were opened so far.
    """
    return {secret for secret in (*_of_settings(session), *_of_environment(), *_of_boto()) if secret}


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
    for one in gc.get_objects():
        # `isinstance` would run code of proxies that the user may have.
        if issubclass(type(one), credentials.Credentials):
            held = vars(one)
            for name in ("access_key", "secret_key", "token"):
                # Under the plain name, credentials that expire would be renewed.
                yield held.get(name) or held.get(f"_{name}")
