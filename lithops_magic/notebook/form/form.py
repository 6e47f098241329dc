"""The form: fields with problems next to them, and buttons; the fields hold all state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.aws.explain import one_line
from lithops_magic.config.regions import lambda_regions
from lithops_magic.errors import LithopsMagicError
from lithops_magic.notebook.form import actions, fields, static, view
from lithops_magic.notebook.form.bar import Bar
from lithops_magic.notebook.form.efs import FileSystems
from lithops_magic.notebook.form.loading import Loading
from lithops_magic.notebook.form.model import FIELDS, Reading, credentials, differences, read, texts
from lithops_magic.notebook.form.network import Network

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.notebook.form.store import ConfigStore

PLACES = tuple((label, value) for value, label in static.PLACES.items())
ARCHITECTURES = (("x86_64", "x86_64"), ("arm64", "arm64"))
UNASKED = "not known yet"
WHERE = ("local", "profile", "region")
"""Fields that determine which AWS the lists come from."""
ROLE_IS_MISSING_YET = ("execution_role",)


class ConfigForm:
    """Edits a configuration file or the settings of this session.

    Parameters
    ----------
    store
        The file and the session.
    """

    def __init__(self, store: ConfigStore) -> None:
        self.store = store
        self.pending: actions.Pending | None = None
        """Reviewed changes that can now be saved."""
        # Reentrant: changing one field triggers others' callbacks in the same thread.
        self.lock = threading.RLock()
        """Held while changing the form, by the kernel's main thread or by the loading thread."""
        self._quiet = self._opened = False
        self.role = fields.suggested_control("execution_role", "arn:aws:iam::123456789012:role/name")
        self.network = Network()
        self.efs = FileSystems()
        self.credentials = view.ReadOnlyLine("Credentials")
        self.caller = view.ReadOnlyLine("Caller")
        self.bar = Bar()
        self.file = fields.file_control(store.choices, store.file)
        self.loading = Loading(self)
        self._remote = (fields.text_control("profile"), fields.choice_control("region", _regions()))
        self.controls = self._make_controls()
        self._show(store.session.settings or store.load())
        self.credentials.tell(credentials(self.reading.settings))
        self.caller.tell(UNASKED)
        self.view = view.assemble(self)
        self._listen()
        self.refresh()

    @property
    def reading(self) -> Reading:
        """The current meaning of the fields."""
        given = {name: control.text for name, control in self.controls.items()}
        return read(given, self._bases[given["local"] == "true"])

    def refresh(self) -> None:
        """Show problems and changes, and enable only the buttons that can work."""
        reading = self.reading
        for name, control in self.controls.items():
            control.tell(reading.problems.get(name, ()))
        blocked = self.store.locked or reading.blocked()
        self.bar.tell_state(self._state(reading, blocked), blocked=bool(blocked))
        self.bar.review.disabled = bool(blocked)
        self.bar.use.disabled = bool(reading.blocked())
        self.bar.check.disabled = self.bar.create.disabled = bool(reading.blocked(ROLE_IS_MISSING_YET))
        self.efs.add.disabled = self.network.is_off
        for control in self._remote:
            control.widget.disabled = reading.settings.local

    def reload(self, settings: Settings) -> None:
        """Read the file again and show `settings`, with secrets hidden again."""
        before = [self.controls[name].text for name in WHERE]
        with self._silence():
            self._show(settings)
        self._discard()
        if before != [self.controls[name].text for name in WHERE]:
            self._forget_lists()
            self._reload()

    def open(self) -> None:
        """Load the lists when a notebook first shows the form."""
        # Not in the constructor: a form that nobody sees must not ask AWS.
        if not self._opened and _in_a_kernel():
            self._opened = True
            self.loading.start()

    def fill(self, work: Callable[[], None]) -> None:
        """Let another thread change the fields."""
        with self.lock, self._silence():
            work()
            self.refresh()

    def __repr__(self) -> str:
        return f"<ConfigForm {self.store.file}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The live form, plus a static summary for notebooks without a kernel."""
        self.open()
        return {**self.view._repr_mimebundle_(), **static.summary(self.reading.settings, self.store)}

    def _make_controls(self) -> dict[str, fields.Control]:
        profile, region = self._remote
        return {
            "local": fields.choice_control("local", PLACES),
            "profile": profile,
            "region": region,
            "execution_role": self.role,
            "memory": fields.number_control("memory", "1769"),
            "timeout": fields.number_control("timeout", "180"),
            "ephemeral_storage": fields.number_control("ephemeral_storage", "512"),
            "architecture": fields.choice_control("architecture", ARCHITECTURES, fields.NARROW),
            "max_workers": fields.text_control("max_workers", width=fields.NARROW),
            "subnets": self.network.subnets,
            "security_groups": self.network.groups,
            "efs": self.efs,
            "env_vars": fields.area_control("env_vars", "OMP_NUM_THREADS=1"),
            "user_tags": fields.area_control("user_tags", "project=climate"),
            "layers": fields.text_control("layers", "arn:aws:lambda:us-east-1:123456789012:layer:name:1, …"),
            "runtime": fields.text_control("runtime", "123456789012.dkr.ecr.us-east-1.amazonaws.com/name:tag"),
            "namespace": fields.text_control("namespace"),
        }

    def _show(self, settings: Settings) -> None:
        """Fill the fields; they are compared with the file's current contents."""
        self._local_in_file = self.store.load().local
        # The file's account settings apply only if functions run in the account.
        self._filed = {place: self.store.load(place) for place in (True, False)}
        self._bases = {**self._filed, settings.local: settings}
        shown = texts(settings)
        for name, control in self.controls.items():
            control.text = shown[name]

    def _listen(self) -> None:
        for name, control in self.controls.items():
            control.on_change(partial(self._guard, partial(self._changed, name)))
        self.network.on_choice(self._act)
        bar = self.bar
        for button, action in (
            (bar.check, actions.run_checks),
            (bar.create, actions.make_role),
            (bar.review, actions.review),
            (bar.save, actions.save),
            (bar.cancel, actions.cancel),
            (bar.use, actions.use),
            (bar.discard, actions.discard),
        ):
            button.on_click(partial(self._press, action))
        bar.load.on_click(lambda _: self.loading.start())
        self.file.on_change(partial(self._guard, lambda: self._act(self._turn_to_file)))

    def _press(self, action: Callable[[ConfigForm], None], _: object) -> None:
        with self.lock:
            # Saving needs the diff that was reviewed.
            if action is not actions.save:
                self._discard()
            self._act(partial(action, self))

    def _discard(self) -> None:
        """Remove results and diffs of earlier settings."""
        self.pending = None
        self.bar.clear()

    def _act(self, work: Callable[[], None]) -> None:
        """Do something that may take a while or fail.

        Buttons stay enabled meanwhile, because browsers remove the focus from a disabled button.
        """
        with self.lock:
            try:
                with self._silence():
                    work()
            except LithopsMagicError as error:
                self.bar.fail(str(error))
            except Exception as error:
                # An exception in a callback would only appear in the browser's console.
                self.bar.fail(one_line(f"{type(error).__name__}: {error}"))
            finally:
                self.refresh()

    def _guard(self, work: Callable[[], None]) -> None:
        with self.lock:
            if not self._quiet:
                work()

    def _changed(self, name: str) -> None:
        self._discard()
        if name == "local":
            self._move()
        if name in WHERE:
            self._forget_lists()
            self._reload()
        self.refresh()

    def _move(self) -> None:
        """Show the file's settings for the other place, except where the user has entered something else."""
        here = self.controls["local"].text == "true"
        before, after = texts(self._bases[not here]), texts(self._bases[here])
        with self._silence():
            for name, control in self.controls.items():
                if control.text == before[name] and name not in WHERE[:1]:
                    control.text = after[name]

    def _forget_lists(self) -> None:
        with self._silence():
            self.role.offer([], "")
            self.network.forget()
            self.efs.offer([], "")
        self.bar.loaded.say("")
        self.caller.tell(UNASKED)
        self.credentials.tell(credentials(self.reading.settings))

    def _reload(self) -> None:
        if self._opened:
            self.loading.start_soon()

    def _turn_to_file(self) -> None:
        """Show another file's settings; if the file does not exist yet, keep the form's."""
        self.store = self.store.at(Path(self.file.text))
        self.reload(self.store.load() if self.store.file.exists() else self.reading.settings)

    @contextmanager
    def _silence(self) -> Iterator[None]:
        """Change fields without triggering reactions."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _state(self, reading: Reading, blocked: str) -> str:
        if blocked:
            return blocked
        settings = reading.settings
        labels = differences(settings, self._filed[settings.local])
        if settings.local != self._local_in_file:
            labels = (FIELDS["local"].label, *labels)
        changed = f"Not saved yet: {', '.join(labels)}." if labels else "No changes."
        session = " This session uses its own settings." if self.store.session.settings is not None else ""
        return f"{changed}{session} {self.store.overruled}".rstrip()


def _in_a_kernel() -> bool:
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _regions() -> fields.Choices:
    return [("as boto3 finds it", ""), *((name, name) for name in lambda_regions())]
