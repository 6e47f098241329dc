"""What the buttons do: load, check, create the role, save, use for this session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.aws.access import connect_unfinished
from lithops_magic.aws.account.discover import AccessPoint, Discovery, Role
from lithops_magic.aws.account.doctor import Check, check
from lithops_magic.aws.account.permission_errors import Denied
from lithops_magic.aws.explain import aws_errors
from lithops_magic.aws.iam.create_role import create_role
from lithops_magic.config import Problem
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import LithopsMagicError
from lithops_magic.notebook.form.network import ask

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings
    from lithops_magic.notebook.form.form import ConfigForm


@dataclass(frozen=True)
class Pending:
    """Settings that were shown as a diff and may now be written."""

    settings: Settings
    diff: str


METHODS = {
    "explicit": "given in the configuration",
    "env": "environment variables",
    "shared-credentials-file": "the AWS credentials file",
    "config-file": "the AWS config file",
    "assume-role": "a role of the AWS profile",
    "assume-role-with-web-identity": "a web identity",
    "sso": "AWS single sign-on",
    "login": "`aws login`",
    "custom-process": "the AWS profile's credential_process",
    "container-role": "the container's role",
    "iam-role": "the machine's role",
}
"""What botocore calls the ways it finds credentials, in words."""


def load(form: ConfigForm) -> None:
    """Ask AWS who is calling and what there is to choose from; each answer may be denied alone."""
    say = form.bar.loaded.say
    say("Connecting …")
    settings = form.reading.settings
    try:
        cloud = connect_unfinished(settings, say)
    except LithopsMagicError as error:
        say("")
        form.bar.loaded.tell([Problem("load", str(error), "")])
        return
    say("Asking AWS …")
    form.caller.tell(_caller(cloud))
    form.credentials.tell(_found_by(settings) or form.credentials.words)
    discovery = Discovery(cloud)
    _offer_roles(form, ask(discovery.roles))
    say("Asking for networks …")
    form.network.load(discovery)
    say("Asking for file systems …")
    _offer_access_points(form, discovery)
    say(f"✓ Loaded from {cloud.describe()}")


def run_checks(form: ConfigForm) -> None:
    """Examine everything a run needs; each result is shown as soon as it is known."""
    form.bar.say("Checking …")
    settings = form.reading.settings
    cloud = connect_unfinished(settings, form.bar.say)
    checks: list[Check] = []
    for found in check(cloud, settings):
        checks.append(found)
        form.bar.show_checks(checks)
    problems = sum(found.status == "problem" for found in checks)
    unknown = sum(found.status == "unknown" for found in checks)
    words = f"{len(checks)} checks: {len(checks) - problems - unknown} ok, {problems} with a problem"
    form.bar.say(words + (f", {unknown} could not be made" if unknown else ""))


def make_role(form: ConfigForm) -> None:
    """Create the execution role and choose it."""
    form.bar.say("Connecting …")
    settings = form.reading.settings
    cloud = connect_unfinished(settings, form.bar.say)
    arn = create_role(cloud, settings, notify=form.bar.say)
    form.controls["execution_role"].text = arn
    form.bar.say(f"✓ The role {arn} is ready; save to keep it.")


def preview(form: ConfigForm) -> None:
    """Show what Save would change."""
    settings = form.reading.settings
    diff = form.store.diff(settings)
    if not diff:
        form.bar.say(f"Nothing to save: {form.store.file} says this already.")
        return
    form.pending = Pending(settings, diff)
    form.bar.show_diff(diff)
    form.bar.offer_write(True)
    form.bar.say(f"This would change in {form.store.file}; press Write to do it.")


def write(form: ConfigForm) -> None:
    """Write what was shown, unless the file has changed since."""
    if form.pending is None:
        return
    settings = form.reading.settings
    if form.pending != Pending(settings, form.store.diff(settings)):
        preview(form)
        form.bar.say(f"{form.store.file} has changed meanwhile: look again, then press Write.")
        return
    form.reload(form.store.save(settings))
    form.bar.say(f"✓ Saved to {form.store.file}; the next run uses it.")


def use(form: ConfigForm) -> None:
    """Run with these settings until the kernel ends."""
    settings = form.reading.settings
    form.store.use(settings)
    form.reload(settings)
    form.bar.say("✓ Runs in this notebook use these settings until the kernel ends; the file is as it was.")


def _caller(cloud: Cloud) -> str:
    try:
        with aws_errors():
            return cloud.client("sts").get_caller_identity()["Arn"]
    except LithopsMagicError as error:
        return f"not known: {error}"


def _found_by(settings: Settings) -> str:
    """Say how boto3 found the credentials; empty where the settings already say it."""
    if settings.local or settings.access_key_id is not None:
        return ""
    import boto3

    with aws_errors():
        found = boto3.Session(profile_name=settings.profile).get_credentials()
    return METHODS.get(found.method, found.method) if found is not None else ""


def _offer_roles(form: ConfigForm, roles: tuple[Role, ...] | Denied) -> None:
    if isinstance(roles, Denied):
        form.role.offer([], f"No list: {roles.reason}")
    else:
        words = f"{plural(len(roles), 'role')} that Lambda may assume; empty the field to see them all"
        form.role.offer([(role.name, role.arn) for role in roles], words if roles else "None that Lambda may assume")


def _offer_access_points(form: ConfigForm, discovery: Discovery) -> None:
    found: list[AccessPoint] = []
    reasons = []
    for name, answer in (
        ("EFS", ask(discovery.efs_access_points)),
        ("S3 Files", ask(discovery.s3_files_access_points)),
    ):
        if not isinstance(answer, Denied):
            found += answer
        elif name == "EFS" or answer.permission:
            reasons.append(f"No list of {name}: {answer.reason}")
    words = (
        f"{plural(len(found), 'access point')} to choose from" if found else "" if reasons else "None in this region"
    )
    form.efs.offer([(point.name, point.arn) for point in found], " ".join([words, *reasons]).strip())
