"""What to do about an object that cannot be sent or returned: the advice depends on what it is."""

from __future__ import annotations

import io
import re
from types import AsyncGeneratorType, CoroutineType, GeneratorType, ModuleType
from typing import Any

_NAMED = {
    "Out": "get what you need from it first, such as value = Out[3]",
    "In": "get what you need from it first, such as text = In[3]",
}
"""Advice by the notebook's name for the object."""
_NAMED["_oh"] = _NAMED["Out"]
_NAMED["_ih"] = _NAMED["In"]

_PLAIN: list[tuple[type | tuple[type, ...], str]] = [
    ((GeneratorType, AsyncGeneratorType), "a generator can be consumed only here: pass a list of its values"),
    (CoroutineType, "await it here first, or call its function inside the function"),
    (
        io.IOBase,
        "an open file stays here: pass its content, or open what Lambda can read (S3) inside the function",
    ),
    (ModuleType, "import it inside the function"),
    (memoryview, "pass bytes(…) instead"),
]

# By top-level package, because the classes of these libraries are many and mostly private.
_FAMILIES = [
    ({"ipywidgets"}, "a widget lives in the notebook: get its value first, such as value = slider.value"),
    (
        {"IPython", "ipykernel"},
        "it belongs to the notebook, and Lambda has none: leave it out, and display what the task returns",
    ),
    (
        {"sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb", "mysql", "sqlalchemy", "duckdb", "pymongo", "redis"}
        | {"asyncpg", "oracledb", "pyodbc", "snowflake", "clickhouse_connect", "_duckdb"},
        "a connection stays where it was opened: connect inside the function",
    ),
    (
        {"h5py", "netCDF4", "tables", "rasterio", "fiona", "zipfile", "tarfile"},
        "an open file stays here: pass the data that the function needs, or open the file inside the function",
    ),
    ({"boto3", "botocore", "aiohttp", "httpx", "urllib3", "socket", "ssl"}, "create the client inside the function"),
    ({"lithops_magic"}, "leave it out of functions, of arguments, and of objects that they belong to"),
    ({"concurrent"}, "create it inside the function; the tasks already run in parallel"),
    (
        {"_thread", "threading", "multiprocessing", "asyncio", "queue", "_queue"},
        "tasks share no memory, so there is nothing to guard or exchange between them: leave it out, or create it "
        "inside the function",
    ),
]

_ELSE = "create it inside the function, or pass plain data to create it from"


def advice_to_send(thing: Any, part: Any, name: str = "") -> str:
    """Return what to do instead of sending `thing` (which the user calls `name`), because of a part of it."""
    return _NAMED.get(name) or _fitting(thing) or _fitting(part) or _ELSE


def _fitting(thing: Any) -> str:
    for kind, advice in _PLAIN:
        if isinstance(thing, kind):
            return advice
    if type(thing).__name__ == "DuckDBPyRelation":
        return "a query's result stays with its connection: pass its rows, such as NAME.df() or NAME.arrow()"
    origins = {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}
    return next((advice for family, advice in _FAMILIES if family & origins), "")


_BACK = [
    (
        r"(async_)?generator|ScandirIterator|reader|nditer",
        "it can be consumed only in its task: return a list of its values",
    ),
    (r"coroutine|Task|Future", "await it in the task, and return its result"),
    (
        r"S3|DynamoDB|SQS|\w*ServiceResource|BaseClient|\w*ClientSession|Session",
        "return the service's response as plain data",
    ),
    (
        r"Connection|Cursor|Engine|MongoClient|Redis|DuckDBPyConnection",
        "a connection ends with its task: return the rows, such as cursor.fetchall()",
    ),
    (
        r"\w*TextIO\w*|Buffered\w+|FileIO|\w*TemporaryFile\w*|mmap|ZipFile|TarFile",
        "an open file stays in its sandbox: return its content, such as file.read(), or write it to S3 and return its "
        "address",
    ),
    (r"Match", "return match.group() or match.groups()"),
    (r"HASH|blake2\w", "return its digest(), or hexdigest()"),
    (r"traceback|frame", "return its text, such as traceback.format_exc()"),
    (r"DirEntry", "return its path"),
    (r"ReferenceType", "return what it refers to"),
    (r"Popen|Process", "wait for it in the task, and return its output and exit status"),
    (
        r"Thread|Lock|RLock|lock|Condition|Event|Semaphore|\w*Queue|\w*Executor|Pool|SemLock|socket|SSLContext|poll",
        "it belongs to the process that created it: do not return it",
    ),
]
"""What to return instead, by type name."""
_KIND = re.compile(r"cannot pickle '(?:[\w.]*\.)?(\w+)' ")


def advice_to_return(kind: str, reason: str) -> str:
    """Return what to return instead of a result of this type that cannot be pickled for this reason."""
    part = _KIND.search(reason)
    for name in (kind.rpartition(".")[2], part[1] if part else ""):
        for pattern, advice in _BACK:
            if re.fullmatch(pattern, name):
                return advice
    return "return plain data made from it"
