"""The magic `%lambda_config`: its options, help and parsing; the form is imported on first use."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.page import page

from lithops_magic.closest import closest
from lithops_magic.notebook.magics import help_text as texts
from lithops_magic.notebook.parse.config_line import ConfigLine
from lithops_magic.notebook.parse.option import Option
from lithops_magic.notebook.parse.tokens import without_comment
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from lithops_magic.notebook.form.form import ConfigForm
    from lithops_magic.notebook.session import Session

OPTIONS = (
    Option(("--show",), "show the settings of the next run as text"),
    Option(("--set",), "save a setting to the file; repeat it for more", "NAME=VALUE"),
    Option(("--file",), "read and save this file instead of the usual one", "PATH"),
    Option(("--local",), "use the local AWS until the kernel ends; with --set, save that"),
    Option(("--help",), "show this help"),
)

_FORMS = """\
    %lambda_config                       show the form
    %lambda_config --show                show the settings as text
    %lambda_config --set NAME=VALUE ...  save settings without the form
    %lambda_config --local               use the local AWS until the kernel ends
"""

_INTRODUCTION = """\
The file is Lithops' own: the one that LITHOPS_CONFIG_FILE names, ./.lithops_config, ~/.lithops/config or
/etc/lithops/config, whichever comes first. Only what you change is written; comments and everything else stay.

NAME is one of the form's names (memory, timeout, subnets, ...) or Lithops' (runtime_memory, vpc.subnets, ...);
env_vars.NAME and user_tags.NAME set one entry; efs is ACCESS_POINT=MOUNT_PATH. An empty VALUE restores the default.
"""

_EXAMPLES = """\
    %lambda_config --set memory=2048 --set timeout=300

    %lambda_config --set env_vars.OMP_NUM_THREADS=1 --file ./cluster.yaml
"""


@magics_class
class ConfigMagics(Magics):
    """Edits the configuration."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @no_var_expand
    @line_magic
    def lambda_config(self, line: str) -> ConfigForm | None:
        __tracebackhide__ = True
        asked = parse(line)
        if asked.help:
            page(help_text())
            return None
        from lithops_magic.notebook.form.command import configure

        return configure(asked, self._session)


def help_text() -> str:
    """Return the help of `%lambda_config`."""
    return texts.help_text(
        "Show, check and save where and how functions run.", _FORMS, _INTRODUCTION, texts.flat(OPTIONS), _EXAMPLES
    )


ConfigMagics.lambda_config.__doc__ = help_text()


def parse(line: str) -> ConfigLine:
    """Parse the line; raise UsageError if it is invalid."""
    flags = {option.flags[0]: option for option in OPTIONS}
    values: dict[str, list[str]] = {}
    rest = iter(words(without_comment(line)[0]))
    for word in rest:
        flag, assigned, value = word.partition("=")
        option = flags.get(flag)
        if option is None:
            raise UsageError(_unknown(flag, flags))
        if option.metavar is None:
            if assigned:
                raise UsageError(f"{flag} is a switch and takes no value")
        elif not assigned:
            value = next(rest, "")
        if option.metavar is not None and not value:
            raise UsageError(f"{flag} needs a value: {option.metavar}")
        values.setdefault(option.field, []).append(value)
    return ConfigLine(
        changes=tuple(_change(text) for text in values.get("set", [])),
        file=values["file"][-1] if "file" in values else None,
        show="show" in values,
        local="local" in values,
        help="help" in values,
    )


# `line_options` looks for Python around options; here values are paths, ARNs and tags, split as in a shell.
def words(line: str) -> list[str]:
    """Split a line at unquoted spaces; raise UsageError if a quote is not closed."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    # A backslash may be part of a Windows path, and a # part of a value.
    lexer.commenters = lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:
        pass
    raise UsageError("a quotation mark is not closed")


def _change(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--set needs NAME=VALUE, not `{name}`")
    return name, value


def _unknown(word: str, flags: dict[str, Option]) -> str:
    if not word.startswith("-"):
        return "%lambda_config takes only options; see `%lambda_config --help`"
    close = closest(word, flags)
    return f"unknown option {word}" + (f"; did you mean {close}?" if close else "")
