"""Where pip is told to look for packages, so does uv; pip itself need not be installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_magic.errors import PackageError
from lithops_magic.packages import indexes
from lithops_magic.packages.indexes import configuration
from lithops_magic.packages.uv import _call

INDEX = "http://me:hunter2@127.0.0.1:9/simple"
STANDARD = ("HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's own configuration of pip: there is none yet, and nothing else is configured."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name in STANDARD]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(indexes, "_pip_global_files", lambda: [tmp_path / "global.conf"])
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    (tmp_path / "pip").mkdir()
    configuration.cache_clear()
    yield tmp_path / "pip" / "pip.conf"
    configuration.cache_clear()


def test_its_indexes_are_used_and_credentials_are_never_shown(user_file: Path) -> None:
    user_file.write_text(
        f"[global]\nindex-url = {INDEX}\nextra-index-url =\n  http://127.0.0.1:9/more\n  http://127.0.0.1:9/other\n"
    )
    assert configuration() == {
        "UV_DEFAULT_INDEX": INDEX,
        "UV_INDEX": "http://127.0.0.1:9/more http://127.0.0.1:9/other",
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
    configuration.cache_clear()
    assert configuration() == {**expected, "UV_DEFAULT_INDEX": "https://h"}
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    configuration.cache_clear()
    assert configuration() == {"UV_DEFAULT_INDEX": "https://h"}
    monkeypatch.setenv("UV_INDEX", "https://i")
    configuration.cache_clear()
    assert configuration() == {}


def test_a_configuration_that_cannot_be_read_is_named(user_file: Path) -> None:
    user_file.write_text("index-url = https://a\n")
    with pytest.raises(PackageError, match=r"pip\.conf, cannot be read: File contains no section headers") as caught:
        configuration()
    assert "\n" not in str(caught.value)
