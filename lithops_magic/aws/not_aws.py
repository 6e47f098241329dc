"""Detects replies that are not from AWS: web pages of a proxy, a captive portal or another server."""

from __future__ import annotations

import html
import re
from typing import Any

from lithops_magic.errors import AwsError

ADVICE = "Check the proxy (HTTPS_PROXY), the VPN and endpoint_url."
_PAGE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_WORDS = 80
"""Maximum characters shown of a page."""


def is_page(body: bytes) -> bool:
    """Whether a reply's body is a web page."""
    return _PAGE.match(body[:1000]) is not None


def first_words(body: bytes | str) -> str:
    """Return a web page's title, or the first words of its text, in quotes; empty if it has neither."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    title = _TITLE.search(text[:20_000])
    words = " ".join(html.unescape(title[1] if title else _HIDDEN.sub(" ", text[:20_000])).split())
    return f" ({words[:_WORDS]!r})" if words else ""


def describe(address: str, status: int, body: bytes | str) -> str:
    """Describe in one line what replied instead of AWS."""
    return f"{address} answered with a web page{first_words(body)} and status {status}, which is not AWS. {ADVICE}"


def watch(client: Any) -> None:
    """Make a boto3 client raise one clear error if a web page arrives instead of a reply from AWS."""
    address = client.meta.endpoint_url

    def look(response_dict: dict[str, Any], **_: Any) -> None:
        body, status = response_dict.get("body"), response_dict["status_code"]
        # A gateway's own 502 page is a transient failure, which botocore retries.
        if status < 500 and isinstance(body, bytes) and is_page(body):
            raise AwsError(describe(address, status, body), code="NotAws")

    client.meta.events.register("before-parse.*.*", look)
