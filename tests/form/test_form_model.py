"""The texts of the fields and Settings, both ways, without widgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.config import FileSystem, Settings
from lithops_magic.config.save_file import HIDDEN
from lithops_magic.notebook.form.model import FIELDS, credentials, differences, read, texts
from lithops_magic.notebook.form.pairs import read_pairs, write_pairs

ANY_TEXT = st.text(max_size=12)
PAIRS = st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=4)


def one(name: str, text: str, base: Settings | None = None) -> object:
    reading = read({name: text}, base or Settings())
    assert name not in reading.problems, reading.problems
    return getattr(reading.settings, name)


def problem(name: str, text: str, base: Settings | None = None) -> str:
    return " ".join(str(found) for found in read({name: text}, base or Settings()).problems[name])


@given(PAIRS)
def test_any_pairs_survive_their_text(pairs: dict[str, str]) -> None:
    assert read_pairs(write_pairs(pairs), pairs) == pairs


@given(
    st.dictionaries(st.sampled_from(["API_TOKEN", "db_password", "AWS_SECRET"]), st.text(min_size=1, max_size=20)),
)
def test_secret_values_are_kept_but_never_in_the_text(pairs: dict[str, str]) -> None:
    text = write_pairs(pairs)
    assert text == "\n".join(f"{name}={HIDDEN}" for name in pairs)
    assert read_pairs(text, pairs) == pairs
    assert read_pairs(text + "\nOTHER=x", pairs) == {**pairs, "OTHER": "x"}


@given(
    st.builds(
        Settings,
        region=st.none() | ANY_TEXT,
        memory=st.integers(),
        max_workers=st.none() | st.integers(),
        env_vars=PAIRS,
        user_tags=PAIRS,
        subnets=st.lists(ANY_TEXT, max_size=3).map(tuple),
        efs=st.lists(st.builds(FileSystem, ANY_TEXT, ANY_TEXT), max_size=2).map(tuple),
    )
)
def test_what_is_not_touched_stays_exactly(settings: Settings) -> None:
    assert read(texts(settings), settings).settings == settings


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("memory", " 2048 ", 2048),
        ("memory", "", 1769),
        ("max_workers", "7", 7),
        ("max_workers", "", None),
        ("region", " eu-west-1", "eu-west-1"),
        ("subnets", "subnet-1,subnet-2  subnet-3,", ("subnet-1", "subnet-2", "subnet-3")),
        ("local", "false", False),
        ("env_vars", "A1=x=y\n\n B2 = 1 ", {"A1": "x=y", "B2": "1"}),
        ("env_vars", 'A1="two\\nlines"\nB2="half', {"A1": "two\nlines", "B2": '"half'}),
        ("user_tags", '"a=b"=c', {"a=b": "c"}),
    ],
)
def test_texts_become_values(name: str, text: str, value: object) -> None:
    assert one(name, text, Settings(region="x", max_workers=3, memory=256)) == value


def test_file_systems_are_lines() -> None:
    reading = read({"efs": "arn:aws:x=/mnt/a\n"}, Settings())
    assert reading.settings.efs == (FileSystem("arn:aws:x", "/mnt/a"),)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("memory", "12k", "memory: '12k' is not a whole number. Write digits only."),
        ("memory", "5", "memory: 5 MB is out of range. AWS Lambda takes 128 to 10240 MB."),
        ("env_vars", "A1=1\nsesame", "env_vars: Line 2 has no =. Write NAME=value."),
        ("env_vars", "A1=1\nA1=2", "env_vars: A1 is given twice. Keep one of the two."),
        ("env_vars", f"TOKEN={HIDDEN}", "env_vars: The value of TOKEN is hidden. Write it again."),
        ("env_vars", '"A1=1', "env_vars: Line 1 has a quotation mark that is not closed. Write NAME=value."),
        ("efs", "=", "efs: A file system has no access point. Give its ARN, or remove the row."),
        ("efs", "arn=", "efs: A file system has no mount path. Give one such as /mnt/data."),
        ("local", "maybe", "local: 'maybe' is neither true nor false. Write true for the local AWS."),
        ("execution_role", "admin", "execution_role: 'admin' is not a role's ARN."),
    ],
)
def test_problems_are_in_words_by_field(name: str, text: str, said: str) -> None:
    assert problem(name, text).startswith(said)


def test_a_text_that_cannot_be_read_changes_nothing_and_says_nothing_twice() -> None:
    reading = read({"memory": "many", "timeout": "20"}, Settings(memory=1))
    assert (reading.settings.memory, reading.settings.timeout) == (1, 20)
    assert len(reading.problems["memory"]) == 1


def test_the_reason_names_fields_as_the_form_does_and_explains_what_it_does_not_show() -> None:
    reading = read({"memory": "1", "ephemeral_storage": "1"}, Settings(worker_processes=0))
    assert (
        reading.blocked() == "Fix before saving: Memory, Space in /tmp. worker_processes: 0 is too few. Use 1 or more."
    )
    assert reading.blocked(["worker_processes", "memory", "ephemeral_storage"]) == ""


def test_differences_are_labels() -> None:
    assert differences(Settings(memory=512, source="x"), Settings(region="eu-west-1")) == ("Region", "Memory")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(), "the local AWS"),
        (Settings(local=False, access_key_id="AKIA", secret_access_key="s", source="f"), "the aws section of f"),
        (Settings(local=False, profile="work"), "the AWS profile work"),
        (Settings(local=False), "as boto3 finds them"),
    ],
)
def test_where_credentials_come_from(settings: Settings, said: str) -> None:
    assert credentials(settings).startswith(said)


def test_every_field_can_be_written_and_has_a_label() -> None:
    assert set(texts(Settings())) == set(FIELDS)
    assert all(field.label for field in FIELDS.values())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("memory", "2GB", 2048), ("memory", "512 MB", 512), ("timeout", "5m", 300), ("ephemeral_storage", "1.5g", 1536)],
)
def test_numbers_may_have_their_units_as_on_the_line_of_a_magic(name: str, text: str, value: int) -> None:
    reading = read({name: text}, Settings())
    assert not reading.problems
    assert getattr(reading.settings, name) == value
