"""Every option that a magic can have, declared once: how it is written, what it may say, how it is explained."""

from __future__ import annotations

from lithops_magic.config import limits
from lithops_magic.config.lifetime import DEFAULT, parse_lifetime
from lithops_magic.config.limits import Range
from lithops_magic.config.settings import DEFAULT_EPHEMERAL_STORAGE, DEFAULT_MEMORY, DEFAULT_TIMEOUT
from lithops_magic.notebook.parse import option_values
from lithops_magic.notebook.parse.option import Option

RAISE_OR_KEEP = ("raise", "keep")


def _number(flag: str, metavar: str, allowed: Range, text: str, *examples: str, default: str = "") -> Option:
    parse = option_values.whole(allowed)
    return Option((flag,), text, metavar, parse, str(allowed), examples=examples, default=default)


OUT = Option(
    ("-o", "--out"),
    "variable that holds the result, bound before the work starts",
    "NAME",
    option_values.parse_name,
    "a variable name",
    offers="variables",
)
ANSWER = Option(
    ("-o", "--out"),
    "variable that gets the value",
    "NAME",
    option_values.parse_name,
    "a variable name",
    offers="variables",
)
REDUCE = Option(
    ("--reduce",),
    "function called once on Lambda with the list of all values when every task has succeeded; gives RESULT.reduced",
    "NAME",
    option_values.parse_name,
    "the name of a function",
    offers="functions",
)
REDUCE_BY = Option(
    ("--reduce-by",),
    "reduce the values of each group of items separately; groups are named by an attribute of the items, such as key "
    "for the parts of each object in S3, and RESULT.reduced is then a dictionary",
    "KEY",
    option_values.parse_name,
    "the name of an attribute of the items",
    examples=("key", "bucket"),
)
TO_S3 = Option(
    ("--to-s3",),
    "leave the values in S3, where the tasks write them as the suffix says (parquet, csv, json, npy, else pickle)",
    "ADDRESS",
    option_values.template,
    'an address such as "bucket/prefix/{index}.parquet"',
    keeps="index",
)
FUNCTION = (
    _number(
        "--memory",
        "MB",
        limits.MEMORY,
        "megabytes of memory, and CPU with it: 1769 is one vCPU; 2GB works too",
        *("128", "256", "512", "1024", "1769", "2048", "3008", "4096", "8192", "10240"),
        default=str(DEFAULT_MEMORY),
    ),
    _number(
        "--timeout",
        "S",
        limits.TIMEOUT,
        "seconds that one task may run; 5m works too",
        *("60", "5m", "15m"),
        default=str(DEFAULT_TIMEOUT),
    ),
    _number(
        "--tmp",
        "MB",
        limits.TMP,
        "megabytes of /tmp",
        *("512", "2048", "10240"),
        default=str(DEFAULT_EPHEMERAL_STORAGE),
    ),
    Option(
        ("--env",),
        "environment variable of the tasks; repeat it for more",
        "K=V",
        option_values.parse_pair,
        "NAME=VALUE",
        examples=("OMP_NUM_THREADS=1",),
        repeated=True,
    ),
    Option(
        ("--packages",),
        'packages to ship besides those that the cell imports: "numpy==2.1 polars", a requirements file, or none',
        "LIST",
        str,
        "names in quotes, a requirements file or none",
        offers="requirements",
    ),
    Option(
        ("--files",),
        'files and folders to copy into the tasks\' working folder, such as "data/*.csv"',
        "PATH...",
        str,
        "files or folders",
        offers="files",
        repeated=True,
        several=True,
    ),
)
SHARING = (
    _number(
        *("--chunksize", "N", limits.COUNT, "items per invocation"),
        *("1", "10", "100"),
        default="from the measured run time",
    ),
    _number(
        *("--workers", "N", limits.COUNT, "maximum invocations in flight; above 1,000, with copies of the function"),
        *("10", "100", "1000"),
        default="what the account allows",
    ),
)
RETRYING = (
    _number(
        *("--retries", "N", limits.RETRIES, "retries of a task whose sandbox crashed or was lost"),
        *("0", "1", "2", "5"),
        default="2",
    ),
    Option(("--retry-errors",), "also retry tasks that raised an exception"),
    Option(
        ("--retry-memory",),
        "retry a task that ran out of memory with this many times the memory",
        "2x",
        option_values.parse_factor,
        option_values.ABOVE["retry_memory"][1],
        examples=("2x", "4x"),
    ),
)
BACKUPS = Option(
    ("--backups",), "run a second copy of a task that takes far longer than others; only for tasks that may run twice"
)
ERRORS = Option(
    ("--errors",),
    "raise: when the job ends, raise the grouped errors; keep: only report them",
    "raise|keep",
    option_values.one_of(RAISE_OR_KEEP),
    "raise or keep",
    RAISE_OR_KEEP,
    default="raise",
)
CACHE = Option(
    ("--cache",),
    "reuse values computed before with the same code, data, packages and item, and keep the new ones; AGE is how old "
    "they may be (30d if not given), off reuses none",
    "AGE",
    parse_lifetime,
    "a time of at most a year, such as 12h or 30d, or off",
    examples=("12h", "7d", "30d", "90d", "365d", "off"),
    bare=DEFAULT,
)
LOCALS = Option(("--locals",), "show the local variables in tracebacks")
MAX_COST = Option(
    ("--max-cost",),
    "send nothing more once the job has cost this many US dollars",
    "USD",
    option_values.parse_money,
    option_values.ABOVE["max_cost"][1],
    examples=("0.10", "1", "10"),
)
CHOICES = ("cheapest", "balanced", "fastest")
TABLE = "table"
"""What is asked for by --tune without a choice."""
TUNE = Option(
    ("--tune",),
    "only measure a few items at several memory sizes, for at most --max-cost ($0.05 by default); a choice is "
    "written into the cell as its --memory",
    "|".join(CHOICES),
    option_values.one_of((*CHOICES, TABLE)),
    "cheapest, balanced or fastest",
    CHOICES,
    bare=TABLE,
)
SAVE = Option(
    ("--save",),
    "save the chosen size in the configuration file",
    "|".join(CHOICES),
    option_values.one_of(CHOICES),
    "cheapest, balanced or fastest",
    CHOICES,
)
WAYS = (
    Option(("--dry-run",), "show what would be sent and deployed and the most it could cost; send nothing"),
    Option(("--background",), "return at once; results arrive while other cells run"),
    Option(("--detach",), "run on AWS without this notebook; %lambda_attach gets the results"),
)
QUIET = Option(("--quiet",), "show no progress and no summary")
WHERE = (
    Option(("--local",), "use the local AWS on this machine, whatever is configured"),
    Option(
        ("--profile",),
        "use the account of this AWS profile",
        "NAME",
        str,
        "the name of an AWS profile",
        offers="profiles",
    ),
)
HELP = Option(("--help",), "show this help")
