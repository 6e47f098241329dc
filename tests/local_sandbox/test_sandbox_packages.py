"""The runtime's own packages, while an installer changes them under a running local AWS."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from lithops_magic.local.sandbox import runtime_dir
from packages import installed_help as help


def test_what_an_installer_moves_is_linked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, folder = tmp_path / "site", tmp_path / "runtime"
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(runtime_dir, "DISTRIBUTIONS", ("clock_x", "gone_x", "stays_x"))
    for name in ("clock_x", "gone_x", "stays_x"):
        help.wheel(site, name, {f"{name}/__init__.py": "VERSION = 1\n", f"of_{name}.py": ""})
    runtime_dir.build(folder, native_client=False)
    before = runtime_dir.repair(folder)
    assert before >= {"clock_x", "clock_x-1.dist-info", "gone_x", "stays_x", "bootstrap.py", "runtime_client.py"}

    for path in (*site.glob("clock_x*"), *site.glob("gone_x*")):
        shutil.rmtree(path)
    (site / "of_gone_x.py").unlink()
    help.wheel(site, "clock_x", {"clock_x/__init__.py": "VERSION = 2\n"}, version="2")
    importlib.invalidate_caches()
    found = runtime_dir.repair(folder)
    assert {"clock_x", "clock_x-2.dist-info", "stays_x", "bootstrap.py", "runtime_client.py"} <= found
    assert not {path.name for path in folder.iterdir()} & {"clock_x-1.dist-info"}
    assert not {name for name in found if name.startswith("gone_x")}
    assert (folder / "clock_x/__init__.py").read_text() == "VERSION = 2\n"
    # A sandbox starts while an installer has removed the old version and not yet written the new one.
    help.wheel(site, "gone_x", {"gone_x/__init__.py": "VERSION = 3\n", "of_gone_x.py": ""})
    importlib.invalidate_caches()
    assert {"gone_x", "gone_x-1.dist-info", "of_gone_x.py"} <= runtime_dir.repair(folder)
    assert (folder / "gone_x/__init__.py").read_text() == "VERSION = 3\n"
    assert all(path.exists() for path in folder.iterdir())
