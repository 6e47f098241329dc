"""The command `export`: exports a notebook as a file to share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lithops_magic.errors import ConfigError


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of `lithops-magic`."""
    export = commands.add_parser(
        "export",
        help="write a notebook without its secrets as a page, a script or a notebook",
        description="Write a notebook to a file to share, as %lambda_export does. Replaced by dots, in code and "
        "outputs: the AWS credentials of this machine, what is assigned to a name such as API_KEY or password, and "
        "what looks like a key, a token, a private key or a password in a URL.",
    )
    export.add_argument("notebook", metavar="NOTEBOOK.ipynb", type=Path)
    export.add_argument(
        "file", metavar="FILE", type=Path, help="output file; its suffix (.html, .py or .ipynb) selects the format"
    )
    export.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    from lithops_magic.notebook.export.command import export_file
    from lithops_magic.notebook.parse.usage_error import UsageError

    try:
        lines = export_file(options.notebook, options.file)
    except UsageError as error:
        raise ConfigError(str(error)) from None
    print("\n".join(lines))
    return 0
