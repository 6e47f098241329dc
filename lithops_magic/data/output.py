"""`to_s3`: values that stay in S3, where their tasks have written them."""

from __future__ import annotations

import importlib
import string
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lithops_magic.data import addresses
from lithops_magic.data.inside import store
from lithops_magic.data.inside.output import Kept
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    from lithops_magic.config import Settings

_NEEDED = {"parquet": "pyarrow", "npy": "numpy"}
"""What writing a format takes beside what made the value."""


def checked(name: str, value: Any) -> str:
    """Return a template of addresses.

    Raises
    ------
    MisuseError
        It is none, or gives all tasks the same address.
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


def kept(function: Callable[..., Any], template: str, settings: Settings) -> Kept:
    """Return a function whose values are written to S3 and whose result is where they are.

    Raises
    ------
    MisuseError
        What writes the format is not installed here, and so cannot be shipped.
    """
    address = addresses.parse(template)
    suffix = address.key.rpartition(".")[2].lower()
    wanted = _NEEDED.get(suffix)
    try:
        needed = (importlib.import_module(wanted),) if wanted else ()
    except ImportError:
        raise MisuseError(f"to_s3: {template!r} needs {wanted} here: pip install {wanted}") from None
    connect(template, settings)
    # That of a job which another process began is one already.
    function = function.__wrapped__ if isinstance(function, Kept) else function
    return Kept(function, address.bucket, address.key, needed)


def connect(template: str, settings: Settings) -> None:
    """Have references be read here with the account of these settings."""
    store.connections[addresses.parse(template).bucket] = partial(_client, settings)


def _client(settings: Settings) -> Any:
    from lithops_magic.aws.session import Cloud

    return Cloud.connect(settings).client("s3")
