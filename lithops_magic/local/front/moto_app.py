"""moto's own server application behind ASGI, prepared before it is first needed."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from a2wsgi import WSGIMiddleware

from lithops_magic.local.front.door import Receive, Scope, Send
from lithops_magic.local.front.journal import Journal, WsgiApp
from lithops_magic.local.front.managed_policies import defer_policies
from lithops_magic.local.front.quick_start import gc_paused, parse_models_once
from lithops_magic.local.names import LOCAL_ROLE

THREADS = 32
"""moto is limited by the interpreter lock; more threads only let slow uploads overlap."""

_FIRST_CALLS = {"iam": "ListRoles", "sts": "GetCallerIdentity"}
"""Calls made at start-up: all a first job needs, and together a tenth of a second."""

_SLOW_FIRST_CALLS = {"iam": "ListPolicies", "ec2": "DescribeSubnets"}
"""Calls that take moto nearly half a second the first time, during which it can do nothing else."""

_VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15", "ec2": "2016-11-15"}
"""Of the query API of each service."""

QUIET = 2.0
"""Seconds without a request after which the slow calls are made; a request that needs them pays for them earlier."""


@cache
def _moto() -> WsgiApp:
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    # Without this, moto does not know AWS's own policies, such as AWSLambdaVPCAccessExecutionRole.
    default_user_config["iam"]["load_aws_managed_policies"] = True
    defer_policies()
    parse_models_once()
    app: WsgiApp = DomainDispatcherApplication(create_backend_app)
    return app


class MotoApp:
    """The ASGI application for every service but Lambda.

    moto is imported when a request first needs it, or the server has nothing else to do: until then everything is as
    it is in a new account.

    Parameters
    ----------
    account : str
        The account's number.
    state : Path or None
        Folder in which moto's state is persisted.
    """

    def __init__(self, account: str, state: Path | None) -> None:
        self._account = account
        self._state = state
        self._journal: Journal | None = None
        # moto's circular imports fail when two threads run them at once: requests wait for the first import.
        self._requested = threading.Event()
        self._ready = threading.Event()
        self._unregistered: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()
        self._last_request = time.monotonic()
        # a2wsgi has its own, narrower types for ASGI and WSGI.
        self._asgi: Any = WSGIMiddleware(cast(Any, self._wsgi), workers=THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    def get_ready(self) -> None:
        """Restore persisted state; without any, importing moto can wait."""
        if self._state:
            self._journal = Journal(self._state / "moto.jsonl", _moto(), _seed)
            self._journal.replay(self._prepare_account)
            self._ready.set()
        else:
            threading.Thread(target=self._warm_up, name="moto-warm-up", daemon=True).start()

    @property
    def pristine(self) -> bool:
        """Whether the services are certainly still in their initial state."""
        return not self._ready.is_set()

    def ask(self, service: str, fields: Mapping[str, str]) -> str | None:
        """Send a query from within this process, and return the answer; None if it is refused."""
        self._wait()
        status, answer = _post(self._journal or _moto(), service, fields)
        return answer if status == 200 else None

    def register_session(self, role: str, session: str, access_key_id: str) -> None:
        """Register the keys of a role session that was created without STS."""
        with self._lock:
            if self.pristine:
                # moto is not imported yet; `_warm_up` registers it.
                self._unregistered.append((role, session, access_key_id))
                return
        with self._journal.turn if self._journal else self._lock:
            self._register_session(role, session, access_key_id)

    def close(self) -> None:
        self._asgi.executor.shutdown(wait=False, cancel_futures=True)

    def _warm_up(self) -> None:
        self._requested.wait(QUIET)
        try:
            _call(_FIRST_CALLS)
            self._create_role()
            with self._lock:
                for session in self._unregistered:
                    self._register_session(*session)
                self._ready.set()
        # Even after a failure: requests that wait for moto must not hang.
        finally:
            self._ready.set()
        while time.monotonic() - self._last_request < QUIET:
            time.sleep(QUIET / 10)
        _call(_SLOW_FIRST_CALLS)

    def _create_role(self) -> None:
        """Create the role that a new account has."""
        service = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        condition = {"StringEquals": {"aws:SourceAccount": self._account}}
        trust = {"Version": "2012-10-17", "Statement": [{**service, "Condition": condition}]}
        role = {"Action": "CreateRole", "RoleName": LOCAL_ROLE, "AssumeRolePolicyDocument": json.dumps(trust)}
        _post(_moto(), "iam", role)

    def _prepare_account(self) -> None:
        _call(_FIRST_CALLS, _SLOW_FIRST_CALLS)
        self._create_role()

    def _register_session(self, role: str, session: str, access_key_id: str) -> None:
        from moto.sts.models import sts_backends

        backend = sts_backends[self._account]["aws"]
        backend.assume_role("us-east-1", session, role, "", 3600, "").access_key_id = access_key_id

    def _wait(self) -> None:
        self._requested.set()
        self._ready.wait()

    def _wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._last_request = time.monotonic()
        self._wait()
        _restore_names(environ)
        return (self._journal or _moto())(environ, start_response)


def _restore_names(environ: dict[str, Any]) -> None:
    """Give moto what WSGI loses: the percent-encoded path, and underscores in S3 metadata names."""
    from moto.core.request import (
        PRESERVED_HEADER_NAMES_ENVIRON_KEY,
        environ_key_for_header,
        should_preserve_original_header_name,
    )

    scope: Scope = environ["asgi.scope"]
    names = [name.decode("latin-1") for name, _ in scope["headers"]]
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = {
        environ_key_for_header(name): name for name in names if should_preserve_original_header_name(name)
    }
    environ["RAW_URI"] = scope["raw_path"].decode("latin-1")


def _seed(text: str) -> None:
    from moto.moto_api._internal import mock_random

    # moto draws identifiers from both.
    mock_random.seed(text)
    random.seed(text)


def _call(*rounds: dict[str, str]) -> None:
    for service, action in (call for actions in rounds for call in actions.items()):
        with gc_paused():
            status, _ = _post(_moto(), service, {"Action": action})
        if status != 200:
            logging.warning("moto's first call of %s answered %s", service, status)


def _post(app: WsgiApp, service: str, fields: Mapping[str, str]) -> tuple[int, str]:
    from werkzeug.test import Client

    # moto routes by the credential's scope and checks nothing else.
    scope = f"AWS4-HMAC-SHA256 Credential=AKIAWITHIN/20200101/us-east-1/{service}/aws4_request"
    answer = Client(app).post(
        "/",
        data=urlencode({**fields, "Version": _VERSIONS[service]}),
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": scope},
    )
    return answer.status_code, answer.get_data(as_text=True)
