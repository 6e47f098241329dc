"""Every test that the threat model names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    files = set(re.findall(r"`((?:tests|benchmarks)/[\w/]+\.py)`", text))
    assert len(files) > 10
    there = "".join((ROOT / file).read_text() for file in files)
    names = set(re.findall(r"`(test_\w+)`", text))
    assert len(names) > 20
    assert [name for name in sorted(names) if f"def {name}(" not in there] == []
