"""Where pip is told to look for packages, so does uv; pip itself need not be installed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from lithops_magic.errors import PackageError
from lithops_magic.packages import Target, indexes, pip_settings, uv_settings
from lithops_magic.packages.distributions import close
from lithops_magic.packages.indexes import configuration, options
from lithops_magic.packages.uv_command import IndexUnreachable, _call
from packages import installed_help as help
from serving import serving

INDEX = "http://me:hunter2@127.0.0.1:9/simple"
GLOBAL_FILES = pip_settings._pip_global_files
STANDARD = ("HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own configuration of pip: there is none yet, and nothing else is configured."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name in STANDARD]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(pip_settings, "_pip_global_files", lambda: [tmp_path / "global.conf"])
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    (tmp_path / "pip").mkdir()
    return tmp_path / "pip" / "pip.conf"


def test_its_indexes_are_used_and_credentials_are_never_shown(user_file: Path) -> None:
    user_file.write_text(
        f"[global]\nindex-url = {INDEX}\nextra-index-url =\n  http://127.0.0.1:9/more\n  http://127.0.0.1:9/other\n"
    )
    assert configuration() == {
        "UV_DEFAULT_INDEX": INDEX,
        "UV_INDEX": "http://127.0.0.1:9/other http://127.0.0.1:9/more",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9") as caught:
        _call(["pip", "compile", "-"], "lithops-magic-no-such-name")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_counts_more_goes_before_what_counts_less(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user_file.parents[1] / "global.conf").write_text("[install]\nproxy = p:1\n[global]\nindex-url = https://a\n")
    user_file.write_text("[install]\nindex_url = https://b\n[global]\nindex-url = https://c\n")
    monkeypatch.setenv("HTTPS_PROXY", "q:2")
    assert configuration() == {"UV_DEFAULT_INDEX": "https://b", "HTTP_PROXY": "p:1"}
    given = user_file.with_name("given.conf")
    given.write_text("[global]\ntrusted-host = c d\nfind-links = /e\n  /f\ncert = /g\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(given))
    monkeypatch.setenv("PIP_INDEX_URL", "https://h")
    expected = {"HTTP_PROXY": "p:1", "UV_INSECURE_HOST": "c d", "UV_FIND_LINKS": "/e,/f", "SSL_CERT_FILE": "/g"}
    assert configuration() == {**expected, "UV_DEFAULT_INDEX": "https://h"}
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert configuration() == {"UV_DEFAULT_INDEX": "https://h"}
    monkeypatch.setenv("UV_INDEX", "https://i")
    assert configuration() == {}


def test_pip_says_the_same_of_itself(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_settings, "_pip_global_files", GLOBAL_FILES)
    user_file.write_text(
        "[global]\nindex_url = https://a\ntimeout = 60\n[freeze]\ntimeout = 10\n"
        "[install]\nfind-links =\n  /e\n  /f\nno-index = 0\ntimeout = 5\n"
    )
    given = user_file.with_name("given.conf")
    given.write_text("[global]\ntrusted-host = a b\nindex-url = https://d\n")
    for name, value in {"CONFIG_FILE": str(given), "EXTRA_INDEX_URL": "https://b https://c", "PRE": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in told.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        sections.setdefault(section, {})[option] = ast.literal_eval(value)
    assert pip_settings.pip_settings() == sections["global"] | sections["install"] | sections[":env:"]


def test_a_configuration_that_cannot_be_read_is_named(user_file: Path) -> None:
    user_file.write_text("index-url = https://a\n")
    with pytest.raises(PackageError, match=r"pip\.conf, cannot be read: File contains no section headers") as caught:
        configuration()
    assert "\n" not in str(caught.value)


def test_what_else_pip_is_told_is_followed(user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = user_file.with_name("limits.txt")
    limits.write_text("six<1.17\n")
    user_file.write_text(
        f"[install]\nno-index = true\npre = yes\nconstraint = {limits}\n[global]\nclient-cert = {limits}\n"
    )
    assert options() == ["--no-index", "--prerelease", "allow", "--constraint", str(limits)]
    assert configuration() == {"SSL_CLIENT_CERT": str(limits)}
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_PRE", "false")
    assert options() == ["--constraint", str(limits)]


def test_what_cannot_be_followed_is_refused_by_name(user_file: Path) -> None:
    user_file.write_text("[install]\nno-binary = :all:\n")
    with pytest.raises(PackageError, match=r"no-binary = :all:, but .* PIP_NO_BINARY=:none: "):
        _call(["pip", "compile", "-"], "six")


def test_no_index_without_what_is_needed_is_named(user_file: Path) -> None:
    user_file.write_text("[install]\nno-index = 1\n")
    with pytest.raises(PackageError, match="configured with no-index"):
        _call(["pip", "compile", "-"], "lithops-magic-no-such-name")


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_wants_credentials_is_said_to(user_file: Path, status: int) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Refuses)) as url:
        user_file.write_text(f"[install]\nindex-url = {url}/simple\n")
        with pytest.raises(PackageError, match=f"denies access .{status} .* credentials"):
            _call(["pip", "compile", "-"], "six")


def test_offline_is_called_offline(user_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "nothing"))
    with pytest.raises(IndexUnreachable):
        _call(["pip", "compile", "-"], "six")


def test_pytorch_comes_without_cuda_unless_other_indexes_are_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip: dict[str, str] = {}
    monkeypatch.setattr(indexes, "pip_settings", lambda: pip)
    monkeypatch.setattr(uv_settings, "_files", tuple)
    for name in (*uv_settings.OF_INDEXES, "UV_TORCH_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "site"
    required = "numpy\nnvidia-cublas-cu12==12.8\ntriton==3; platform_system == 'Linux'\n"
    help.wheel(folder, "torch", {"torch_x/__init__.py": ""}, version="2.13.0", requires=required)
    monkeypatch.syspath_prepend(folder)
    roots = [(Requirement("torch"), "imported")]

    def closure() -> set[str]:
        found = close((), (), roots, Target(13, "x86_64"))
        return {*found.parts, *found.not_installed}

    assert configuration() == {"UV_TORCH_BACKEND": "cpu"}
    assert closure() == {"torch", "numpy"}
    pip["extra-index-url"] = "https://mirror.example/simple"
    assert "UV_TORCH_BACKEND" not in configuration()
    assert closure() == {"torch", "numpy", "nvidia-cublas-cu12", "triton"}
    pip.clear()
    monkeypatch.setenv("UV_TORCH_BACKEND", "cu130")
    assert configuration() == {}
