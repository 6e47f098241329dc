"""The `lithops-magic` command, run as a command."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.cli.main import main


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """As `command`, without a second for a process of its own."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        for name, value in environment.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(str(end.code))
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), errors.getvalue())


def command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import sys; from lithops_magic.cli.main import main; sys.exit(main())", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_needs_no_aws_and_no_notebook_library_to_explain_itself() -> None:
    program = (
        "import sys\n"
        "from lithops_magic.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'boto3', 'IPython', 'nbclient', 'moto'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert "demo" in done.stdout
    assert "status" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_an_unknown_command_is_refused() -> None:
    done = run("demmo")
    assert done.returncode == 2
    assert "demmo" in done.stderr


def test_status_and_clean_see_only_our_functions(local_aws: Any, tmp_path: Path) -> None:
    # A namespace of its own: other tests may have functions on the same local AWS, and need them.
    (tmp_path / ".lithops_config").write_text("aws_lambda:\n  local: true\n  namespace: clitest\n")
    role = local_aws.client("iam").create_role(
        RoleName="cli-test",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            }
        ),
    )["Role"]["Arn"]
    program = "import lithops_magic; print(list(lithops_magic.map(abs, [-1, 2])))"
    mapped = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert mapped.stdout == "[1, 2]\n", mapped.stderr
    functions = local_aws.client("lambda")
    functions.create_function(
        FunctionName="somebody-elses",
        Role=role,
        Runtime="python3.11",
        Handler="x.y",
        Code={"ZipFile": _zip()},
    )
    status = command("status", cwd=tmp_path)
    assert local_aws.endpoint_url in status.stdout, status.stderr
    assert "lithops-magic-clitest" in status.stdout
    assert "somebody-elses" not in status.stdout
    assert local_aws.secret_access_key not in status.stdout + status.stderr

    assert "Would delete 1 function" in run("clean", "--dry-run", cwd=tmp_path).stdout
    assert "--yes" in run("clean", cwd=tmp_path).stdout
    assert "lithops-magic-clitest" in run("status", cwd=tmp_path).stdout

    cleaned = run("clean", "--yes", cwd=tmp_path)
    assert cleaned.stdout.startswith("Deleted 1 function (lithops-magic-clitest")
    left = [function["FunctionName"] for function in local_aws.functions()]
    assert "somebody-elses" in left
    assert not [name for name in left if name.startswith("lithops-magic-clitest")]
    assert "No functions deployed." in run("status", cwd=tmp_path).stdout
    assert "Nothing to delete" in run("clean", cwd=tmp_path).stdout


def _zip() -> bytes:
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.py", "def y(event, context):\n    return None\n")
    return archive.getvalue()


def test_a_broken_configuration_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".lithops_config").write_text("aws_lambda: [")
    done = command("status", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("lithops-magic: ")
    assert done.stderr.count("\n") == 1


def test_local_passes_its_arguments_on(local_aws: Any) -> None:
    done = command("local", "status")
    assert local_aws.endpoint_url in done.stdout, done.stderr


def test_local_serves_unless_told_otherwise(local_aws: Any) -> None:
    done = command("local", "--workers", "3")
    assert f"already running at {local_aws.endpoint_url}" in done.stderr


def test_alone_it_helps_and_tells_its_version() -> None:
    alone = command()
    assert alone.returncode == 0
    assert alone.stdout.startswith("usage: lithops-magic ")
    assert re.fullmatch(r"lithops-magic \d+\.\d+\S*\n", run("--version").stdout)
    for name in ("jobs", "logs", "clean", "export"):
        assert run(name, "--help").stdout.startswith(f"usage: lithops-magic {name} ")
    assert command("local", "--help").stdout.startswith("usage: lithops-magic local ")
    assert run("policy").stderr.endswith("the following arguments are required: user|execution\n")


def test_jobs_are_listed_and_their_logs_read(local_aws: Any, tmp_path: Path) -> None:
    state = {"LITHOPS_MAGIC_STATE_DIR": str(tmp_path / "state")}
    assert run("jobs", **state).stdout == "No jobs yet.\n"
    assert run("jobs", "--json", **state).stdout == "[]\n"
    program = (
        "import lithops_magic, time\n"
        "def f(x):\n    time.sleep(3)\n    print('item', x)\n    return 1 // x\n"
        "r = lithops_magic.map(f, [1, 2, 0], errors='keep')\n"
        "print(r.job_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **state},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    job = done.stdout.strip()
    listed = json.loads(run("jobs", "--json", **state).stdout)
    assert [(one["id"], one["state"], one["done"], one["failed"]) for one in listed] == [(job, "finished", 2, 1)]
    assert listed[0]["cost"] > 0
    assert re.search(rf"{job[:8]} +.*finished +2 ✓ 1 ✗ +≈ \$", run("jobs", **state).stdout)
    assert run("logs", job[:6], "1", **state).stdout == "item 2\n"
    assert run("logs", job[:6], "1", "--follow", **state).stdout == "[1] item 2\n"
    assert run("logs", "zz", **state).stderr.startswith("lithops-magic: No job 'zz'")
