"""Programs built on Lithops, with us in its place: not a line of them is edited."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from localaws import LocalAws
from users import library

pytestmark = pytest.mark.users

BUCKET = "lithops-users"
TESTS_OF = """
    import sys, pytest
    # Not by the settings of this project, in whose folder they may be installed.
    sys.exit(pytest.main(["-c", "none.ini", "--rootdir", ".", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
ARRAYS = f"""
    import cubed, cubed.array_api as xp
    from cubed.runtime.executors.lithops import LithopsExecutor

    if __name__ == "__main__":
        options = dict(allowed_mem="200MB", reserved_mem="50MB", storage_options=dict(use_obstore=True))
        spec = cubed.Spec("s3://{BUCKET}/arrays", **options)
        a = xp.reshape(xp.arange(40_000, chunks=10_000, spec=spec), (200, 200))
        total = xp.sum((a + a.T) * 2, axis=0)
        executor = LithopsExecutor(backend="localhost", runtime_memory=512, runtime_timeout=60)
        print(total.compute(executor=executor).tolist())
"""


@pytest.fixture(scope="module")
def access(local_aws: LocalAws) -> Iterator[dict[str, str]]:
    """What a program needs to find the local AWS's S3 by itself."""
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    yield {
        "AWS_ACCESS_KEY_ID": local_aws.access_key_id,
        "AWS_SECRET_ACCESS_KEY": local_aws.secret_access_key,
        "AWS_ENDPOINT_URL": local_aws.endpoint_url,
        "AWS_REGION": local_aws.region,
        "AWS_ALLOW_HTTP": "true",
    }
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", ()):
            s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def run(folder: Path, program: str, *arguments: str, **variables: str) -> str:
    """Run a program that imports Lithops, and return what it printed."""
    (folder / "none.ini").touch()
    (folder / "program.py").write_text(textwrap.dedent(program))
    code = "import sys; from lithops_magic.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "lithops", "program.py", *arguments]
    variables = {**os.environ, "PYTEST_ADDOPTS": "", **variables}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_cubed(access: dict[str, str], tmp_path: Path) -> None:
    library("cubed"), library("obstore")
    numbers = [[200 * row + column for column in range(200)] for row in range(200)]
    totals = [sum((numbers[i][j] + numbers[j][i]) * 2 for i in range(200)) for j in range(200)]
    assert run(tmp_path, ARRAYS, **access) == f"{totals}\n"


def test_virtualizarrs_own_tests_of_its_executor(local_aws: LocalAws, tmp_path: Path) -> None:
    tests = Path(library("virtualizarr").__file__).parent / "tests/test_parallel.py"
    assert "2 passed" in run(tmp_path, TESTS_OF, str(tests), "-k", "lithops")
