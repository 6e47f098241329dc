"""What to do about a thing that cannot be sent: the way out depends on what it is."""

from __future__ import annotations

import io
from types import AsyncGeneratorType, CoroutineType, GeneratorType, ModuleType
from typing import Any

_NAMED = {
    "Out": "take what you need of it first, such as value = Out[3]",
    "In": "take what you need of it first, such as text = In[3]",
}
"""By what the notebook calls it."""
_NAMED["_oh"] = _NAMED["Out"]
_NAMED["_ih"] = _NAMED["In"]

_PLAIN: list[tuple[type | tuple[type, ...], str]] = [
    ((GeneratorType, AsyncGeneratorType), "a generator can only be used up here: pass a list of what it gives"),
    (CoroutineType, "await it here first, or call its function inside the function"),
    (
        io.IOBase,
        "an open file stays here: pass its content, or open what Lambda can read (S3) inside the function",
    ),
    (ModuleType, "import it inside the function"),
    (memoryview, "pass bytes(…) of it"),
]

_FAMILIES = [
    ({"ipywidgets"}, "a widget lives in the notebook: take its value first, such as value = slider.value"),
    (
        {"IPython", "ipykernel"},
        "it belongs to the notebook, and Lambda has none: leave it out, show what comes back",
    ),
    (
        {"sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb", "mysql", "sqlalchemy", "duckdb", "pymongo", "redis"}
        | {"asyncpg", "oracledb", "pyodbc", "snowflake", "clickhouse_connect"},
        "a connection stays where it was opened: connect inside the function",
    ),
    ({"boto3", "botocore", "aiohttp", "httpx", "urllib3", "socket", "ssl"}, "make the client inside the function"),
    ({"concurrent"}, "make it inside the function; the tasks run in parallel as it is"),
    (
        {"_thread", "threading", "multiprocessing", "asyncio", "queue", "_queue"},
        "tasks share no memory, so there is nothing to guard or to hand over between them: leave it out, or make it "
        "inside the function",
    ),
]

_ELSE = "make it inside the function, or pass plain data that it can be made from"


def way_out(thing: Any, part: Any, name: str = "") -> str:
    """Return what to do instead of sending `thing`, which the user calls `name`, for the sake of a part of it."""
    return _NAMED.get(name) or _fitting(thing) or _fitting(part) or _ELSE


def _fitting(thing: Any) -> str:
    for kind, advice in _PLAIN:
        if isinstance(thing, kind):
            return advice
    origins = {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}
    return next((advice for family, advice in _FAMILIES if family & origins), "")
