"""Fills the form's lists from AWS in the background: one thread makes the calls sequentially.

The thread touches the form only while it holds the form's lock, and no longer once another load has started or its
own time limit has passed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lithops_magic.aws.access import connect_unfinished
from lithops_magic.aws.account.discover import AccessPoint, Discovery, Role
from lithops_magic.aws.account.permission_errors import Denied
from lithops_magic.aws.explain import aws_errors, one_line
from lithops_magic.config import Problem
from lithops_magic.engine.text.units import plural
from lithops_magic.errors import LithopsMagicError
from lithops_magic.notebook.form.network import Networks, ask

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings
    from lithops_magic.notebook.form.form import ConfigForm

LIMIT = 30.0
"""Seconds after which a load is abandoned."""
SETTLING = 0.8
"""Seconds without a change before the lists of another profile or region are loaded."""
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
"""Human-readable names for botocore's credential providers."""


@dataclass(frozen=True)
class Loaded:
    """AWS's answers; each may be denied separately."""

    place: str
    caller: str
    credentials: str
    roles: tuple[Role, ...] | Denied
    networks: Networks
    efs: tuple[AccessPoint, ...] | Denied
    s3_files: tuple[AccessPoint, ...] | Denied


class Loading:
    """Loads the lists of one form; only the latest request counts."""

    def __init__(self, form: ConfigForm) -> None:
        self._form = form
        self._lock = form.lock
        self._wish = 0
        self._timers: list[threading.Timer] = []
        self.idle = threading.Event()
        """Set while nothing is being loaded."""
        self.idle.set()

    def start(self) -> None:
        """Start loading for the current settings."""
        with self._lock:
            wish = self._begin()
            self._form.bar.loaded.say("Loading from AWS …")
            asked = (wish, self._form.reading.settings)
            threading.Thread(target=self._run, args=asked, name="lambda-config", daemon=True).start()
            # The thread itself cannot be stopped, only ignored from then on.
            self._later(LIMIT, wish, f"AWS has not answered within {LIMIT:.0f} s. Press Reload to try again.")

    def start_soon(self) -> None:
        """Start loading once nothing has changed for a moment."""
        with self._lock:
            wish = self._begin()
            self._later(SETTLING, wish, "")

    def _begin(self) -> int:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        # Whatever an earlier load still brings is ignored.
        self._wish += 1
        self.idle.clear()
        return self._wish

    def _later(self, seconds: float, wish: int, failure: str) -> None:
        def due() -> None:
            with self._lock:
                if wish != self._wish:
                    return
                if failure:
                    self._fail(wish, failure)
                else:
                    self.start()

        timer = threading.Timer(seconds, due)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _run(self, wish: int, settings: Settings) -> None:
        def say(words: str) -> None:
            with self._lock:
                if wish == self._wish:
                    self._form.bar.loaded.say(words)

        try:
            cloud = connect_unfinished(settings, say)
            say("Loading from AWS …")
            found = _ask(cloud, settings)
        except LithopsMagicError as error:
            self._fail(wish, str(error))
        except Exception as error:
            # An exception in this thread would only appear in the server's log.
            self._fail(wish, one_line(f"{type(error).__name__}: {error}"))
        else:
            self._finish(wish, found)

    def _finish(self, wish: int, found: Loaded) -> None:
        with self._lock:
            if wish == self._wish:
                self._begin()
                self._form.fill(lambda: _show(self._form, found))
                self.idle.set()

    def _fail(self, wish: int, words: str) -> None:
        with self._lock:
            if wish == self._wish:
                self._begin()
                self._form.bar.loaded.say("")
                self._form.bar.loaded.tell([Problem("load", words, "")])
                self.idle.set()


def _ask(cloud: Cloud, settings: Settings) -> Loaded:
    discovery = Discovery(cloud)
    return Loaded(
        place=cloud.describe(),
        caller=_caller(cloud),
        credentials=_found_by(settings),
        roles=ask(discovery.roles),
        networks=Networks.of(discovery, settings),
        efs=ask(discovery.efs_access_points),
        s3_files=ask(discovery.s3_files_access_points),
    )


def _show(form: ConfigForm, found: Loaded) -> None:
    form.caller.tell(found.caller)
    form.credentials.tell(found.credentials or form.credentials.words)
    _offer_roles(form, found.roles)
    form.network.show(found.networks)
    _offer_access_points(form, found)
    form.bar.loaded.say(f"✓ Loaded from {found.place}")


def _caller(cloud: Cloud) -> str:
    try:
        with aws_errors():
            return cloud.client("sts").get_caller_identity()["Arn"]
    except LithopsMagicError as error:
        return f"not known: {error}"


def _found_by(settings: Settings) -> str:
    """Describe how boto3 found the credentials; empty if the settings say so already."""
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
        words = f"{plural(len(roles), 'role')} that Lambda may assume; clear the field to see all"
        form.role.offer([(role.name, role.arn) for role in roles], words if roles else "None that Lambda may assume")


def _offer_access_points(form: ConfigForm, found: Loaded) -> None:
    points: list[AccessPoint] = []
    reasons = []
    for name, answer in (("EFS", found.efs), ("S3 Files", found.s3_files)):
        if not isinstance(answer, Denied):
            points += answer
        # Where there is no S3 Files (region, boto3), nothing is missing; a permission may be.
        elif name == "EFS" or answer.permission:
            reasons.append(f"No list of {name}: {answer.reason}")
    words = (
        f"{plural(len(points), 'access point')} to choose from" if points else "" if reasons else "None in this region"
    )
    form.efs.offer([(_named(point), point.arn) for point in points], " ".join([words, *reasons]).strip())


def _named(point: AccessPoint) -> str:
    """Add the ID, because names need not be unique."""
    return " · ".join(part for part in (point.name, point.arn.rpartition("/")[2]) if part)
