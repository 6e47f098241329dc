"""The command `verify`: proves that everything works on the configured account."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.cli.account import add_common, chosen_settings
from lithops_magic.errors import ConfigError
from lithops_magic.working_folder import working_folder

if TYPE_CHECKING:
    from lithops_magic.verify import Finding, Report

MAX_COST = 0.02
"""USD."""
REPORT = "lithops-magic-verify.md"


def register(commands: Any) -> None:
    """Add the command to the sub-parsers of `lithops-magic`."""
    verify = commands.add_parser("verify", help="check that everything works in your own account")
    add_common(verify)
    verify.add_argument(
        "--max-cost",
        default=str(MAX_COST),
        metavar="USD",
        help=f"start no further check once this is spent (default: {MAX_COST})",
    )
    verify.add_argument(
        "--report",
        type=Path,
        default=Path(REPORT),
        metavar="FILE",
        help=f"where to write the report, which has no account numbers or secrets (default: {REPORT})",
    )
    verify.set_defaults(run=_verify)


def _amount(text: str) -> float:
    """Parse an amount of money.

    Raises
    ------
    ConfigError
        It is not a positive number.
    """
    try:
        amount = float(text)
    except ValueError:
        amount = 0
    if not 0 < amount < float("inf"):
        raise ConfigError(f"--max-cost must be an amount of US dollars above 0, not {text}.")
    return amount


def _verify(options: argparse.Namespace) -> int:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.verify import CHECKS, Report, verify

    max_cost = _amount(options.max_cost)
    settings = chosen_settings(options)
    if not (working_folder() / options.report).parent.is_dir() or options.report.is_dir():
        raise ConfigError(f"The report cannot be written to {options.report}: give a file in a folder that exists.")
    where = Cloud.connect(settings).describe()
    print(f"Verifying {where}: {len(CHECKS)} checks, at most ${max_cost:g}; everything they create is deleted.")
    # Schedulers end a job with SIGTERM, which must not leave anything behind, either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    findings: list[Finding] = []
    try:
        with closing(verify(settings, max_cost, lambda _: None)) as checks:
            for finding in checks:
                findings.append(finding)
                print(_line(finding), flush=True)
    except KeyboardInterrupt:
        print("Interrupted; what the checks created was deleted.", file=sys.stderr)
        return 130
    report = Report(findings, where, settings)
    _write(report, options.report)
    print(f"\n{report.counts()}\nReport: {options.report}")
    return 0 if report.passed else 1


def _line(finding: Finding) -> str:
    from lithops_magic.verify.report import MARKS

    seen = finding.seen
    cost = f"≈${finding.cost:.6f}" if finding.cost else ""
    measured = f"{finding.seconds:5.1f} s {finding.requests:4} requests {cost:>11}"
    line = f"{MARKS[seen.status]} {finding.name:<26} {measured}  expected {finding.expected}; seen {seen.text}"
    further = seen.differences if seen.status == "differs" else ()
    return "\n".join([line, *(f"    {difference}" for difference in further)])


def _write(report: Report, path: Path) -> None:
    try:
        path.write_text(report.to_markdown(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The report cannot be written to {path}: {error.strerror or error}.") from None
