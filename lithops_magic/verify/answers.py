"""One response of a service, and how it differs from what AWS is known to answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lithops_magic.verify.finding import Observation, Status

_USUAL = ("connection", "content-length", "content-type", "date", "server", "transfer-encoding")
_MAX_SHOWN = 160
"""Characters shown of a response."""


@dataclass(frozen=True, slots=True)
class ServiceReply:
    """What a service answered."""

    status: int
    code: str = ""
    """The error's code; empty if there is none."""
    message: str = ""
    headers: frozenset[str] = frozenset()
    """Header names in lower case."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the check looks at, by name."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What AWS is known to answer."""

    status: int
    code: str = ""
    message: str = ""
    """A regular expression for the whole message."""
    headers: tuple[str, ...] = ()
    """Header names that must be present."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Regular expressions, by name."""

    def __str__(self) -> str:
        return " ".join(filter(None, [str(self.status), self.code]))


def ask(call: Callable[[], Any], read: Callable[[Any], Mapping[str, Any]] = lambda _: {}) -> ServiceReply:
    """Call boto3 and return the response, even if it is an error.

    Parameters
    ----------
    read
        Extracts further values to compare from what boto3 returned.

    Raises
    ------
    BotoCoreError
        There was no response.
    """
    from botocore.exceptions import ClientError

    try:
        response = call()
    except ClientError as error:
        response, told = error.response, error.response.get("Error", {})
        values = {name: value for name, value in response.items() if name not in ("Error", "ResponseMetadata")}
        return _answer(response, str(told.get("Code", "")), str(told.get("Message", "")), values)
    return _answer(response, "", "", read(response))


def payload(response: Any) -> Any:
    """Return the payload of an invocation, parsed if it is JSON, else as text."""
    body = response["Payload"].read()
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def compare(expected: Expected, answer: ServiceReply) -> Observation:
    """List the differences, one per line."""
    lines = []
    if answer.status != expected.status:
        lines.append(f"status {answer.status} instead of {expected.status}")
    if answer.code != expected.code:
        lines.append(f"code {answer.code or 'none'} instead of {expected.code or 'none'}")
    if not re.fullmatch(expected.message, answer.message, re.DOTALL):
        lines.append(f"message {_short(answer.message)} instead of {_short(expected.message)}")
    lines += [f"no header {name}" for name in expected.headers if name not in answer.headers]
    for name, wanted in expected.values.items():
        value = answer.values.get(name)
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if not re.fullmatch(wanted, text, re.DOTALL):
            lines.append(f"{name} {_short(text)} instead of {_short(wanted)}")
    status: Status = "differs" if lines else "ok"
    # Not a difference in behavior, but worth knowing for whoever improves the local AWS.
    if further := sorted(answer.headers - {*expected.headers, *_USUAL}):
        lines.append(f"extra headers: {', '.join(further)}")
    return Observation(status, " ".join(filter(None, [str(answer.status), answer.code])), tuple(lines))


def _answer(response: Mapping[str, Any], code: str, message: str, values: Mapping[str, Any]) -> ServiceReply:
    about = response.get("ResponseMetadata", {})
    headers = frozenset(name.lower() for name in about.get("HTTPHeaders", {}))
    return ServiceReply(int(about.get("HTTPStatusCode", 0)), code, message, headers, values)


def _short(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…")
