"""`lithops-magic lithops`: programs that say `import lithops`."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from localaws import LocalAws

PROGRAM = """
    import sys

    import lithops
    from lithops import FunctionExecutor
    from lithops.multiprocessing import Pool
    from lithops.wait import ALL_COMPLETED

    import beside

    def double(x):
        return beside.FACTOR * x

    def total(results):
        return sum(results)

    if __name__ == "__main__":
        fexec = FunctionExecutor(runtime_memory=256)
        fexec.map_reduce(double, range(4), total)
        print(fexec.get_result())
        done, _ = fexec.wait(fexec.map(double, [5]), return_when=ALL_COMPLETED)
        print(done[0].result(), sys.argv[1:], lithops.__name__)
        if "--fail" in sys.argv:
            fexec.get_result(fexec.map(double, [None]))
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "beside.py").write_text("FACTOR = 2\n")
    (folder / "program.py").write_text(textwrap.dedent(PROGRAM))
    code = "import sys; from lithops_magic.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "lithops", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ.copy(), capture_output=True, text=True, timeout=150, check=False
    )


def test_a_program_runs_unedited(local_aws: LocalAws, tmp_path: Path) -> None:
    done = run(tmp_path, "program.py", "--some", "option")
    assert (done.stdout.splitlines(), done.returncode) == (
        ["12", "10 ['--some', 'option'] lithops_magic.lithops"],
        0,
    ), done.stderr


def test_an_error_of_a_program_shows_the_programs_own_lines(local_aws: LocalAws, tmp_path: Path) -> None:
    done = run(tmp_path, "program.py", "--fail")
    assert done.returncode == 1
    assert "program.py" in done.stderr
    assert "TypeError" in done.stderr
    assert "stand_in.py" not in done.stderr
    (tmp_path / "late.py").write_text(
        "import lithops.multiprocessing as mp\ndef f():\n    raise mp.TimeoutError('own')\nf()\n"
    )
    done = run(tmp_path, "late.py")
    assert "late.py" in done.stderr
    assert "lithops_magic" not in done.stderr


def test_a_program_that_there_is_not(tmp_path: Path) -> None:
    done = run(tmp_path, "none.py")
    assert (done.returncode, done.stderr) == (1, "lithops-magic: there is no file none.py\n")
