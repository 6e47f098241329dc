"""The table of jobs."""

from __future__ import annotations

from datetime import datetime

import pytest

from lithops_magic.notebook.display.job_table import HEADINGS, ListedJob
from lithops_magic.notebook.display.status import Table

NOW = datetime(2026, 3, 5, 14, 30).timestamp()


def row(**changes: object) -> dict[str, str]:
    facts = {
        "id": "0123456789abcdef",
        "started": NOW - 185,
        "state": "finished",
        "done": 35,
        "failed": 5,
        "total": 40,
        "cost": 0.0008,
        "local": True,
        "about": "Cell In[3] · analysis.ipynb: fit(x)",
    }
    return dict(zip(HEADINGS, ListedJob(**{**facts, **changes}).row(NOW), strict=True))


def test_a_row() -> None:
    assert row() == {
        "to attach": "%lambda_attach 01234567",
        "started": "14:26 (3 min ago)",
        "state": "finished",
        "tasks": "35 ✓ 5 ✗",
        "price on AWS": "≈ $0.0008",
        "where": "Cell In[3] · analysis.ipynb: fit(x)",
    }


@pytest.mark.parametrize(
    ("changes", "column", "shown"),
    [
        ({"started": NOW - 3}, "started", "14:29 (just now)"),
        ({"started": NOW - 86_400}, "started", "Mar 4 14:30 (24 h ago)"),
        ({"started": NOW - 5 * 86_400}, "started", "Feb 28 14:30 (5 days ago)"),
        ({"failed": 0}, "tasks", "35 ✓ of 40"),
        ({"total": None}, "tasks", "35 ✓ 5 ✗ of ?"),
        ({"local": False}, "price on AWS", "≈ $0.0008"),
        ({"cost": 0.0}, "price on AWS", ""),
        ({"state": "unreadable"}, "to attach", "01234567"),
        ({"about": "f" * 90}, "where", "f" * 47 + "…"),
    ],
)
def test_columns(changes: dict[str, object], column: str, shown: str) -> None:
    assert row(**changes)[column] == shown


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_breaks_no_row_and_a_pipe_gets_all_of_it(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    table = Table("Jobs", HEADINGS, [tuple(row(about="f" * 40).values())] * 3, "")
    monkeypatch.setenv("COLUMNS", str(columns))
    assert "f" * 40 in table.to_text()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    lines = table.to_text().splitlines()
    assert max(map(len, lines)) <= columns
    assert lines[2].endswith("…") is (columns == 80)
    assert all("%lambda_attach 01234567" in line for line in lines[2:])
