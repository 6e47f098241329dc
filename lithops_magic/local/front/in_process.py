"""The account's other services as the local Lambda asks them: within this process, without a request of its own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from lithops_magic.local.front.credentials import Credential, Keyring, random_id
from lithops_magic.local.front.moto_app import MotoApp
from lithops_magic.local.model import SandboxCredentials


class InProcessServices:
    """See `lithops_magic.local.control.platform.OtherServices`."""

    def __init__(self, moto: MotoApp, keyring: Keyring) -> None:
        self._moto = moto
        self._keyring = keyring

    @property
    def pristine(self) -> bool:
        return self._moto.pristine

    def ask(self, service: str, fields: Mapping[str, str]) -> str | None:
        return self._moto.ask(service, fields)

    def session(self, role: str, name: str) -> SandboxCredentials:
        made = SandboxCredentials(random_id("ASIA"), secrets.token_urlsafe(30), secrets.token_urlsafe(60))
        self._keyring.add(Credential(made.access_key_id, made.secret_access_key, made.session_token))
        self._moto.register_session(role, name, made.access_key_id)
        return made
