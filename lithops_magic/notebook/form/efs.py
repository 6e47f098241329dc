"""The rows for file systems: an access point and its path in the function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.config import Problem
from lithops_magic.notebook.form.fields import INDENT, NARROW, Choices, Suggested, Words, label_style, layout
from lithops_magic.notebook.form.model import FIELDS


class Mount:
    """A row."""

    def __init__(self, point: str, path: str, choices: Choices) -> None:
        # A row that was added and not filled in must not count as a problem.
        self._fresh = path if not point else None
        """The path suggested for a new row; None for a configured one."""
        self.path = widgets.Text(
            value=path,
            description="mounted at",
            placeholder="/mnt/data",
            style=label_style(),
            layout=layout(width=NARROW),
        )
        self.remove = widgets.Button(
            description="Remove", tooltip="Remove this file system", layout=widgets.Layout(width="auto")
        )
        self.point = Suggested(FIELDS["efs"], "Access point", "arn:aws:elasticfilesystem:…", self.path, self.remove)
        self.point.offer(choices, "")
        self.point.text = point
        self.view = self.point.view

    @property
    def is_empty(self) -> bool:
        """Whether it is a new row without input."""
        return not self.point.text and self.path.value.strip() in ("", self._fresh)


class FileSystems:
    """All rows; as text, one line each."""

    def __init__(self) -> None:
        self.mounts: list[Mount] = []
        self.add = widgets.Button(
            description="Add a file system",
            layout=widgets.Layout(width="auto", flex="0 0 auto", margin="2px 2px 2px 0"),
        )
        self.words = Words(FIELDS["efs"].hint)
        self._rows = widgets.VBox()
        indent = widgets.Layout(margin=f"0 0 0 {INDENT}", width="auto")
        adding = widgets.HBox([self.add, self.words.view], layout=indent)
        adding.add_class("indented")
        self.view = widgets.VBox([self._rows, adding])
        self._choices: Choices = ()
        self._changed: Callable[[], None] = lambda: None
        self.add.on_click(lambda _: self._append())

    @property
    def text(self) -> str:
        used = (mount for mount in self.mounts if not mount.is_empty)
        return "\n".join(f"{mount.point.text}={mount.path.value.strip()}" for mount in used)

    @text.setter
    def text(self, text: str) -> None:
        pairs = [line.partition("=") for line in text.split("\n") if line]
        self.mounts = [self._mount(point, path) for point, _, path in pairs]
        self._draw()

    def offer(self, choices: Choices, words: str) -> None:
        """Suggest access points."""
        self._choices = choices
        for mount in self.mounts:
            mount.point.offer(choices, "")
        self.words.say(words)

    def on_change(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def tell(self, problems: Sequence[Problem]) -> None:
        self.words.tell(problems)

    def _append(self) -> None:
        self.mounts.append(self._mount("", "/mnt/data"))
        self._draw()

    def _mount(self, point: str, path: str) -> Mount:
        mount = Mount(point, path, self._choices)
        mount.point.on_change(lambda: self._changed())
        mount.path.observe(lambda _: self._changed(), "value")
        mount.remove.on_click(lambda _: self._drop(mount))
        return mount

    def _drop(self, mount: Mount) -> None:
        self.mounts.remove(mount)
        self._draw()

    def _draw(self) -> None:
        self._rows.children = [mount.view for mount in self.mounts]
        self._changed()
