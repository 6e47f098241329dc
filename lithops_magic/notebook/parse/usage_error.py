"""The error for invalid use of a magic."""

from __future__ import annotations

import IPython.core.error

from lithops_magic import user_code


class UsageError(IPython.core.error.UsageError):
    """A line or cell is invalid; shown in one line, below the user's own functions that led there.

    IPython prints its own UsageError to stderr without storing an `error` output, so a notebook run unattended would
    not show why it stopped.
    """

    def _render_traceback_(self) -> list[str]:
        # Called by IPython in place of its own traceback, which would show our frames.
        calls = user_code.calls(self.__traceback__)
        place = "" if calls else user_code.line_of_cell(self.__traceback__)
        return ["\n".join([*calls, f"UsageError: {self}" + (f" ({place})" if place else "")])]
