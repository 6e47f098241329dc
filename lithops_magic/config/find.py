"""Finds Lithops' configuration and converts it to Settings."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from lithops_magic.config import document as documents
from lithops_magic.config import shape
from lithops_magic.config.document import Document
from lithops_magic.config.keys import lookup, read_fields, read_local
from lithops_magic.config.settings import CREDENTIALS, Settings
from lithops_magic.errors import ConfigError
from lithops_magic.working_folder import working_folder

ACCOUNT_FIELDS = [
    "region",
    "execution_role",
    "subnets",
    "security_groups",
    "efs",
    "layers",
    "runtime",
    "account_id",
    "profile",
    "endpoint_url",
    *CREDENTIALS,
]
"""Fields that have no meaning on the local AWS if they were written for an account."""

SYSTEM_FILE = Path("/etc/lithops/config")


def load(
    config_file: str | os.PathLike[str] | None = None, *, local: bool | None = None, profile: str | None = None
) -> Settings:
    """Read the user's configuration where Lithops would find it.

    Parameters
    ----------
    config_file
        Read this file instead of the usual ones.
    local
        True: always the local AWS; False: the account; None: the account if a profile is given, else as the environment
        or the file says.
    profile
        Use this profile of the AWS configuration instead of the one in the file.

    Returns
    -------
    Settings
        If nothing is configured, the defaults on the local AWS.

    Raises
    ------
    ConfigError
        A named file is missing, is not YAML, or has a value of the wrong type.
    """
    document = find(config_file)
    if local is None:
        local = local_environment() if profile is None else False
    settings = Settings(local=local is not False) if document is None else interpret(document, local=local)
    if profile is not None:
        settings = settings.of_profile(profile)
    return settings


def find(config_file: str | os.PathLike[str] | None = None) -> Document | None:
    """Return the first configuration in Lithops' order, or None.

    The order: `config_file`, environment LITHOPS_CONFIG (JSON), the file in LITHOPS_CONFIG_FILE, `./.lithops_config`,
    `~/.lithops/config`, `/etc/lithops/config`.
    """
    if config_file is None and (inline := os.environ.get("LITHOPS_CONFIG")):
        return _from_json(inline)
    path = find_file(config_file)
    return None if path is None else documents.read(path)


def find_file(config_file: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the path of the first configuration file in Lithops' order, or None.

    Raises
    ------
    ConfigError
        The named file does not exist.
    """
    for given, origin in ((config_file, ""), (os.environ.get("LITHOPS_CONFIG_FILE"), "LITHOPS_CONFIG_FILE: ")):
        if given:
            path = Path(given).expanduser()
            if not _is_file(path, origin):
                create = "Create it with %lambda_config" if origin else "Create it"
                raise ConfigError(f"{origin}there is no file {path}. {create} or correct the path.")
            return path
    usual = (working_folder() / ".lithops_config", Path.home() / ".lithops" / "config", SYSTEM_FILE)
    return next((path for path in usual if _is_file(path)), None)


def _is_file(path: Path, origin: str = "") -> bool:
    """Whether there is a file. Anything else in its place is an error, because the user probably meant it.

    Raises
    ------
    ConfigError
        It is not a file, or cannot be checked.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise ConfigError(f"{origin}{path} is a broken link. Correct or remove it.") from None
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{origin}{path} cannot be read: {reason}. Correct the path or its permissions.") from None
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise ConfigError(f"{origin}{path} is {kind}; a configuration file is expected there.")
    return True


def interpret(document: Document, *, local: bool | None = None) -> Settings:
    """Convert a document to Settings; `local`, unless None, overrides the document's choice of local AWS or account.

    Raises
    ------
    ConfigError
        A value has the wrong type.
    """
    shape.check(document)
    values = dict(read_fields(document))
    stated = read_local(document)
    decided = next(choice for choice in (local, stated, infer_local(document)) if choice is not None)
    unread = tuple(shape.unread(document))
    notes = [*unread, *shape.unused(document)]
    if decided and not stated:
        # An account's roles, networks and credentials do not exist on the local AWS.
        unused = [name for name in ACCOUNT_FIELDS if values.pop(name, None) is not None]
        if unused:
            verb = "is" if len(unused) == 1 else "are"
            notes.insert(0, f"On the local AWS, {document.name}'s {', '.join(unused)} {verb} not used.")
    if decided and local is None and stated is None:
        notes.insert(0, _why_local(document))
    return Settings(**values, local=decided, source=document.name, notes=tuple(notes), unread=unread)


def infer_local(document: Document) -> bool:
    """Whether the document, apart from the key `local`, gives no function in an account to run on."""
    return chosen_backend(document) not in (None, "aws_lambda") or not any(
        field == "execution_role" for field, _ in read_fields(document)
    )


def _why_local(document: Document) -> str:
    backend = chosen_backend(document)
    if backend not in (None, "aws_lambda"):
        return f"{document.name} chooses Lithops' backend {backend}: the local AWS is used instead."
    return f"{document.name} gives no execution_role in aws_lambda: the local AWS is used."


def chosen_backend(document: Document) -> str | None:
    """Return the compute backend named by the document in Lithops' new or old format; None if there is none."""
    backend = lookup(document.data, ("lithops", "backend"))
    mode = lookup(document.data, ("lithops", "mode"))
    if backend is None and mode is not None:
        backend = lookup(document.data, (mode, "backend"))
        if backend is None and mode != "serverless":
            backend = mode
    if backend is None and mode is None:
        backend = lookup(document.data, ("serverless", "backend"))
    return None if backend is None else str(backend)


def _from_json(text: str) -> Document:
    name = "environment variable LITHOPS_CONFIG"
    try:
        data = json.loads(text)
        # Written anew, because not all JSON is YAML, which allows neither tabs nor surrogate pairs.
        text = json.dumps(data, ensure_ascii=False)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid JSON: {documents.reason(error)}.") from None
    return documents.parse(text, name)


def local_environment() -> bool | None:
    """Return the choice in LITHOPS_MAGIC_LOCAL; None if it is not set.

    Raises
    ------
    ConfigError
        Its value is neither 1 nor 0.
    """
    value = os.environ.get("LITHOPS_MAGIC_LOCAL", "").strip().lower()
    if value in ("", "1", "0", "true", "false"):
        return {"": None, "1": True, "true": True}.get(value, False)
    raise ConfigError(f"environment variable LITHOPS_MAGIC_LOCAL: {value!r} is neither 1 nor 0.")
