"""AWS's own policies are made late, once, and never lose what was put beside them."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lithops_magic.local.front.managed_policies import LazyPolicies
from localaws import LocalAws

DOCUMENT = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}'


def test_nothing_is_made_before_somebody_looks_and_then_once_for_all_threads() -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(threading.get_ident())
        return {"arn:aws": "theirs"}

    policies = LazyPolicies(make)
    assert not made
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: "arn:aws" in policies, range(64))) == [True] * 64
    assert len(made) == 1
    policies["arn:own"] = "ours"
    assert dict(policies) == {"arn:aws": "theirs", "arn:own": "ours"}
    del policies["arn:own"]
    assert [*policies.values(), len(policies)] == ["theirs", 1]


def test_what_is_put_there_first_stays_beside_aws_s() -> None:
    policies = LazyPolicies(lambda: {"arn:aws": "theirs"})
    policies["arn:own"] = "ours"
    assert policies == {"arn:aws": "theirs", "arn:own": "ours"}


def test_policies_of_the_account_and_of_aws_are_listed_together(local_aws: LocalAws) -> None:
    iam = local_aws.client("iam")
    name = f"policy-{uuid.uuid4().hex}"
    own = iam.create_policy(PolicyName=name, PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 1000})
    found = {policy["Arn"] for page in pages for policy in page["Policies"]}
    assert {own, "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"} <= found
    iam.delete_policy(PolicyArn=own)
    local = iam.list_policies(Scope="Local")["Policies"]
    assert own not in {policy["Arn"] for policy in local}
