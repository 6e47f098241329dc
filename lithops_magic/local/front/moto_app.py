"""moto's own server application behind ASGI, prepared before it is first needed."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from a2wsgi import WSGIMiddleware

from lithops_magic.local.front.door import Receive, Scope, Send
from lithops_magic.local.front.journal import Journal, WsgiApp
from lithops_magic.local.front.managed_policies import defer_policies

THREADS = 32
"""moto is limited by the interpreter lock; more threads only let slow uploads overlap."""

_FIRST_CALLS = {"iam": "ListRoles", "sts": "GetCallerIdentity"}
"""Calls made at start-up: all a first job needs, and together a tenth of a second."""

_SLOW_FIRST_CALLS = {"iam": "ListPolicies", "ec2": "DescribeSubnets"}
"""Calls that take moto more than a second the first time, during which it can do nothing else."""

QUIET = 2.0
"""Seconds without a request after which the slow calls are made; a request that needs them pays for them earlier."""


@cache
def _moto() -> WsgiApp:
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    default_user_config["iam"]["load_aws_managed_policies"] = True
    defer_policies()
    app: WsgiApp = DomainDispatcherApplication(create_backend_app)
    return app


class MotoApp:
    """The ASGI application for every service but Lambda.

    Parameters
    ----------
    state : Path or None
        Folder in which moto's state is persisted.
    """

    def __init__(self, state: Path | None) -> None:
        self._state = state
        self._journal: Journal | None = None
        # moto's circular imports fail when two threads run them at once: requests wait for the first import.
        self._ready = threading.Event()
        self._last_request = time.monotonic()
        # a2wsgi has its own, narrower types for ASGI and WSGI.
        self._asgi: Any = WSGIMiddleware(cast(Any, self._wsgi), workers=THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    def get_ready(self) -> None:
        """Restore persisted state; without any, import moto in the background so as not to delay the start."""
        if self._state:
            self._journal = Journal(self._state / "moto.jsonl", _moto(), _seed)
            self._journal.replay(lambda: _call(_FIRST_CALLS, _SLOW_FIRST_CALLS))
            self._ready.set()
        else:
            threading.Thread(target=self._warm_up, name="moto-warm-up", daemon=True).start()

    def close(self) -> None:
        self._asgi.executor.shutdown(wait=False, cancel_futures=True)

    def _warm_up(self) -> None:
        try:
            _call(_FIRST_CALLS)
        finally:
            self._ready.set()
        while time.monotonic() - self._last_request < QUIET:
            time.sleep(QUIET / 10)
        _call(_SLOW_FIRST_CALLS)

    def _wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._last_request = time.monotonic()
        self._ready.wait()
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

    mock_random.seed(text)
    random.seed(text)


def _call(*rounds: dict[str, str]) -> None:
    from werkzeug.test import Client

    client = Client(_moto())
    for service, action in (call for actions in rounds for call in actions.items()):
        scope = f"AWS4-HMAC-SHA256 Credential=AKIAWARMUP/20200101/us-east-1/{service}/aws4_request"
        form = urlencode({"Action": action, "Version": "2012-10-17"})
        content_type = "application/x-www-form-urlencoded"
        answer = client.post("/", data=form, content_type=content_type, headers={"Authorization": scope})
        if answer.status_code != 200:
            logging.warning("moto's first call of %s answered %s", service, answer.status_code)
