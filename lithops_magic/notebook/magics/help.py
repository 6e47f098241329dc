"""The help of the magics, generated from their declared options."""

from __future__ import annotations

from collections.abc import Iterable

from lithops_magic.notebook.parse.options import ATTACH, CACHE, CALL, CLEAN, LOGS, MANAGE, MAP, TUNE, Option, describe

_MAP_FORMS = """\
    %%lambda_map TARGET in ITEMS [options]     the cell is computed for each item
    %%lambda_map ITEMS [options]               the function the cell ends with is called with each item
    %lambda_map FUNCTION ITEMS [options]       a function that exists already is called with each item
"""

_MAP_INTRODUCTION = """\
The value of a task is the cell's last expression. The cell sees the notebook's variables and functions; what it
assigns stays on the Lambda. The result is a sequence in the order of the items, bound to the name given with
-o before the work starts, or else the cell's output; it is also kept as `_lambda`.

Every job begins afresh, with what the notebook sends and an empty /tmp. Within one job, tasks that happen to run in
the same sandbox share objects that functions change and files in /tmp, but nobody knows which do: return results, and
do not count on either. Environment variables and the working folder are put back after each task.

A task without a value that draws with matplotlib (in the notebook's style) or calls `display()` has what it has shown
as its value; `RESULT.show()` shows the first few of those, and of other pictures and tables, side by side.

ITEMS means what it means to a `for` loop. A list is copied at once (not what is in it); an iterator is advanced only
as far as needed, here while the cell waits, and each item is pickled before the next is asked for.

A random generator of the notebook is the same in every task. Independent numbers, the same in every run:
    %%lambda_map x, seed in zip(items, np.random.SeedSequence(42).spawn(len(items))) -o draws
    rng = np.random.default_rng(seed)

Options stand before or after the rest of the line. Everything else is one Python expression, evaluated once.
`%config LambdaMagics.memory = 1024` sets a default for this session. The interrupt button stops the job and keeps
what has finished. A `;` at the end shows no output, --quiet no progress either; LITHOPS_MAGIC_PROGRESS=0 in the
environment, or `%config LambdaMagics.progress = False`, switches progress off for good, and
`%config LambdaMagics.timeline = False` the picture of the sandboxes that goes with it.
"""

_MAP_EXAMPLES = """\
    %%lambda_map x in range(1000) -o squares
    x ** 2

    %%lambda_map a, b in zip(range(100), range(100)) -o sums --memory 512
    total = a + b
    total

    %%lambda_map ["one", "two", "three"] -o lengths --reduce sum
    def measure(word):
        return len(word)

    %lambda_map str.upper ["one", "two", "three"] --quiet
"""

_CALL_FORMS = """\
    %%lambda_call [options]     the cell is computed once, on one Lambda
"""

_CALL_INTRODUCTION = """\
The value is the cell's last expression: bound to the name given with -o, or else the cell's output. The cell sees the
notebook's variables and functions; what it assigns stays on the Lambda. With --background or --detach it is the
result that is bound, whose only element becomes the value. What the cell prints is shown below it, and what it draws
or displays where it has no other value. `_lambda` is the result in any case, with log and cost.
"""

_CALL_EXAMPLES = """\
    n = 400

    %%lambda_call -o answer --memory 2048
    import math
    sum(math.sqrt(k) for k in range(n))
"""

_LOGS_FORMS = """\
    %lambda_logs [RESULT] [INDEX] [--grep PATTERN] [--follow]
"""

_LOGS_INTRODUCTION = """\
Without RESULT, of the latest job; without INDEX, of every task. --follow prints what the tasks of a background or
detached job print while they run, from CloudWatch Logs, until the job is over; the interrupt button ends that, and not
the job.
"""

_LOGS_EXAMPLES = """\
    %%lambda_map x in range(3) -o r
    print("item", x)

    %lambda_logs r 2

    %lambda_logs --grep "item [12]"

    %lambda_logs r --follow
"""


_ATTACH_FORMS = """\
    %lambda_attach [JOB] [options]
"""

_ATTACH_INTRODUCTION = """\
JOB is what `RESULT.job_id` says, or how it begins; without it, the latest job of this notebook. %lambda_status lists
the jobs that this machine knows: those that took longer than two seconds, or were detached, in the last seven days.
What had finished is there at once. What still runs arrives if it takes long enough to be kept in S3; a detached job
goes on until its end. --resume runs the rest of a job whose notebook was closed, or its kernel killed.
"""

_ATTACH_EXAMPLES = """\
    %lambda_attach -o r

    %lambda_attach 01234567 -o r --resume
"""

_CACHE_FORMS = """\
    %lambda_cache [CELL] [options]
"""

_CACHE_INTRODUCTION = """\
`%%lambda_map … --cache` keeps values in S3 and uses them again, from any notebook of the account and namespace, where
all that the code depends on is the same: the code but for comments and its place, the values and functions that it uses
of the notebook, the modules of your own that it reaches, --files, --env, the versions of its packages, Python's, and
the item. Random numbers, the time, other files and the network are not seen: leave --cache out where they matter.
CELL is how its name begins, or a part of what stands behind it in the list; without it, all cells are meant.
"""

_CACHE_EXAMPLES = """\
    %%lambda_map x in range(1000) -o squares --cache 30d
    x ** 2

    %lambda_cache

    %lambda_cache squares --clear
"""

_TUNE_FORMS = """\
    %lambda_tune FUNCTION ITEMS [options]     a function that exists already is measured
    %lambda_tune --save CHOICE                what was measured last is saved
    %%lambda_map TARGET in ITEMS --tune       a cell is measured, and not run
"""

_TUNE_INTRODUCTION = """\
Five of the items, from the first to the last, are run twice at each size from 128 to 10,240 MB, on both architectures
where the packages allow; the second run counts. The sizes that --max-cost does not allow are left out. The table says
what a task takes and costs, the plot shows both, and three sizes have names: the cheapest, the fastest and the balanced
one, at which time and cost, each in shares of the worst, are least together. What was measured is remembered for the
function as it is: --dry-run then says what the whole job will probably cost.
"""

_TUNE_EXAMPLES = """\
    def fit(x):
        return sum(i * x for i in range(10_000))

    %lambda_tune fit range(100)
"""


def _help(what: str, forms: str, introduction: str, options: Iterable[Option], examples: str = "") -> str:
    sections = [f"{what}\n", forms, introduction, f"Options:\n{describe(options)}\n"]
    return "\n".join(section for section in (*sections, examples and f"Examples:\n\n{examples}") if section)


MAP_HELP = _help(
    "Run Python for each of many items, in parallel on AWS Lambda.", _MAP_FORMS, _MAP_INTRODUCTION, MAP, _MAP_EXAMPLES
)
CALL_HELP = _help("Run a cell once on AWS Lambda.", _CALL_FORMS, _CALL_INTRODUCTION, CALL, _CALL_EXAMPLES)
LOGS_HELP = _help("Show what tasks printed.", _LOGS_FORMS, _LOGS_INTRODUCTION, LOGS, _LOGS_EXAMPLES)
ATTACH_HELP = _help(
    "Go on with a job of another notebook, or of this one before its kernel ended.",
    _ATTACH_FORMS,
    _ATTACH_INTRODUCTION,
    ATTACH,
    _ATTACH_EXAMPLES,
)
STATUS_HELP = _help(
    "Show which AWS is used, the functions deployed on it, and the jobs of this machine.",
    "    %lambda_status [options]\n",
    "",
    MANAGE,
)
CLEAN_HELP = _help(
    "Delete the functions and layers that were deployed from here, and nothing else.",
    "    %lambda_clean [options]\n",
    "It says what it would delete, and asks.\n",
    CLEAN,
)
CACHE_HELP = _help(
    "List the values that --cache keeps, by cell and size, or delete them.",
    _CACHE_FORMS,
    _CACHE_INTRODUCTION,
    CACHE,
    _CACHE_EXAMPLES,
)
TUNE_HELP = _help(
    "Measure what a function takes and costs at several memory sizes, on a few of its items.",
    _TUNE_FORMS,
    _TUNE_INTRODUCTION,
    TUNE,
    _TUNE_EXAMPLES,
)
