"""`%lambda_lithops`: programs and cells that say `import lithops`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from localaws import LocalAws

if TYPE_CHECKING:
    from IPython.terminal.interactiveshell import TerminalInteractiveShell

Run = Callable[..., tuple[str, str]]

PROGRAM = """
import sys
import lithops
from lithops.storage.utils import CloudObject

FACTOR = 3

def times(x):
    return FACTOR * x

if __name__ == "__main__":
    fexec = lithops.FunctionExecutor(runtime_memory=256)
    values = fexec.get_result(fexec.map(times, [1, 2]))
    print(values, sys.argv[1:], lithops.__name__)
    if sys.argv[1:] == ["fail"]:
        1 / 0
"""


def test_a_cell_and_a_program_run_unedited(local_aws: LocalAws, run: Run, tmp_path: Path) -> None:
    program = tmp_path / "a program.py"
    program.write_text(PROGRAM)
    before = sys.modules.get("lithops")
    out, _ = run(f"%lambda_lithops '{program}' -x 'two words'  # a comment")
    assert out.splitlines()[-1] == "[3, 6] ['-x', 'two words'] lithops_magic.lithops"
    assert run("values, FACTOR")[0].strip().endswith("([3, 6], 3)")
    cell = "%%lambda_lithops\nimport lithops\nfexec = lithops.FunctionExecutor(runtime_memory=256)\n"
    out, _ = run(cell + "fexec.get_result(fexec.map(lambda x: FACTOR + x, range(3)))")
    assert "[3, 4, 5]" in out
    assert "[5]" in run("fexec.get_result(fexec.map(lambda x: FACTOR + x, [2]))")[0]
    assert sys.modules.get("lithops") is before
    out, err = run(f"%lambda_lithops '{program}' fail", ok=False)
    shown = out + err
    assert "ZeroDivisionError" in shown
    assert "1 / 0" in shown
    assert "stand_in.py" not in shown


def test_what_is_wrong_is_one_line(loaded: TerminalInteractiveShell, run: Run) -> None:
    for line, said in (
        ("%lambda_lithops", "needs a program"),
        ("%lambda_lithops nowhere.py", "there is no file nowhere.py"),
        ("%lambda_lithops 'open", "No closing quotation"),
        ("%%lambda_lithops --local\n1", "takes nothing on its line"),
    ):
        out, err = run(line, ok=False)
        assert said in out + err
        assert "Traceback" not in out + err
    out, err = run("%%lambda_lithops\n1 +", ok=False)
    assert "SyntaxError" in out + err
