"""Every form of Lithops' configuration is read, in Lithops' order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.config import FileSystem, Settings, find, load
from lithops_magic.errors import ConfigError

ROLE = "arn:aws:iam::123456789012:role/lithops"
ACCESS_POINT = "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tools:1.2"

TODAY = f"""
lithops:
    backend: aws_lambda
    storage: aws_s3
aws:
    region: eu-west-1
aws_lambda:
    execution_role: {ROLE}
    runtime_memory: 2048
    runtime_timeout: 300
    max_workers: 50
    worker_processes: 2
    invoke_pool_threads: 32
    architecture: arm64
    ephemeral_storage: 1024
    env_vars:
        - {{name: LEVEL, value: 1}}
        - {{name: MODE, value: yes}}
    user_tags: {{team: physics}}
    namespace: mine
    account_id: 012345670123
    vpc:
        subnets: [subnet-1, subnet-2]
        security_groups:
            - sg-1
    efs:
        - access_point: {ACCESS_POINT}
          mount_path: /mnt/data
    profile: research
    layers: [arn:aws:lambda:eu-west-1:123456789012:layer:numpy:3]
"""

OLD = f"""
lithops: {{mode: serverless, workers: 70}}
serverless:
    backend: aws_lambda
    runtime_memory: 512
    runtime_timeout: 60
aws:
    region_name: us-west-2
    access_key_id: AKIAIOSFODNN7EXAMPLE
    secret_access_key: secret/key
    session_token: token
aws_lambda:
    execution_role: {ROLE}
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(find, "SYSTEM_FILE", tmp_path / "etc" / "config")


def test_nothing_configured_means_the_local_aws() -> None:
    assert load() == Settings(local=True)
    assert load().source == "defaults"


def test_todays_shape_with_every_key(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "today", TODAY))
    assert settings == Settings(
        local=False,
        region="eu-west-1",
        execution_role=ROLE,
        memory=2048,
        timeout=300,
        max_workers=50,
        worker_processes=2,
        architecture="arm64",
        ephemeral_storage=1024,
        env_vars={"LEVEL": "1", "MODE": "yes"},
        user_tags={"team": "physics"},
        namespace="mine",
        account_id="012345670123",
        subnets=("subnet-1", "subnet-2"),
        security_groups=("sg-1",),
        efs=(FileSystem(ACCESS_POINT, "/mnt/data"),),
        profile="research",
        layers=("arn:aws:lambda:eu-west-1:123456789012:layer:numpy:3",),
    )
    assert settings.source == str(tmp_path / "today")


def test_the_old_shape(tmp_path: Path) -> None:
    assert load(write(tmp_path / "old", OLD)) == Settings(
        local=False,
        region="us-west-2",
        execution_role=ROLE,
        memory=512,
        timeout=60,
        max_workers=70,
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key="secret/key",
        session_token="token",
    )


def test_the_specific_section_wins_over_aws(tmp_path: Path) -> None:
    text = f"aws: {{region: us-east-1, execution_role: {ROLE}}}\naws_lambda: {{region: eu-north-1}}\n"
    settings = load(write(tmp_path / "f", text))
    assert (settings.region, settings.execution_role) == ("eu-north-1", ROLE)


@pytest.mark.parametrize("field", ["env_vars", "user_tags"])
@pytest.mark.parametrize("text", ["{A1: '1', B1: x}", "[{name: A1, value: 1}, {name: B1, value: x}]"])
def test_pairs_as_mapping_or_list(tmp_path: Path, field: str, text: str) -> None:
    settings = load(write(tmp_path / "f", f"aws_lambda:\n  {field}: {text}\n"))
    assert getattr(settings, field) == {"A1": "1", "B1": "x"}


def test_the_order_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(size: int) -> str:
        return f"aws_lambda: {{runtime_memory: {size}}}\n"

    write(tmp_path / "etc" / "config", memory(201))
    assert load().memory == 201
    write(tmp_path / "home" / ".lithops" / "config", memory(202))
    assert load().memory == 202
    write(tmp_path / ".lithops_config", memory(203))
    assert load().memory == 203
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(write(tmp_path / "by-env", memory(204))))
    assert load().memory == 204
    monkeypatch.setenv("LITHOPS_CONFIG", json.dumps({"aws_lambda": {"runtime_memory": 205}}))
    assert load().memory == 205
    assert load().source == "environment variable LITHOPS_CONFIG"
    assert load(write(tmp_path / "given", memory(206))).memory == 206


def test_a_named_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there is no file nowhere"):
        load("nowhere")
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", "/no/such/file")
    with pytest.raises(ConfigError, match="LITHOPS_CONFIG_FILE: there is no file /no/such/file"):
        load()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("aws_lambda:\n  a: b\n c: d\n", ":3:2: not valid YAML"),
        ("aws_lambda:\n\tregion: x\n", ":2:1: not valid YAML"),
        ("aws_lambda: {region: x\n", "not valid YAML"),
        ("- a\n- b\n", "not a Lithops configuration"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("aws_lambda: !!python/object:os.system {}\n", ":1:13: not valid YAML"),
    ],
)
def test_a_syntax_error_names_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place) as caught:
        load(write(tmp_path / "f", text))
    assert str(caught.value).startswith(str(tmp_path / "f"))
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"aws: \xff\n")
    with pytest.raises(ConfigError, match="byte 5 is not UTF-8"):
        load(tmp_path / "f")


def test_wrong_json_names_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", '{"aws":\n x}')
    with pytest.raises(ConfigError, match="LITHOPS_CONFIG:2:2: not valid JSON"):
        load()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("runtime_memory: lots", "aws_lambda.runtime_memory must be a whole number"),
        ("runtime_memory: '512'", "without quotes"),
        ("runtime_memory: 51.5", "must be a whole number"),
        ("region: [a]", "aws_lambda.region must be text"),
        ("local: maybe", "aws_lambda.local must be true or false"),
        ("vpc: {subnets: subnet-1}", "aws_lambda.vpc.subnets must be a list"),
        ("env_vars: [A]", "aws_lambda.env_vars must be a mapping"),
        ("efs: [{access_point: x}]", "has no mount_path"),
        ("efs: /mnt/x", "must be a list of entries"),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(tmp_path / "f", f"aws_lambda:\n  {line}\n"))


def test_a_wrong_value_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"f:3: aws_lambda\.runtime_timeout"):
        load(write(tmp_path / "f", "aws_lambda:\n  region: us-east-1\n  runtime_timeout: long\n"))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "aws_lambda:\n  runtme_memory: 1\n",
            "f:2: aws_lambda.runtme_memory is not known; did you mean 'runtime_memory'?",
        ),
        ("aws_lambda: {zzz: 1}\n", "aws_lambda.zzz is not known."),
        ("aws_lamda: {region: x}\n", "section 'aws_lamda' is not known; did you mean 'aws_lambda'?"),
        ("aws_lambda: {remote_invoker: true}\n", "aws_lambda.remote_invoker is not used"),
        ("aws_lambda: {runtime_include_function: true}\n", "aws_lambda.runtime_include_function is not used"),
        ("aws_lambda: {invoke_pool_threads: 64}\n", "aws_lambda.invoke_pool_threads is not used"),
        ("lithops: {backend: localhost}\n", "chooses Lithops' backend localhost: the local AWS is used instead."),
        ("lithops: {mode: standalone}\n", "chooses Lithops' backend standalone"),
        ("aws_lambda: {region: us-east-1}\n", "gives no execution_role in aws_lambda: the local AWS is used."),
    ],
)
def test_what_is_not_used_or_known_is_noted(tmp_path: Path, text: str, note: str) -> None:
    settings = load(write(tmp_path / "f", text))
    assert [entry for entry in settings.notes if note in entry], settings.notes


def test_a_usual_configuration_has_no_notes(tmp_path: Path) -> None:
    text = f"lithops: {{backend: aws_lambda}}\naws_lambda: {{execution_role: {ROLE}, runtime: default}}\n"
    assert load(write(tmp_path / "f", text)).notes == ()


@pytest.mark.parametrize(
    ("text", "local"),
    [
        (f"aws_lambda: {{execution_role: {ROLE}}}", False),
        (f"aws_lambda: {{execution_role: {ROLE}, local: true}}", True),
        ("aws_lambda: {local: false}", False),
        ("aws_lambda: {region: us-east-1}", True),
        (f"lithops: {{backend: k8s}}\naws_lambda: {{execution_role: {ROLE}}}", True),
        (f"lithops: {{backend: localhost}}\naws_lambda: {{execution_role: {ROLE}, local: false}}", False),
        ("", True),
        ("# nothing\n", True),
        ("aws_lambda:\n", True),
    ],
)
def test_account_or_local_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, local: bool) -> None:
    path = write(tmp_path / "f", text)
    assert load(path).local is local
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL", "1")
    assert load(path).local is True
    assert load(path, local=False).local is False
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL", "0")
    assert load(path).local is False
    assert load(path, local=True).local is True


def test_an_unclear_environment_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL", "perhaps")
    with pytest.raises(ConfigError, match="LITHOPS_MAGIC_LOCAL"):
        load()


@pytest.mark.parametrize(("text", "runtime"), [("default", None), (IMAGE, IMAGE), ("me/mine:1", "me/mine:1")])
def test_the_runtime(tmp_path: Path, text: str, runtime: str | None) -> None:
    path = write(tmp_path / "f", f"aws_lambda: {{execution_role: {ROLE}, runtime: '{text}'}}\n")
    assert load(path).runtime == runtime
    assert load(path).notes == ()
    assert load(path, local=True).runtime is None


def test_the_local_aws_does_not_get_what_belongs_to_an_account(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "today", TODAY), local=True)
    assert (settings.execution_role, settings.subnets, settings.efs, settings.profile) == (None, (), (), None)
    assert settings.memory == 2048
    assert "execution_role" in settings.notes[0]


def test_the_local_aws_gets_them_when_the_file_says_local(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "f", f"aws_lambda: {{execution_role: {ROLE}, local: true}}\n"))
    assert settings.execution_role == ROLE
    assert settings.notes == ()


def test_a_profile_takes_the_place_of_keys(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "old", OLD), profile="other")
    assert (settings.profile, settings.access_key_id, settings.secret_access_key) == ("other", None, None)


def test_a_profile_means_an_account_unless_the_local_aws_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_LOCAL", "1")
    monkeypatch.chdir(tmp_path)
    here = write(tmp_path / "f", f"aws_lambda: {{execution_role: {ROLE}, local: true}}\n")
    for file in (None, here):
        assert not load(file, profile="work").local
        assert load(file, profile="work", local=True).local
        assert load(file).local


def test_anchors_aliases_and_merges_are_understood(tmp_path: Path) -> None:
    base = f"base: &base\n  execution_role: {ROLE}\n  region: &r us-east-2\n"
    text = f"{base}aws: {{region: *r}}\naws_lambda:\n  <<: *base\n"
    settings = load(write(tmp_path / "f", text))
    assert (settings.execution_role, settings.region) == (ROLE, "us-east-2")


def test_no_secret_in_the_repr(tmp_path: Path) -> None:
    settings = load(write(tmp_path / "old", OLD)).replace(env_vars={"TOKEN": "very-hidden"})
    for secret in ("AKIAIOSFODNN7EXAMPLE", "secret/key", "'token'", "very-hidden"):
        assert secret not in repr(settings)


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither links that loop nor named pipes like these")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: os.mkfifo(path), "is not a regular file"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.symlink_to(path.with_name("gone")), "is a broken link"),
    ],
)
def test_what_stands_in_a_file_s_place_is_said(
    make: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / ".lithops_config")
    with pytest.raises(ConfigError, match=message):
        load()
    monkeypatch.setenv("LITHOPS_CONFIG_FILE", str(tmp_path / ".lithops_config"))
    with pytest.raises(ConfigError, match=message):
        load()


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root can become a user who may not read a folder"
)
def test_a_folder_that_may_not_be_entered_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "config").write_text("{}")
    program = (
        "import os, sys; from lithops_magic.config import load; from lithops_magic.errors import ConfigError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: load(sys.argv[1])\nexcept ConfigError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(closed / "config")], capture_output=True, text=True, check=False, timeout=60
    )
    assert "cannot be read: Permission denied" in done.stdout, done.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN', '{"aws_lambda": ' + "1" * 5000 + "}", '"text"'])
def test_a_broken_variable_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", text)
    with pytest.raises(ConfigError) as caught:
        load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aws_lambda: {runtime_memry: 512}\n", "did you mean 'runtime_memory'?"),
        ("Aws_Lambda: {runtime_memory: 512}\n", "did you mean 'aws_lambda'?"),
        ("execution_role: x\n", "execution_role is at the top level, where it is not read; move it to"),
        ("aws: {regoin: eu-west-1}\n", "did you mean 'region'?"),
        ("lithops: {worker: 3}\n", "did you mean 'workers'?"),
        ("aws_lambda: {remote_invoker: true}\n", ""),
        ("aws_lambda: {runtime_memory: 512}\ngcp: {region: x}\n", ""),
    ],
)
def test_a_job_has_to_say_which_keys_nobody_reads(tmp_path: Path, text: str, said: str) -> None:
    unread = load(write(tmp_path / "f", text)).unread
    assert len(unread) == bool(said)
    assert all(said in problem for problem in unread)
