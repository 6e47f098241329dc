"""Signs requests with the session's credentials, and renews these before or after they expire."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from lithops_magic.aws.invoke.connect import InvokeTarget
from lithops_magic.aws.session import Cloud

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

Headers = list[tuple[str, str]]

RENEWAL_PAUSE = 60.0
"""Seconds until a failed renewal is tried again while the credentials are still valid."""
_ALGORITHM = "AWS4-HMAC-SHA256"


@lru_cache
def _canonical(path: str) -> str:
    """Return a path in canonical form: URL-encoded twice, as for every service but S3."""
    from botocore.utils import normalize_url_path

    return quote(normalize_url_path(path), safe="/~")


class Stamp:
    """Version 4 signatures for requests that differ only in path and payload.

    A signature is dated to the second, and all requests of that second share all but three hashes. awscrt starts from
    scratch for each and returns a future, which takes three times as long.

    Parameters
    ----------
    target
        Where the requests go.
    credentials
        Credentials to sign with.
    second
        The current time in seconds since the epoch.
    """

    __slots__ = ("_claim", "_headers", "_key", "_path", "_rest", "_to_sign", "second")

    def __init__(self, target: InvokeTarget, credentials: ReadOnlyCredentials, second: int) -> None:
        self.second = second
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        headers = {**target.headers, "x-amz-date": date}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        self._path = target.url.path
        self._rest = f"\n\n{lines}\n{names}\n"
        scope = f"{date[:8]}/{target.region}/{target.service}/aws4_request"
        self._to_sign = f"{_ALGORITHM}\n{date}\n{scope}\n"
        self._claim = f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature="
        self._headers = list(headers.items())
        self._key = f"AWS4{credentials.secret_key}".encode()
        # The signing key is derived from date, region, service and a constant, in this order (IAM User Guide, "Create a
        # signed AWS API request").
        for part in scope.split("/"):
            self._key = hmac.digest(self._key, part.encode(), "sha256")

    def sign(self, payload: bytes, path: str | None = None) -> Headers:
        """Return the headers for sending `payload` to the target's path or another one."""
        canonical = f"POST\n{_canonical(path or self._path)}{self._rest}{hashlib.sha256(payload).hexdigest()}"
        to_sign = self._to_sign + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return [*self._headers, ("authorization", self._claim + signature)]


class Signer:
    """Signs requests for one target.

    Parameters
    ----------
    cloud
        Whose credentials to use.
    target
        Where the requests go.
    on_renewed
        Called after a renewal, with the exception if it failed; from a separate thread.

    Raises
    ------
    LithopsMagicError
        There are no credentials.
    """

    def __init__(self, cloud: Cloud, target: InvokeTarget, on_renewed: Callable[[Exception | None], None]) -> None:
        self._cloud = cloud
        self._target = target
        self._on_renewed = on_renewed
        self._lock = threading.Lock()
        self._renewing = False
        self._next_renewal = 0.0
        self.generation = 0
        """Number of renewals."""
        self._credentials = cloud.credentials()
        self._frozen: ReadOnlyCredentials = self._credentials.get_frozen_credentials()
        self._stamp = Stamp(target, self._frozen, int(time.time()))

    def ready(self) -> bool:
        """Whether requests can be signed now; if not, a renewal is in progress."""
        second = int(time.time())
        # Not protected by the lock: two threads that get here at once make equal stamps, and `renew` starts only once.
        if second != self._stamp.second and not self._renewing:
            if self._expiring() and time.monotonic() >= self._next_renewal:
                self.renew(afresh=False)
            else:
                self._stamp = Stamp(self._target, self._frozen, second)
        return not self._renewing

    def sign(self, payload: bytes, path: str) -> Headers:
        """Return the headers for sending `payload` to `path`, without waiting."""
        return self._stamp.sign(payload, path)

    def renew(self, *, afresh: bool) -> None:
        """Start renewing the credentials, unless in progress; `afresh`: look for their source again."""
        # Expired credentials are noticed by many replies at once, in awscrt's thread, and by `ready`, in the caller's.
        with self._lock:
            if self._renewing:
                return
            self._renewing = True
        # It may call other services or run a program, which must not block the sending thread.
        threading.Thread(target=self._renew, args=(afresh,), name="lithops-magic-credentials", daemon=True).start()

    def _expiring(self) -> bool:
        needed: Callable[[], bool] | None = getattr(self._credentials, "refresh_needed", None)
        return needed is not None and needed()

    def _renew(self, afresh: bool) -> None:
        failure: Exception | None = None
        try:
            credentials: Credentials = self._cloud.credentials(afresh=True) if afresh else self._credentials
            # Frozen, so that key, secret and token of one signature always belong together.
            self._frozen = credentials.get_frozen_credentials()
            self._stamp = Stamp(self._target, self._frozen, int(time.time()))
            self.generation += 1
            self._credentials = credentials
            pause = RENEWAL_PAUSE if self._expiring() else 0.0
        except Exception as error:  # from a program of the user or any of botocore's providers
            failure, pause = error, RENEWAL_PAUSE
        # Before the flag is cleared, or `ready` could start another renewal at once.
        self._next_renewal = time.monotonic() + pause
        self._renewing = False
        self._on_renewed(failure)
