"""What the buttons do: check, create the role, review and save changes, apply to this session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.aws.access import connect_unfinished
from lithops_magic.aws.account.doctor import Check, check
from lithops_magic.aws.iam.create_role import create_role

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.notebook.form.form import ConfigForm


@dataclass(frozen=True)
class Pending:
    """Settings that were shown as a diff and can now be saved."""

    settings: Settings
    diff: str


def run_checks(form: ConfigForm) -> None:
    """Check everything a job needs; each result is shown as soon as it is available."""
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
    """Create the execution role and select it."""
    form.bar.say("Connecting …")
    settings = form.reading.settings
    cloud = connect_unfinished(settings, form.bar.say)
    arn = create_role(cloud, settings, notify=form.bar.say)
    form.controls["execution_role"].text = arn
    form.bar.say(f"✓ The role {arn} is ready; save to keep it.")


def review(form: ConfigForm) -> None:
    """Show what saving would change."""
    settings = form.reading.settings
    diff = form.store.diff(settings)
    if not diff:
        form.bar.say(f"Nothing to save: {form.store.file} says this already.")
        return
    form.pending = Pending(settings, diff)
    form.bar.show_diff(diff)
    form.bar.offer_save(str(form.store.file))
    form.bar.say(
        f"This would change in {form.store.file}:" if form.store.file.exists() else "This file would be created:"
    )


def save(form: ConfigForm) -> None:
    """Write the reviewed changes, unless the file has changed since."""
    if form.pending is None:
        return
    settings = form.reading.settings
    # The file or the fields may have changed since: what is written must be what was shown.
    if form.pending != Pending(settings, form.store.diff(settings)):
        review(form)
        form.bar.say(f"{form.store.file} has changed in the meantime: review the changes again before you save.")
        return
    form.reload(form.store.save(settings))
    form.bar.say(f"✓ Saved to {form.store.file}; {form.store.overruled or 'the next run uses it.'}")
    form.bar.review.focus()


def cancel(form: ConfigForm) -> None:
    """Leave the file and the fields unchanged; the diff is hidden already."""
    form.bar.say("Nothing was saved.")
    form.bar.review.focus()


def discard(form: ConfigForm) -> None:
    """Show the file's settings."""
    form.reload(form.store.load())
    what = f"what {form.store.file} says" if form.store.file.exists() else "the defaults"
    form.bar.say(f"✓ The form shows {what} again.")


def use(form: ConfigForm) -> None:
    """Use these settings until the kernel ends."""
    settings = form.reading.settings
    form.store.use(settings)
    form.reload(settings)
    form.bar.say("✓ Runs in this notebook use these settings until the kernel ends; the file is unchanged.")
