"""Detects whether AWS rejected a signature because of its date, using the time in AWS's reply."""

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
"""Error codes of AWS's services for a rejected signature, whatever the reason."""

TOLERATED = 240.0
"""Seconds; AWS accepts five minutes, and its reply may have been delayed."""


def clock_error(code: str, headers: Mapping[str, str]) -> str:
    """Say how far off this machine's clock is, if that is why AWS rejected a signature; else empty.

    Parameters
    ----------
    code
        AWS's error code.
    headers
        The reply's headers, with lowercase names.
    """
    if code not in SIGNATURE_ERRORS:
        return ""
    from email.utils import parsedate_to_datetime

    try:
        # No further request: every reply has AWS's time.
        behind = parsedate_to_datetime(headers.get("date", "")).timestamp() - time.time()
    except ValueError:  # the reply has no date, or none that can be read
        return ""
    if abs(behind) < TOLERATED:
        return ""
    return f"This machine's clock is {abs(behind) / 60:,.0f} minutes {'slow' if behind > 0 else 'fast'}."
