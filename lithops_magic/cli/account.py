"""The commands `role`, `policy` and `doctor`, which prepare and check an AWS account."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from lithops_magic.config import load
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lithops_magic.aws.account.doctor import Check
    from lithops_magic.config import Settings


def register(commands: Any) -> None:
    """Add the commands to the sub-parsers of `lithops-magic`."""
    role = commands.add_parser("role", help="create the functions' execution role")
    actions = role.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create or update the role, with least privilege")
    create.add_argument("--name", help="its name (default: lithops-magic-execution)")
    _add_extras(create)
    add_common(create)
    create.set_defaults(run=_create_role)

    policy = commands.add_parser("policy", help="print an IAM policy for an administrator to use")
    policy.add_argument(
        "whose",
        choices=("user", "execution"),
        metavar="user|execution",
        help="user: for the person at the notebook; execution: for the functions' role",
    )
    _add_extras(policy)
    add_common(policy)
    policy.set_defaults(run=_policy)

    doctor = commands.add_parser("doctor", help="check everything that a run needs from AWS")
    add_common(doctor)
    doctor.set_defaults(run=_doctor)


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="read this Lithops configuration instead of the usual one")
    parser.add_argument("--profile", help="use the account of this AWS profile")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--account", dest="local", action="store_false", help="use AWS, even if nothing is configured")
    where.add_argument("--local", dest="local", action="store_true", help="use the local AWS of this machine")
    # Neither flag: as the environment and the configuration say.
    parser.set_defaults(local=None)


def _add_extras(parser: argparse.ArgumentParser) -> None:
    text = "a bucket of yours that tasks may"
    parser.add_argument(
        "--bucket", action="append", default=[], metavar="NAME", help=f"{text} read; repeat it for more"
    )
    parser.add_argument(
        "--writable-bucket", action="append", default=[], metavar="NAME", help=f"{text} read, write and delete in"
    )
    parser.add_argument("--nested", action="store_true", help="tasks may start jobs (Lithops inside Lithops)")


def chosen_settings(options: argparse.Namespace) -> Settings:
    return load(options.config, local=options.local, profile=options.profile)


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _create_role(options: argparse.Namespace) -> int:
    from lithops_magic.aws.access import connect_unfinished
    from lithops_magic.aws.iam.create_role import create_role

    if options.name is not None and not re.fullmatch(r"[\w+=,.@-]{1,64}", options.name, re.ASCII):
        raise ConfigError(f"--name must be 1 to 64 letters, digits and +=,.@_-, not {options.name!r}.")
    settings = chosen_settings(options)
    cloud = connect_unfinished(settings, _note)
    buckets = {"readable": _buckets(options.bucket), "writable": _buckets(options.writable_bucket)}
    arn = create_role(cloud, settings, options.name, _note, nested=options.nested, **buckets)
    print(arn)
    if settings.execution_role != arn:
        _note(f"It is in {cloud.describe()}. Put it into the configuration:\n\naws_lambda:\n  execution_role: {arn}")
    return 0


def _buckets(names: Sequence[str]) -> list[str]:
    """Return bucket names, given as names or S3 addresses.

    Raises
    ------
    ConfigError
        A name is invalid.
    """
    found = [name.removeprefix("s3://").partition("/")[0] for name in names]
    for name, bucket in zip(names, found, strict=True):
        if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket):
            raise ConfigError(f"{name!r} is not a bucket name.")
    return found


def _policy(options: argparse.Namespace) -> int:
    from lithops_magic.aws.access import connect_unfinished
    from lithops_magic.aws.iam.policy import Region, execution_policy, nested_policy, role_name, user_policy, with_data
    from lithops_magic.aws.storage.bucket import bucket_name

    settings = chosen_settings(options)
    cloud = connect_unfinished(settings, _note)
    place = Region(cloud.account_id, cloud.region)
    bucket = bucket_name(place.account, place.region, settings.namespace)
    if options.whose == "execution":
        document = execution_policy(settings, place.account, place.region, bucket)
    else:
        role = settings.execution_role or f"arn:{place.partition}:iam::{place.account}:role/{role_name(settings)}"
        document = user_policy(settings, place.account, place.region, bucket, role)
    if options.nested:
        document["Statement"] += nested_policy(place, settings)["Statement"]
    document = with_data(document, place, _buckets(options.bucket), _buckets(options.writable_bucket))
    print(json.dumps(document, indent=2))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from lithops_magic.aws.access import connect_unfinished
    from lithops_magic.aws.account.doctor import Check, check

    settings = chosen_settings(options)
    print(_examined(settings, asked=options.local is not None))
    for note in settings.notes:
        print(f"note    {note}")
    # The role's own check reports a missing one.
    problems = [found for found in settings.problems() if found.field != "execution_role" or settings.execution_role]
    checks = [Check(found.field, "problem", found.text, found.fix) for found in problems]
    for found in checks:
        print(found)
    try:
        cloud = connect_unfinished(settings, _note)
    except ConfigError as error:
        checks.append(Check("credentials", "problem", str(error)))
        print(checks[-1])
        print(_counted(checks))
        return 1
    for found in check(cloud, settings):
        print(found, flush=True)
        checks.append(found)
    print(_counted(checks))
    return 1 if any(found.status == "problem" for found in checks) else 0


def _examined(settings: Settings, *, asked: bool) -> str:
    """Say what is examined, and how to examine the other AWS instead."""
    source = f"configured by {settings.source}" if settings.source != "defaults" else "no configuration found"
    if not settings.local:
        return f"AWS · {source}"
    return f"local AWS · {source}" + ("" if asked else "; --account checks your AWS account")


def _counted(checks: Sequence[Check]) -> str:
    """Return the number of checks by outcome, problems first."""
    problems = sum(found.status == "problem" for found in checks)
    unknown = sum(found.status not in ("ok", "problem") for found in checks)
    parts = [plural(problems, "problem") if problems else "no problems"]
    parts += [f"{unknown} not examined"] if unknown else []
    return f"{plural(len(checks), 'check')}: {', '.join(parts)}"
