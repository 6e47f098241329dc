"""Signs requests with the session's credentials, and renews these before and after they expire."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from .session import Cloud

if TYPE_CHECKING:
    from awscrt.auth import AwsSigningConfig
    from awscrt.http import HttpRequest
    from botocore.credentials import Credentials, ReadOnlyCredentials

RENEWAL_PAUSE = 60.0
"""Seconds until a renewal that did not succeed, while the credentials are still valid, is tried again."""


class Signer:
    """Signs requests for one region and service.

    Parameters
    ----------
    cloud
        Whose credentials are used.
    on_renewed
        Called after a renewal, with the exception if it failed; from a thread of its own.

    Raises
    ------
    LithopsMagicError
        There are no credentials.
    """

    def __init__(self, cloud: Cloud, region: str, service: str, on_renewed: Callable[[Exception | None], None]) -> None:
        self._cloud = cloud
        self._scope = {"region": region, "service": service}
        self._on_renewed = on_renewed
        self._lock = threading.Lock()
        self._renewing = False
        self._next_renewal = 0.0
        self._second = 0
        self.generation = 0
        """Counts renewals."""
        self._credentials = cloud.credentials()
        self._adopt(self._credentials.get_frozen_credentials())

    def ready(self) -> bool:
        """Whether requests can be signed now; if not, a renewal is under way."""
        second = int(time.time())
        if second != self._second and not self._renewing:
            if self._expiring() and time.monotonic() >= self._next_renewal:
                self.renew(afresh=False)
            else:
                self._prepare(second)
        return not self._renewing

    def sign(self, request: HttpRequest) -> Future[HttpRequest]:
        """Sign `request`, to be sent at once."""
        from awscrt.auth import aws_sign_request

        signing: Future[HttpRequest] = aws_sign_request(request, self._config)
        return signing

    def renew(self, *, afresh: bool) -> None:
        """Start to renew the credentials, unless that is under way; `afresh`: forget where they came from."""
        with self._lock:
            if self._renewing:
                return
            self._renewing = True
        # It may take requests to other services or run a program: neither is for the thread that sends.
        threading.Thread(target=self._renew, args=(afresh,), name="lithops-magic-credentials", daemon=True).start()

    def _expiring(self) -> bool:
        needed: Callable[[], bool] | None = getattr(self._credentials, "refresh_needed", None)
        return needed is not None and needed()

    def _renew(self, afresh: bool) -> None:
        failure: Exception | None = None
        try:
            credentials: Credentials = self._cloud.credentials(afresh=True) if afresh else self._credentials
            self._adopt(credentials.get_frozen_credentials())
            self._credentials = credentials
        except Exception as error:  # a program of the user or any of botocore's providers
            failure = error
        self._next_renewal = time.monotonic() + (RENEWAL_PAUSE if self._expiring() else 0.0)
        self._renewing = False
        self._on_renewed(failure)

    def _adopt(self, frozen: ReadOnlyCredentials) -> None:
        from awscrt.auth import AwsCredentialsProvider

        self._provider = AwsCredentialsProvider.new_static(frozen.access_key, frozen.secret_key, frozen.token)
        self.generation += 1
        self._prepare(int(time.time()))

    def _prepare(self, second: int) -> None:
        """A signature is dated to the second: what all requests of one second share."""
        from awscrt.auth import AwsSigningConfig

        self._config: AwsSigningConfig = AwsSigningConfig(credentials_provider=self._provider, **self._scope)
        self._second = second
