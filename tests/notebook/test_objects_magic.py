"""`s3(…)` on the line of a magic: there without an import, second to a name of the user's, completed at once."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from lithops_magic.notebook.magics import bucket_names
from localaws import LocalAws
from waiting import eventually

Run = Callable[..., tuple[str, str]]


def completed(shell: Any, line: str) -> set[str]:
    with provisionalcompleter():
        return {line[: each.start] + each.text for each in shell.Completer.completions(line, len(line))}


def test_it_is_there_without_an_import_and_a_variable_of_the_users_wins(
    run: Run, loaded: Any, local_aws: LocalAws
) -> None:
    assert run("s3('bucket/*.csv')")[0].endswith("s3('bucket/*.csv')\n")
    assert "s3" not in loaded.user_ns
    run("s3 = lambda address: [address]")
    run("%lambda_map len s3('four') --dry-run --local --quiet")
    assert run("s3('mine')")[0].endswith("['mine']\n")
    run("del s3\n%unload_ext lithops_magic")
    assert "NameError" in run("s3('bucket')", ok=False)[0]


def test_what_is_wrong_with_it_is_one_line(run: Run) -> None:
    for wrong in ("chunk='64 apples'", "newline=''", "obj_chunk_number=0"):
        out, err = run(f"%%lambda_map obj in s3('bucket/x', {wrong})\nobj.key", ok=False)
        shown = (out + err).strip()
        assert shown.startswith("MisuseError:"), shown
        assert "\n" not in shown


def test_a_cell_runs_over_objects(run: Run, loaded: Any, local_aws: LocalAws) -> None:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="magic-data")
    for key, body in (("in/a.txt", b"one two\nthree\n"), ("in/b.txt", b"four\n"), ("other.txt", b"")):
        s3.put_object(Bucket="magic-data", Key=key, Body=body)
    run(
        "%%lambda_map obj in s3('magic-data/in/*.txt', chunk=8) -o words --local --memory 256\n"
        "sum(len(line.split()) for line in obj.data_stream)"
    )
    assert loaded.user_ns["words"].values() == [2, 1, 1]
    out, err = run("%%lambda_map obj in s3('magic-data/no/') --local\nobj.key", ok=False)
    assert "MisuseError: s3: no object begins with s3://magic-data/no/" in out + err

    # A busy machine takes longer than a press of Tab may: the next one has it.
    for written, found in (
        ("%%lambda_map obj in s3('magic-d", "%%lambda_map obj in s3('magic-data/"),
        ("%%lambda_map obj in s3('magic-data/", "%%lambda_map obj in s3('magic-data/in/"),
        ("%%lambda_map obj in s3('magic-data/o", "%%lambda_map obj in s3('magic-data/other.txt"),
        ('%lambda_map f s3("s3://magic-data/i', '%lambda_map f s3("s3://magic-data/in/'),
        ("%lambda_map f s3('magic-data/in/', 'magic-d", "%lambda_map f s3('magic-data/in/', 'magic-data/"),
    ):
        assert eventually(partial(offers, loaded, written, found))


def offers(shell: Any, written: str, found: str) -> bool:
    return found in completed(shell, written)


def test_completion_starts_no_local_aws_and_waits_for_nobody(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(tmp_path / "none"))
    bucket_names._cache.clear()
    assert completed(loaded, "%%lambda_map obj in s3('buck") == set()
    assert not (tmp_path / "none").exists() or not list((tmp_path / "none").glob("*.json"))
    monkeypatch.setattr(bucket_names, "PATIENCE", 0.0)
    bucket_names._cache.clear()
    assert bucket_names.beginning_with("buck", lambda: builtins.__dict__["no"]) == []
