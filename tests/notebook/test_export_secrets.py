"""Secrets are found in every form and shape, and what is no secret is left."""

from __future__ import annotations

import base64
import html
import json
import textwrap
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from lithops_magic.engine.backend import aws_lambda
from lithops_magic.notebook.export.secrets import Scrubber, known_secrets
from lithops_magic.notebook.session import Session

SECRET = "wJalr/XUtnFEMI+K7MDENG=bPxRfiCY\"EXAMPLE'KEY"
PLAIN = "0123abcdXYZ/456+789efgh"

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "quoted": lambda secret: quote(secret, safe=""),
    "JSON": json.dumps,
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"key": secret})),
    "repr": repr,
    "HTML": html.escape,
    "hexadecimal": lambda secret: secret.encode().hex(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 amid others": lambda secret: base64.b64encode(b"user:" + secret.encode() + b":end").decode(),
    "base64 for addresses": lambda secret: base64.urlsafe_b64encode(b"u:" + secret.encode()).decode(),
    "wrapped": lambda secret: "\n".join(textwrap.wrap(secret, 15)),
    "wrapped base64": lambda secret: "\n".join(textwrap.wrap(base64.b64encode(secret.encode()).decode(), 19)),
    "wrapped in JSON": lambda secret: json.dumps("\n".join(textwrap.wrap(secret, 15))),
}


@pytest.mark.parametrize(
    "secret", [SECRET, PLAIN, "bKhuxrtmvmH1tJsJspfOXs3M_V2Q5zE1vFvt-NwS", "f04a0cbfcec9acd19b83fcbb0c79c0eae072b484"]
)
@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_found_in_every_form(form: str, secret: str) -> None:
    shown = FORMS[form](secret)
    scrubber = Scrubber([secret])
    scrubbed = scrubber.scrub(f"before {shown} after")
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")
    lines = shown.splitlines()
    assert not any(line in scrubbed for line in lines if len(line) > 8)
    assert scrubber.removed == 1
    assert scrubber.kinds == "a secret of this session"


def test_a_secret_printed_in_two_parts_is_found() -> None:
    scrubber = Scrubber([SECRET])
    scrubbed = scrubber.scrub([f"first half {SECRET[:22]} |", f"| {SECRET[22:]} second half"])
    assert scrubbed[0].startswith("first half ")
    assert scrubbed[1].endswith(" second half")
    assert SECRET[:16] not in scrubbed[0]
    assert SECRET[-16:] not in scrubbed[1]
    assert scrubber.removed == 1


UNKNOWN = [
    ("aws:\n  secret_access_key: abcDEF123456/ghiJKL7890", "abcDEF123456/ghiJKL7890"),
    ('aws_lambda:\n    secret_access_key: "plain-words-here"', "plain-words-here"),
    ("Settings(region='eu-west-1', secret_access_key='hunter-two-two')", "hunter-two-two"),
    ("{'Credentials': {'SecretAccessKey': 'abc/def+ghi', 'SessionToken': 'xyz-xyz-xyz'}}", "abc/def+ghi"),
    ("{'Credentials': {'SecretAccessKey': 'abc/def+ghi', 'SessionToken': 'xyz-xyz-xyz'}}", "xyz-xyz-xyz"),
    ("<SecretAccessKey>abc/def+ghi</SecretAccessKey>", "abc/def+ghi"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNzaA"),
    ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----", "MHcCAQEE"),
    ("postgresql://ada:correct-horse@db.example/x", "correct-horse"),
    ("git clone https://x-access-token:abc123@github.com/a/b", "abc123"),
    ("Authorization: Bearer abcdefghijklmnop.qrstuv", "abcdefghijklmnop.qrstuv"),
    ("Authorization: Basic YWRhOmxvdmVsYWNlMTIz", "YWRhOmxvdmVsYWNlMTIz"),
    ("ghp_" + "a1B2" * 9, "a1B2a1B2"),
    ("github_pat_" + "a1B2" * 9, "a1B2a1B2"),
    ("%%lambda_map x in y --env API_TOKEN=open-sesame -o z", "open-sesame"),
    ("%%lambda_map x in y --env=DB_PASSWORD=open-sesame", "open-sesame"),
    ("os.environ['DB_PASSWORD'] = 'open-sesame'", "open-sesame"),
    ('{\\"api_key\\": \\"open-sesame\\"}', "open-sesame"),
    ("HF_TOKEN=abcdef0123456789abcdef", "abcdef0123456789abcdef"),
    ("aws:\n  db_password: correct-horse\n", "correct-horse"),
    ("export DB_PASSWORD=s3cr3t!pw", "s3cr3t!pw"),
    ("PGPASSWORD=hunter22 psql -h db", "hunter22"),
    ("login('me', pw='hunter22')", "hunter22"),
    ("DefaultEndpointsProtocol=https;AccountKey=Zm9vYmFyYmF6cXV4Zm9vYmF6==;Suffix=x", "Zm9vYmFyYmF6cXV4Zm9vYmF6"),
    ("https://a.blob.core.windows.net/c?sv=2020&sig=abc%2Bdefghijklmnopqrstu%3D", "abc%2Bdefghijklmnopqrstu%3D"),
    ("https://hooks.slack.com/services/T0000/B0000/" + "x" * 24, "x" * 24),
    ("stripe: sk_" + "live_51H8abcdefghijklmnop", "51H8abcdefghijklmnop"),
    ("curl -s -u ada:hunter-two https://example.org", "hunter-two"),
    ("{'Authorization': 'Token 0123456789abcdef0123'}", "0123456789abcdef0123"),
    ("{'X-Api-Key': 'abcdef-0123'}", "abcdef-0123"),
    ("machine example.org login ada password hunter22", "hunter22"),
    ('password = """open sesame"""', "open sesame"),
    ("api_key: str | None = 'abcdef-0123'", "abcdef-0123"),
    ("if (token := 'abcdef-0123'):", "abcdef-0123"),
    ("os.environ.setdefault('MY_TOKEN', 'abcdef-0123')", "abcdef-0123"),
    ("%env API_KEY abcdef-0123", "abcdef-0123"),
]


@pytest.mark.parametrize(("text", "secret"), UNKNOWN)
def test_a_secret_that_nobody_knows_is_found_by_its_name_or_shape(text: str, secret: str) -> None:
    scrubber = Scrubber([])
    assert secret not in scrubber.scrub(text)
    assert scrubber.removed
    assert scrubber.kinds
    assert secret not in scrubber.kinds


@pytest.mark.parametrize(
    "text",
    [
        "word = 'password'",
        "token = tokenizer(text)",
        "access_token = client.get_token(audience_of_service)",
        "print(secret_number == guess)",
        "https://docs.python.org/3/library/secrets.html",
        "x = 'a' * 40; y = base64.b64encode(data)",
        "see https://example.org:8080/path@2x.png",
        "password: str",
        "max_tokens=4096",
        "tokenizer = 'bert-base-uncased'",
        "password: SecretStr",
        "frame[['token', 'sentiment']]",
        "API_KEY=get_key(name)",
        "%env API_KEY={key}",
        "os.environ.get('API_KEY', default)",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert Scrubber(["a-secret-of-somebody"]).scrub(text) == text


def test_variables_of_the_notebook_whose_names_say_so_are_secrets() -> None:
    names: dict[str, Any] = {
        "api_token": "aaaa-bbbb-cccc",
        "DB_PASSWORD": b"dddd-eeee-ffff",
        "answer": {"reply": {"SecretAccessKey": "gggg-hhhh", "Expiration": "later-than-now"}},
        "credentials": {"id": "iiii-jjjj-kkkk", "parts": ["llll-mmmm-nnnn"]},
        "greeting": "hello-world",
    }
    found = known_secrets(Session(), names)
    assert {"aaaa-bbbb-cccc", "dddd-eeee-ffff", "gggg-hhhh", "iiii-jjjj-kkkk", "llll-mmmm-nnnn"} <= found
    assert not {"hello-world", "later-than-now"} & found


def test_nothing_that_is_kept_of_a_connection_holds_the_environments_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    first = aws_lambda._environment()
    assert SECRET.encode() not in first
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLAIN)
    assert aws_lambda._environment() != first
