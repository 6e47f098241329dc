"""Check of the bucket for large objects."""

from __future__ import annotations

from lithops_magic.aws.account.doctor.facts import Facts
from lithops_magic.aws.account.doctor.verdict import Verdict, ok, problem
from lithops_magic.aws.account.permission_errors import DENIALS, Unanswered, asking


def bucket(facts: Facts) -> Verdict | None:
    """The bucket's name is available, or the bucket belongs to this account."""
    name = facts.bucket
    try:
        with asking("s3"):
            facts.cloud.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=facts.account)
    except Unanswered as unanswered:
        if unanswered.code == "404":
            return ok(f"{name} does not exist yet: it is created when needed.")
        if unanswered.code in DENIALS:
            return problem(
                f"{name} is another account's, or you may not use it (s3:ListBucket).",
                "Ask whoever manages the account for access to it, or set another namespace.",
            )
        raise
    return ok(f"{name} exists and belongs to this account.")
