"""No configuration file, however broken, gives a traceback; and no key of it is passed over in silence."""

from __future__ import annotations

import contextlib
import random
import re
import string

import pytest

from lithops_magic.config import Settings
from lithops_magic.config.document import Document, parse
from lithops_magic.config.find import interpret
from lithops_magic.config.keys import KNOWN_SECTION_KEYS
from lithops_magic.config.save_file import render
from lithops_magic.errors import ConfigError
from thorough import share

GOOD = """\
# A configuration with everything.
lithops:
  backend: aws_lambda
  storage: aws_s3
  workers: 100
aws:
  region: eu-central-1
  access_key_id: AKIAEXAMPLE
  secret_access_key: hidden
aws_lambda:
  execution_role: arn:aws:iam::123456789012:role/lithops
  runtime_memory: 2048
  runtime_timeout: 300
  ephemeral_storage: 1024
  architecture: arm64
  max_workers: 50
  env_vars:
    - {name: LEVEL, value: "3"}
    - name: MODE
      value: fast
  user_tags: {team: science}
  vpc:
    subnets: [subnet-1, subnet-2]
    security_groups:
      - sg-1
  efs:
    - access_point: arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-0123456789abcdef0
      mount_path: /mnt/data
  namespace: lab
  account_id: "123456789012"
"""
VALUES = [
    "",
    "~",
    "[]",
    "{}",
    "[a, b]",
    "{a: b}",
    "yes",
    "1e5",
    "0x10",
    "1:30",
    "9" * 5000,
    "-1",
    "'",
    '"',
    "|",
    ">-",
    "&a 1",
    "*a",
    "!!int abc",
    "!!python/object:os.system x",
    "!!binary ====",
    "!!bool maybe",
    "2024-13-45",
    "\t",
    "@",
    "`",
    "%",
    "{" * 200,
    "[" * 200,
    "? [a]",
    "<<: 3",
    "- a",
    "a: b: c",
    "\u2028",
    "\x07",
    "null",
    "[null]",
    "[[a]]",
    "{a: }",
    "é" * 300,
]
FILES = share(100, 2000)
"""For each seed."""


def typo(rng: random.Random, word: str) -> str:
    at = rng.randrange(len(word))
    return rng.choice(
        [
            word[:at] + word[at + 1 :],
            word[:at] + rng.choice(string.ascii_lowercase) + word[at:],
            word.upper(),
            f"{word}s",
        ]
    )


def mutate(rng: random.Random, text: str) -> str:
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    kind = rng.randrange(9)
    key = re.match(r"(\s*(?:- )?)([\w]+):(.*)", lines[at])
    if kind == 0 and key:
        lines[at] = f"{key[1]}{typo(rng, key[2])}:{key[3]}"
    elif kind == 1 and key:
        lines[at] = f"{key[1]}{key[2]}: {rng.choice(VALUES)}"
    elif kind == 2:
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif kind == 3:
        lines[at] = lines[at].lstrip() if rng.random() < 0.5 else f"  {lines[at]}"
    elif kind == 4:
        del lines[at]
    elif kind == 5:
        where = rng.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:where] + rng.choice([*"{}[]:,&*!|>'\"%@`#?-\t\n\x00\x7f", "\ufeff"]) + lines[at][where:]
    elif kind == 6:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 7 and key:
        lines.insert(
            at,
            f"{key[1].replace('- ', '  ')}{rng.choice(['subnet_ids', 'memory', 'Vpc', 'extra'])}: {rng.choice(VALUES)}",
        )
    else:
        lines[at] = f"{lines[at]} {rng.choice(VALUES)}"
    return "\n".join(lines) + "\n"


def read(text: str) -> tuple[Document, Settings] | str:
    """Return what the text says, or the one line that refuses it."""
    try:
        document = parse(text, "config")
        settings = interpret(document)
        settings.problems()
    except ConfigError as error:
        return str(error)
    return document, settings


@pytest.mark.parametrize("seed", range(10))
def test_hundreds_of_broken_files(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _ in range(FILES):
        text = GOOD
        for _ in range(rng.randint(1, 3)):
            text = mutate(rng, text)
        found = read(text)
        if isinstance(found, str):
            refused += 1
            assert "\n" not in found
            assert len(found) < 1000
            assert "hidden" not in found
            continue
        document, settings = found
        said = " ".join(settings.notes)
        for section in ("aws_lambda", "aws"):
            for key in document.data.get(section) or {}:
                assert key in KNOWN_SECTION_KEYS or f"{section}.{key}" in said, text
        for key in (document.data.get("aws_lambda") or {}).get("vpc") or {}:
            assert key in ("subnets", "security_groups"), text
        if rng.random() < 0.1:
            with contextlib.suppress(ConfigError):
                render(settings.replace(memory=3008), document)
    assert FILES / 20 < refused < FILES * 0.95


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "aws_lambda:\n  vpc: [subnet-1]",
            r"config:2: aws_lambda.vpc must be a mapping with subnets and security_groups",
        ),
        ("aws_lambda:\n  vpc: vpc-123", r"config:2: aws_lambda.vpc must be a mapping"),
        (
            "aws_lambda:\n  vpc:\n    subnet_ids: [a]",
            r"config:3: aws_lambda.vpc.subnet_ids is not known; did you mean 'subnets'",
        ),
        ("aws_lambda:\n  vpc:\n    subnet: a", r"vpc.subnet is not known; did you mean 'subnets'"),
        ("aws_lambda:\n  vpc:\n    securityGroups: [a]", r"did you mean 'security_groups'"),
        ("aws:\n  vpc:\n    subnets: a", r"aws.vpc.subnets must be a list"),
        (
            "aws_lambda:\n  efs:\n    - {access_point: a, mount_path: /mnt/a, size: 3}",
            r"aws_lambda.efs.size is not known",
        ),
        ("aws_lambda:\n  efs: /mnt/a", r"aws_lambda.efs must be a list of entries with access_point and mount_path"),
        (
            "aws_lambda:\n  runtime_memory: 1024\n  runtime_memory: 2048",
            r"'runtime_memory' is on line 2 and again on line 3",
        ),
        ("aws_lambda: {}\naws: {}\naws_lambda: {}", r"'aws_lambda' is on line 1 and again on line 3"),
        ("aws_lambda:\n  runtime_memory: " + "9" * 5000, r"runtime_memory must be a whole number"),
        ("aws_lambda:\n  runtime_memory: !!int lots", r"must be a whole number"),
        ("aws_lambda: " + "[" * 5000, r"nested too deeply|not valid YAML"),
        ("lithops: aws_lambda", r"section lithops must hold keys and values"),
        ("lithops:\n  backend: [aws_lambda]", r"lithops.backend must be text"),
    ],
)
def test_what_would_be_ignored_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        interpret(parse(text, "config"))


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("AWS_Lambda:\n  runtime_memory: 1024", "section 'AWS_Lambda' is not known; did you mean 'aws_lambda'?"),
        ("aws-lambda:\n  runtime_memory: 1024", "did you mean 'aws_lambda'?"),
        ("vpc:\n  subnets: [a]", "config:1: vpc is at the top level, where it is not read; move it to aws_lambda."),
        ("region: eu-west-1", "region is at the top level"),
        ("aws_lambda:\n  runtime_memroy: 1024", "did you mean 'runtime_memory'?"),
        ("aws_lambda:\n  memory: 1024", "did you mean 'runtime_memory'?"),
        ("aws_lambda:\n  role: a", "did you mean 'execution_role'?"),
        ("lithops:\n  backnd: aws_lambda", "lithops.backnd is not known; did you mean 'backend'?"),
    ],
)
def test_what_is_not_read_is_said(text: str, note: str) -> None:
    assert any(note in found for found in interpret(parse(text, "config")).notes)


def test_what_belongs_to_others_is_left_alone() -> None:
    ours = "lithops:\n  backend: aws_lambda\n  log_level: INFO\naws_lambda:\n  execution_role: r\n"
    others = "gcp:\n  region: x\naws_s3:\n  storage_bucket: b\n"
    assert interpret(parse(ours + others, "config")).notes == ()
