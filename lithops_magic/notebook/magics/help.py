"""The magics' help, generated from their declared options."""

from __future__ import annotations

from lithops_magic.notebook.magics.help_text import flat, help_text
from lithops_magic.notebook.parse.options import ATTACH, CACHE, CALL_GROUPS, CLEAN, LOGS, MANAGE, MAP_GROUPS, TUNE

_MAP_FORMS = """\
    %%lambda_map TARGET in ITEMS [options]  run the cell for each item
    %%lambda_map ITEMS [options]            call the cell's last function
    %lambda_map FUNCTION ITEMS [options]    call an existing function
"""

_MAP_INTRODUCTION = """\
A task's value is the cell's last expression. The cell sees the notebook's variables and functions; what it assigns
stays on AWS. The result is a sequence in the order of the items. It is bound to the -o name before the work starts,
or else it is the cell's output; `_lambda` is always the latest one.

Every job starts clean, with only what the notebook sends and an empty /tmp. Within a job, tasks that happen to share
a sandbox also share files in /tmp and objects that functions change, so return results instead. Environment variables
and the working folder are reset after each task.

A task without a value that draws with matplotlib (in the notebook's style) or calls `display()` returns what it has
shown; `RESULT.show()` shows the first few of those, and of other pictures and tables, side by side.

ITEMS is whatever a `for` loop takes. A list is copied at once (a shallow copy); an iterator is advanced as needed,
here, while the cell waits, and each item is pickled before the next one is requested.

`s3("bucket/prefix/*.csv", chunk="64MB")` gives one `obj` for each part of each object in S3. A part ends where a
record does; `obj.data_stream` is a file whose lines are the records, `obj.read()` returns all of them, `obj.key` and
`obj.part` say what it is. Tab completes buckets and prefixes; `help(lithops_magic.s3)` says more.
    %%lambda_map obj in s3("bucket/*.csv", chunk="64MB") -o parts --reduce sum
    sum(1 for line in obj.data_stream)

A random generator of the notebook is the same in every task. For independent, reproducible numbers:
    seeds = np.random.SeedSequence(42).spawn(len(items))
    %%lambda_map x, seed in zip(items, seeds) -o draws
    rng = np.random.default_rng(seed)

Options may come before or after the rest of the line, which is one Python expression, evaluated once.
`%config LambdaMagics.memory = 1024` sets a default for the session. The interrupt button stops the job and keeps
what has finished. A `;` at the end hides the output, --quiet the progress too. To turn progress off for good, set
LITHOPS_MAGIC_PROGRESS=0 or `%config LambdaMagics.progress = False`; to turn off the timeline,
`%config LambdaMagics.timeline = False`.
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
    %%lambda_call [options]  run the cell once, as one invocation
"""

_CALL_INTRODUCTION = """\
The value is the cell's last expression. It is bound to the -o name, or else it is the cell's output. The cell sees
the notebook's variables and functions; what it assigns stays on AWS. What it prints is shown below it, as is what it
draws or displays if it has no other value. With --background or --detach, the name is bound to a result with one
element. `_lambda` is always that result, with its logs and cost.
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
RESULT defaults to the latest job, INDEX to all of its tasks. --follow prints what the tasks of a background or
detached job print while they run, from CloudWatch Logs, until the job ends; the interrupt button stops following, not
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
JOB is the ID that `RESULT.job_id` and %lambda_status show, or the start of it; the default is this notebook's latest
job. This machine remembers jobs that took longer than two seconds, or were detached, for seven days.

Finished tasks are available at once. Of those still running, long ones deliver their results through S3, and a
detached job runs to completion. --resume also runs the tasks that a closed notebook or a killed kernel left behind.
"""

_ATTACH_EXAMPLES = """\
    %lambda_attach -o r

    %lambda_attach 01234567 -o r --resume
"""

_CACHE_FORMS = """\
    %lambda_cache [CELL] [options]
"""

_CACHE_INTRODUCTION = """\
`%%lambda_map … --cache` keeps values in S3 and reuses them, from any notebook of the account and namespace, as long as
everything the code depends on is the same: the code apart from comments, the values and functions of the notebook that
it uses, your own modules that it reaches, --files, --env, the versions of its packages, Python's version, and the item.
Random numbers, the time, other files and the network are not tracked: leave out --cache where they matter.

CELL is the start of a name, or a part of the text beside it in the list; the default is all cells.
"""

_CACHE_EXAMPLES = """\
    %%lambda_map x in range(1000) -o squares --cache 30d
    x ** 2

    %lambda_cache

    %lambda_cache squares --clear
"""

_TUNE_FORMS = """\
    %lambda_tune FUNCTION ITEMS [options]  measure an existing function
    %lambda_tune --save CHOICE             save what was measured last
    %%lambda_map TARGET in ITEMS --tune    measure a cell, without running it
"""

_TUNE_INTRODUCTION = """\
Five of the items, from the first to the last, run twice at each size from 128 to 10,240 MB, on both architectures if
the packages allow; the second run counts. Sizes that --max-cost does not allow are left out. A table and a plot show
what a task takes and costs. Three sizes have names: the cheapest, the fastest, and the balanced one, at which the sum
of time and cost, each as a share of the worst, is smallest. The measurement is remembered for the function as it is:
--dry-run then says what the whole job will probably cost.
"""

_TUNE_EXAMPLES = """\
    def fit(x):
        return sum(i * x for i in range(10_000))

    %lambda_tune fit range(100)
"""


MAP_HELP = help_text(
    "Run Python for each of many items, in parallel on AWS Lambda.",
    _MAP_FORMS,
    _MAP_INTRODUCTION,
    MAP_GROUPS,
    _MAP_EXAMPLES,
)
CALL_HELP = help_text("Run a cell once on AWS Lambda.", _CALL_FORMS, _CALL_INTRODUCTION, CALL_GROUPS, _CALL_EXAMPLES)
LOGS_HELP = help_text("Show what tasks printed.", _LOGS_FORMS, _LOGS_INTRODUCTION, flat(LOGS), _LOGS_EXAMPLES)
ATTACH_HELP = help_text(
    "Get the results of a job of another notebook, or of this one before its kernel ended.",
    _ATTACH_FORMS,
    _ATTACH_INTRODUCTION,
    flat(ATTACH),
    _ATTACH_EXAMPLES,
)
STATUS_HELP = help_text(
    "Show which AWS is used, the functions deployed there, and the jobs of this machine.",
    "    %lambda_status [options]",
    "",
    flat(MANAGE),
    "    %lambda_status\n\n    %lambda_status --local",
)
CLEAN_HELP = help_text(
    "Delete the functions and layers that were deployed from here, and nothing else.",
    "    %lambda_clean [options]",
    "It lists what it would delete, and asks first.",
    flat(CLEAN),
    "    %lambda_clean --dry-run\n\n    %lambda_clean --yes",
)
CACHE_HELP = help_text(
    "List the values that --cache keeps, by cell and size, or delete them.",
    _CACHE_FORMS,
    _CACHE_INTRODUCTION,
    flat(CACHE),
    _CACHE_EXAMPLES,
)
TUNE_HELP = help_text(
    "Measure the run time and cost of a function at several memory sizes, on a few of its items.",
    _TUNE_FORMS,
    _TUNE_INTRODUCTION,
    flat(TUNE),
    _TUNE_EXAMPLES,
)
