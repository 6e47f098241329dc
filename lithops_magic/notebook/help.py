"""The help of the magics, generated from their declared options."""

from __future__ import annotations

from lithops_magic.notebook.options import OPTIONS

_FORMS = """\
    %%lambda_map TARGET in ITEMS [options]     the cell is computed for each item
    %%lambda_map ITEMS [options]               the function the cell ends with is called with each item
    %lambda_map FUNCTION ITEMS [options]       a function that exists already is called with each item
"""

_EXAMPLES = """\
    %%lambda_map x in range(1000) -o squares
    x ** 2

    %%lambda_map a, b in zip(range(100), range(100)) -o sums --memory 512
    total = a + b
    total

    %%lambda_map ["one", "two", "three"] -o lengths
    def measure(word):
        return len(word)

    %lambda_map str.upper ["one", "two", "three"] --quiet
"""

_INTRODUCTION = """\
The value of a task is the cell's last expression. The cell sees the notebook's variables and functions; what it
assigns stays on the Lambda. The result is a sequence in the order of the items, bound to the name given with
-o before the work starts, or else the cell's output; it is also kept as `_lambda`.

Options stand before or after the rest of the line. Everything else is one Python expression, evaluated once.
`%config LambdaMagics.memory = 1024` sets a default for this session."""


def help_text() -> str:
    """Return the help of `lambda_map`: forms, options, examples that run as they stand."""
    width = max(len(option.usage) for option in OPTIONS)
    options = "\n".join(f"    {option.usage:{width}}  {option.help}" for option in OPTIONS)
    sections = (
        "Run Python for each of many items, in parallel on AWS Lambda.\n",
        _FORMS,
        f"{_INTRODUCTION}\n",
        f"Options:\n{options}\n",
        f"Examples:\n\n{_EXAMPLES}",
    )
    return "\n".join(sections)


def _short(command: str, what: str) -> str:
    return f"{what}\n\n    {command} [--local] [--profile NAME]\n"


STATUS_HELP = _short(
    "%lambda_status", "Show which AWS is used, the functions deployed on it and the jobs of this session."
)
CLEAN_HELP = _short("%lambda_clean", "Delete the functions that were deployed from here, and nothing else.")
