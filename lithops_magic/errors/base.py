"""The base of every exception of this package: how IPython shows it."""

from __future__ import annotations

from lithops_magic import user_code


class LithopsMagicError(Exception):
    """Base of every exception raised by this package."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of our own frames; in one piece, because not every `%xmode` breaks lines."""
        # Not by attribute: in a RemoteError, the user's class comes along and may define anything.
        at = object.__getattribute__(self, "__traceback__")
        calls = user_code.calls(at)
        return ["\n".join([*calls, self.report("" if calls else user_code.line_of_cell(at))])]

    def report(self, place: str = "") -> str:
        """The whole message, with only the decisive line of the traceback."""
        return "\n".join([self._headline(place), *notes_of(self)])

    def _headline(self, place: str) -> str:
        return f"{type(self).__name__}: {self}" + (f" ({place})" if place else "")


def notes_of(error: BaseException) -> list[str]:
    # Not by name: where a user's class is mixed in, its attributes may do anything.
    return list(object.__getattribute__(error, "__dict__").get("__notes__", ()))
