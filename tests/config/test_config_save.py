"""Saving changes what changed and nothing else."""

from __future__ import annotations

import os
import stat
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_magic.config import FileSystem, Settings, diff, load, save
from lithops_magic.config.document import parse
from lithops_magic.config.find import interpret
from lithops_magic.config.save_file import render
from lithops_magic.errors import ConfigError
from thorough import share

ROLE = "arn:aws:iam::123456789012:role/lithops"
ACCESS_POINT = "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-0123456789abcdef0"

FILE = f"""\
# my configuration
lithops:
    backend: aws_lambda   # the account
    storage: aws_s3
    some_key_of_mine: [1, 2]

aws:
  region: us-east-1  # near

aws_lambda:
    # who it is
    execution_role: '{ROLE}'
    runtime_memory: 2048 # enough
    # numbers
    env_vars:
        # loud
        - {{name: LEVEL, value: "3"}}   # three
        # soft
        - name: MODE
          value: plain
    user_tags: {{team: physics, cost: 'low'}}
    vpc:
        subnets: [subnet-1, subnet-2]   # two
        security_groups:
            - sg-1  # one
            # none
    unknown: &anchor kept

ibm_cf: {{api_key: theirs}}
# the end
"""


def change(text: str, **changes: Any) -> str:
    document = parse(text, "f")
    settings = interpret(document).replace(**changes)
    changed = render(settings, document)
    assert interpret(parse(changed, "f")) == settings
    return changed


def changed_lines(before: str, after: str) -> tuple[set[str], set[str]]:
    old, new = before.splitlines(), after.splitlines()
    return {line for line in old if line not in new}, {line for line in new if line not in old}


@pytest.mark.parametrize(
    ("changes", "gone", "come"),
    [
        ({}, set(), set()),
        ({"memory": 512}, {"    runtime_memory: 2048 # enough"}, {"    runtime_memory: 512 # enough"}),
        ({"region": "eu-west-1"}, {"  region: us-east-1  # near"}, {"  region: eu-west-1  # near"}),
        ({"execution_role": ROLE + "2"}, {f"    execution_role: '{ROLE}'"}, {f"    execution_role: '{ROLE}2'"}),
        ({"timeout": 7}, set(), {"    runtime_timeout: 7"}),
        (
            {"env_vars": {"LEVEL": "4", "MODE": "plain"}},
            {'        - {name: LEVEL, value: "3"}   # three'},
            {'        - {name: LEVEL, value: "4"}   # three'},
        ),
        ({"env_vars": {"MODE": "plain"}}, {'        - {name: LEVEL, value: "3"}   # three'}, set()),
        (
            {"env_vars": {"LEVEL": "3", "MODE": "plain", "MORE": "yes"}},
            set(),
            {"        - name: MORE", "          value: 'yes'"},
        ),
        (
            {"user_tags": {"team": "chemistry", "cost": "low"}},
            {"    user_tags: {team: physics, cost: 'low'}"},
            {"    user_tags: {team: chemistry, cost: 'low'}"},
        ),
        (
            {"user_tags": {"cost": "low", "more": "a, b"}},
            {"    user_tags: {team: physics, cost: 'low'}"},
            {"    user_tags: {cost: 'low', more: 'a, b'}"},
        ),
        ({"user_tags": {}}, {"    user_tags: {team: physics, cost: 'low'}"}, set()),
        (
            {"subnets": ("subnet-2", "subnet-3")},
            {"        subnets: [subnet-1, subnet-2]   # two"},
            {"        subnets: [subnet-2, subnet-3]   # two"},
        ),
        ({"security_groups": ("sg-1", "sg-2")}, set(), {"            - sg-2"}),
        (
            {"subnets": (), "security_groups": ()},
            {
                "    vpc:",
                "        subnets: [subnet-1, subnet-2]   # two",
                "        security_groups:",
                "            - sg-1  # one",
            },
            set(),
        ),
        (
            {"efs": (FileSystem(ACCESS_POINT, "/mnt/a"),)},
            set(),
            {"    efs:", f"      - access_point: {ACCESS_POINT}", "        mount_path: /mnt/a"},
        ),
        (
            {"access_key_id": "AKIA", "secret_access_key": "s"},
            set(),
            {"  access_key_id: AKIA", "  secret_access_key: s"},
        ),
    ],
)
def test_only_what_changed_changes(changes: dict[str, Any], gone: set[str], come: set[str]) -> None:
    assert changed_lines(FILE, change(FILE, **changes)) == (gone, come)


def test_lithops_default_runtime_stays_until_there_is_an_image() -> None:
    text = f"aws_lambda:\n  runtime: default  # theirs\n  execution_role: {ROLE}\n"
    assert change(text, memory=512) == text + "  runtime_memory: 512\n"
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tools:1.2"
    assert change(text, runtime=image) == text.replace("default", f"'{image}'")


def test_the_account_can_be_left_and_taken_up_again() -> None:
    local = change(
        FILE,
        **{name: getattr(Settings(), name) for name in ("region", "execution_role", "subnets", "security_groups")},
        local=True,
    )
    assert changed_lines(FILE, local) == (
        {"    backend: aws_lambda   # the account"},
        {"    backend: localhost   # the account"},
    )
    assert render(interpret(parse(FILE, "f")), parse(local, "f")) == FILE


def test_a_role_on_the_local_aws_is_said_by_our_own_key() -> None:
    assert changed_lines(FILE, change(FILE, local=True)) == (set(), {"    local: true"})


def test_windows_line_ends_stay() -> None:
    changed = change(FILE.replace("\n", "\r\n"), memory=512, timeout=9, user_tags={})
    assert changed.count("\n") == changed.count("\r\n")
    assert changed.replace("\r\n", "\n") == change(FILE, memory=512, timeout=9, user_tags={})


def test_json_stays_one_mapping() -> None:
    text = f'{{"aws_lambda": {{"execution_role": "{ROLE}", "vpc": {{}}}}}}'
    changed = change(text, memory=512, subnets=("subnet-1",), security_groups=("sg-1",))
    assert changed.startswith(text[:-3]), changed


def test_a_shared_section_is_left_to_its_owner() -> None:
    text = f"x: &x {{execution_role: {ROLE}, runtime_memory: 512}}\naws_lambda: *x\n"
    with pytest.raises(ConfigError, match="change it in the file by hand"):
        change(text, memory=1024)


def test_a_merged_value_is_overridden_beside_the_merge() -> None:
    text = f"x: &x\n  execution_role: {ROLE}\n  runtime_memory: 512\naws_lambda:\n  <<: *x\n  region: us-east-1\n"
    assert change(text, memory=1024) == text + "  runtime_memory: 1024\n"


def test_an_alias_is_replaced_where_it_is_used() -> None:
    text = f"x: &r us-east-1\naws_lambda: {{execution_role: {ROLE}, region: *r}}\n"
    assert change(text, region="us-east-2") == text.replace("*r", "us-east-2")


def test_the_old_shape_keeps_its_places() -> None:
    serverless = "serverless: {backend: aws_lambda, runtime_memory: 512}\naws: {region_name: us-east-1}\n"
    text = f"{serverless}aws_lambda: {{execution_role: {ROLE}}}\n"
    changed = change(text, memory=1024, region="us-east-2")
    assert changed == text.replace("512", "1024").replace("us-east-1", "us-east-2")


def test_a_new_file_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    settings = Settings(local=False, execution_role=ROLE, region="us-east-1", memory=512)
    save(settings, path)
    assert load(path) == settings
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config"]


def test_mode_and_symbolic_links_survive(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text(FILE)
    real.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(real)
    save(load(link).replace(memory=512), link)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert load(real).memory == 512


def test_unchanged_settings_do_not_touch_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(FILE)
    before = path.stat()
    save(load(path), path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_nothing_is_written_while_there_are_problems(tmp_path: Path) -> None:
    path = tmp_path / "config"
    with pytest.raises(ConfigError, match="memory: 1 MB is out of range"):
        save(Settings(memory=1), path)
    assert not path.exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(FILE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        save(load(path).replace(memory=512), path)
    assert path.read_text() == FILE
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_the_diff_shows_the_change_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        FILE.replace(
            "  region: us-east-1  # near", "  region: us-east-1\n  access_key_id: AKIAOLD\n  secret_access_key: old"
        )
    )
    settings = load(path).replace(
        region="us-east-2",
        access_key_id="AKIANEW",
        secret_access_key="n\tew",
        env_vars={"API_TOKEN": "t0k", "LEVEL": "9"},
    )
    text = diff(settings, path)
    assert "+  region: us-east-2" in text
    assert "-  region: us-east-1" in text
    assert "LEVEL" in text
    for secret in ("AKIAOLD", "AKIANEW", "n\\tew", "n\tew", ": old", "t0k", "theirs"):
        assert secret not in text
    assert diff(load(path), path) == ""


names = st.text(string.ascii_letters, min_size=2, max_size=6)
values = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
tags = st.text(st.sampled_from("abzÄé 019_.:/=+-@"), min_size=1, max_size=12).filter(
    lambda tag: not tag.startswith("aws:")
)
ids = st.lists(st.text("0123456789abcdef", min_size=1, max_size=5), min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def valid_settings(draw: st.DrawFn) -> Settings:
    changes: dict[str, Any] = {
        "local": draw(st.booleans()),
        "region": draw(st.sampled_from([None, "us-east-1", "eu-west-1"])),
        "memory": draw(st.integers(128, 10240)),
        "timeout": draw(st.integers(1, 900)),
        "ephemeral_storage": draw(st.integers(512, 10240)),
        "architecture": draw(st.sampled_from(["x86_64", "arm64"])),
        "max_workers": draw(st.none() | st.integers(1, 1000)),
        "env_vars": draw(st.dictionaries(names, values, max_size=4)),
        "user_tags": draw(st.dictionaries(tags, tags | st.just(""), max_size=4)),
        "namespace": draw(st.none() | names),
        "account_id": draw(st.sampled_from([None, "012345670123", "123456789012"])),
        "profile": draw(st.none() | names),
    }
    if not changes["local"] or draw(st.booleans()):
        changes["execution_role"] = ROLE + draw(names)
    if draw(st.booleans()):
        changes["subnets"] = tuple(f"subnet-{name}" for name in draw(ids))
        changes["security_groups"] = tuple(f"sg-{name}" for name in draw(ids))
        changes["efs"] = draw(st.sampled_from([(), (FileSystem(ACCESS_POINT, "/mnt/" + draw(names)),)]))
    if draw(st.booleans()):
        changes |= {"access_key_id": draw(names), "secret_access_key": draw(names)}
    return Settings(**changes)


STYLES = {
    "ours": None,
    "block": {"default_flow_style": False, "indent": 4},
    "flow": {"default_flow_style": True},
    "mixed": {"default_flow_style": None, "default_style": '"'},
}


@pytest.mark.parametrize("style", STYLES)
@settings(deadline=None, max_examples=share(6, 50))
@given(before=valid_settings(), after=valid_settings())
def test_any_settings_can_become_any_others(style: str, before: Settings, after: Settings) -> None:
    text = render(before, parse("", "f"))
    assert interpret(parse(text, "f")) == before
    if (options := STYLES[style]) is not None:
        text = yaml.safe_dump(yaml.safe_load(text), sort_keys=False, allow_unicode=True, **options)  # type: ignore[assignment, call-overload]
    changed = render(after, parse(text, "f"))
    assert_equal_as_read(changed, after)
    assert render(interpret(parse(changed, "f")), parse(changed, "f")) == changed


def assert_equal_as_read(text: str, settings: Settings) -> None:
    assert interpret(parse(text, "f")) == settings
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    assert all(section is not None for section in loaded.values()), text


@settings(deadline=None, max_examples=share(8, 50))
@given(after=valid_settings())
def test_every_other_line_stays(after: Settings) -> None:
    others = [
        "# my configuration",
        "    storage: aws_s3",
        "    some_key_of_mine: [1, 2]",
        "    # who it is",
        "    # numbers",
        "    unknown: &anchor kept",
        "ibm_cf: {api_key: theirs}",
        "# the end",
    ]
    lines = iter(render(after, parse(FILE, "f")).splitlines())
    assert all(line in lines for line in others)
