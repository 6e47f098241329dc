"""Whether AWS refused a signature for its date: its answer carries its own clock."""

from __future__ import annotations

import time
from collections.abc import Mapping

SIGNATURE_ERRORS = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Codes with which AWS's services refuse a signature, whatever is wrong with it."""

TOLERATED = 240.0
"""Seconds; AWS itself accepts five minutes, and its answer may have taken a while."""


def clock_error(code: str, headers: Mapping[str, str]) -> str:
    """Say how wrong this machine's clock is if that is why AWS refused a signature, else nothing.

    Parameters
    ----------
    code
        AWS's error code.
    headers
        Those of its answer, with lower-case names.
    """
    if code not in SIGNATURE_ERRORS:
        return ""
    from email.utils import parsedate_to_datetime

    try:
        behind = parsedate_to_datetime(headers.get("date", "")).timestamp() - time.time()
    except ValueError:
        return ""
    if abs(behind) < TOLERATED:
        return ""
    return f"This machine's clock is {abs(behind) / 60:,.0f} minutes {'slow' if behind > 0 else 'fast'}."
