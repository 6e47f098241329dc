"""Print the commands a newcomer is told to type: the README's fenced one-line `pip install` blocks, in order."""

from __future__ import annotations

import re
import sys
from pathlib import Path

EXPECTED = 2

readme = (Path(__file__).parents[1] / "README.md").read_text()
commands = re.findall(r"^```(?:bash|sh|shell)\n(pip install -e [^\n]+)\n```$", readme, re.MULTILINE)
if len(commands) != EXPECTED:
    raise SystemExit(f"README.md has {len(commands)} `pip install -e` blocks, not {EXPECTED}")
sys.stdout.write("\n".join(commands) + "\n")
