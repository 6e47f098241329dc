"""`s3(…)` in notebooks: available without an import, unless the user has defined `s3`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.config import Settings
    from lithops_magic.data import Objects

_NAME = "s3"


def install(shell: InteractiveShell, settings: Callable[[], Settings]) -> None:
    """Make `s3` a builtin of the notebook; it accesses S3 with these settings."""

    def s3(
        *address: Any,
        chunk: int | str | None = None,
        newline: str | bytes | None = "\n",
        obj_chunk_number: int | None = None,
        requester_pays: bool = False,
    ) -> Objects:
        """Return the objects at some addresses, or parts of them: `%%lambda_map obj in s3("bucket/*.csv")`.

        `help(lithops_magic.s3)` says what the arguments mean and what an `obj` has.
        """
        from lithops_magic import data

        __tracebackhide__ = True
        objects = data.s3(
            *address,
            chunk=chunk,
            newline=newline,
            obj_chunk_number=obj_chunk_number,
            requester_pays=requester_pays,
        )
        return objects.bound(settings)

    trap = shell.builtin_trap
    # A builtin rather than a variable: `%who` does not list it, and a variable of the user's own hides it.
    trap.auto_builtins[_NAME] = s3
    if trap._nested_level:
        # Also for the cell that loads the extension, whose builtins are already set up.
        trap.add_builtin(_NAME, s3)


def remove(shell: InteractiveShell) -> None:
    """Remove it."""
    trap = shell.builtin_trap
    trap.auto_builtins.pop(_NAME, None)
    # While a cell runs, IPython has installed it; what it hid comes back.
    if _NAME in trap._orig_builtins:
        trap.remove_builtin(_NAME, trap._orig_builtins.pop(_NAME))
