"""The deployment package: small, reproducible, complete."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from lithops_magic.engine.backend.deployment_package import worker_package


def test_it_is_small_and_reproducible() -> None:
    package = worker_package()
    assert package == worker_package()
    assert len(package) < 50_000


def test_it_imports_without_anything_else(tmp_path: Path) -> None:
    zipfile.ZipFile(io.BytesIO(worker_package())).extractall(tmp_path)
    code = "import sys; sys.path.insert(0, sys.argv[1]); from lithops_magic_worker.handler import handle; print(handle)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
