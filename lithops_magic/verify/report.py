"""The findings as Markdown to read or attach to an issue, without secrets, account numbers and network names."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lithops_magic.verify.finding import Finding

if TYPE_CHECKING:
    from lithops_magic.config import Settings

MARKS = {"ok": "✓", "differs": "≠", "failed": "✗", "skipped": "–"}
_HIDDEN = (
    (re.compile(r"(?<!\d)\d{12}(?!\d)"), "<account>"),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), "<key id>"),
    (re.compile(r"\b(vpc|subnet|sg|eni|fs|fsap)-[0-9a-f]{8,}\b"), r"\1-…"),
    (re.compile(r"//[^/\s@]+@"), "//…@"),
    (re.compile(r"\b[A-Za-z0-9/+]{40,}={0,2}\b"), "<long word>"),
)


@dataclass(frozen=True)
class Report:
    """All findings."""

    findings: Sequence[Finding]
    where: str
    settings: Settings

    @property
    def passed(self) -> bool:
        """Whether everything that could be checked is as expected."""
        return all(finding.seen.status in ("ok", "skipped") for finding in self.findings)

    def counts(self) -> str:
        """Summarize the outcomes, and what the checks took."""
        by = {kind: sum(finding.seen.status == kind for finding in self.findings) for kind in MARKS}
        words = {"ok": "as expected", "differs": "different", "failed": "failed", "skipped": "skipped"}
        parts = [f"{count} {words[kind]}" for kind, count in by.items() if count]
        seconds = sum(finding.seconds for finding in self.findings)
        requests, cost = sum(f.requests for f in self.findings), sum(f.cost for f in self.findings)
        return f"{', '.join(parts)} · {seconds:.0f} s · {requests:,} requests · ≈${cost:.4f}"

    def to_markdown(self) -> str:
        """Return the report as Markdown, free of private data."""
        import botocore

        head = [
            "# lithops-magic verify",
            "",
            f"- {self.counts()}",
            f"- {self.where}",
            f"- lithops-magic {version('lithops-magic')}, boto3 {version('boto3')}, botocore {botocore.__version__}, "
            f"awscrt {version('awscrt')}",
            f"- Python {sys.version.split()[0]} on {platform.system()} {platform.machine()}, "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"- VPC: {'yes' if self.settings.subnets else 'no'}, file system: {'yes' if self.settings.efs else 'no'}, "
            f"{self.settings.architecture}, {self.settings.memory:,} MB",
            "",
            "| | check | expected | seen | s | requests | USD |",
            "|---|---|---|---|---|---|---|",
        ]
        rows = [_row(finding) for finding in self.findings]
        # As a whole, because error messages may contain anything.
        return self.scrubbed("\n".join([*head, *rows, ""]))

    def scrubbed(self, text: str) -> str:
        """Return `text` without credentials, account numbers and names of the user's resources."""
        own = self.settings
        named = [own.secret_access_key, own.session_token, own.access_key_id, own.account_id, own.namespace]
        named += [own.execution_role.rpartition("/")[2] if own.execution_role else None, str(Path.home())]
        for secret in filter(None, named):
            text = text.replace(secret, "…")
        for pattern, instead in _HIDDEN:
            text = pattern.sub(instead, text)
        return text


def _row(finding: Finding) -> str:
    seen = finding.seen
    cells = [MARKS[seen.status], finding.name, finding.expected, "<br>".join([seen.text, *seen.differences])]
    measured = [f"{finding.seconds:.1f}", str(finding.requests), f"{finding.cost:.6f}"]
    return f"| {' | '.join(map(_cell, [*cells, *measured]))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
