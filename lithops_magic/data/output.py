"""`to_s3`: values that their tasks write to S3, where they stay."""

from __future__ import annotations

import importlib
import string
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lithops_magic.data import addresses
from lithops_magic.data.inside import store
from lithops_magic.data.inside.output import Storing
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    from lithops_magic.config import Settings

_NEEDED = {"parquet": "pyarrow", "npy": "numpy"}
"""Packages needed to write a format, beyond those that made the value."""


def checked(name: str, value: Any) -> str:
    """Validate and return a template of addresses.

    Raises
    ------
    MisuseError
        It is not a template, or gives all tasks the same address.
    """
    wanted = (
        f"{name} must be an address with the task's number, such as 'bucket/prefix/{{index}}.parquet', not {value!r}"
    )
    if not isinstance(value, str):
        raise MisuseError(wanted)
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(value) if field is not None}
        value.format(index=0)
        address = addresses.parse(value)
    except (MisuseError, LookupError, ValueError, AttributeError):
        raise MisuseError(wanted) from None
    if fields != {"index"} or address.kind != "s3" or "{" in address.bucket or address.is_folder:
        raise MisuseError(wanted)
    return value


def storing(function: Callable[..., Any], template: str, settings: Settings) -> Storing:
    """Return a function that writes its values to S3 and returns references to them.

    Raises
    ------
    MisuseError
        The package that writes the format is not installed here, and so cannot be shipped.
    """
    address = addresses.parse(template)
    suffix = address.key.rpartition(".")[2].lower()
    wanted = _NEEDED.get(suffix)
    try:
        needed = (importlib.import_module(wanted),) if wanted else ()
    except ImportError:
        raise MisuseError(f"to_s3: {template!r} needs {wanted} here: pip install {wanted}") from None
    connect(template, settings)
    # The function of an attached job is wrapped already.
    function = function.__wrapped__ if isinstance(function, Storing) else function
    return Storing(function, address.bucket, address.key, needed)


def connect(template: str, settings: Settings) -> None:
    """Let references be read here with the account of these settings."""
    store.connections[addresses.parse(template).bucket] = partial(_client, settings)


def _client(settings: Settings) -> Any:
    from lithops_magic.aws.session import Cloud

    return Cloud.connect(settings).client("s3")
