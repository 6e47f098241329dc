"""A notebook's session and the form on a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ipywidgets import Widget

from form_help import widget_states
from lithops_magic.notebook.form.form import ConfigForm
from lithops_magic.notebook.form.store import ConfigStore
from lithops_magic.notebook.session import Session

SECRETS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI", "sesame-open")


@pytest.fixture(autouse=True)
def no_widgets_left() -> Iterator[None]:
    """Close the widgets: ipywidgets keeps all that are open, and each search for garbage would go through them."""
    yield
    Widget.close_all()


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def file() -> Path:
    """The file that a run finds by itself."""
    file = Path.home() / ".lithops" / "config"
    file.parent.mkdir()
    return file


@pytest.fixture
def open_form(session: Session, file: Path, capfd: Any) -> Iterator[Callable[..., ConfigForm]]:
    """Open the form; at the end nothing was printed and no widget or repr holds a secret."""
    forms = []

    def open_it(text: str | None = None, name: str | None = None) -> ConfigForm:
        if text is not None:
            file.write_text(text)
        forms.append(ConfigForm(ConfigStore.find(name, session)))
        return forms[-1]

    yield open_it
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    for form in forms:
        seen = "\n".join([repr(form), str(form._repr_mimebundle_()), *widget_states(form.view)])
        assert not [secret for secret in SECRETS if secret in seen]
