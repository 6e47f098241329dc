"""What tasks draw and show comes back: figures, tables, pictures; real jobs, local AWS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd  # type: ignore[import-untyped]
import pytest
from IPython.display import HTML, display
from matplotlib.figure import Figure
from PIL import Image

from lithops_magic.engine import MapResult, api
from lithops_magic.engine.result.gallery import Gallery, ShownValue, is_picture
from lithops_magic.worker.values import Shown, result_of
from localaws import LocalAws

pytestmark = pytest.mark.usefixtures("local_aws")


@pytest.fixture(scope="module")
def drawn(local_aws: LocalAws) -> MapResult:
    """One job in which each task shows something in another way; all in one sandbox."""

    def task(kind: str) -> Any:
        import matplotlib.pyplot as plt
        from IPython import display as module
        from IPython.display import clear_output

        open_before = plt.get_fignums()
        plt.plot([1, 2], label=kind)
        clear_output(wait=True)
        if kind == "show":
            plt.show()
        elif kind == "two":
            plt.figure()
        elif kind == "display":
            display(HTML("<b>bold</b>"), plt.gcf())
        elif kind == "module":
            plt.close()
            module.display(pd.DataFrame({"a": [1]}))
        elif kind == "figure":
            return plt.gcf()
        elif kind == "value":
            plt.show()
            return open_before
        elif kind == "nothing":
            plt.close()
        return None

    red = mpl.cycler(color=["red"])  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch, mpl.rc_context({"lines.linewidth": 7, "axes.prop_cycle": red}):
        patch.setenv("LITHOPS_MAGIC_LOCAL_DIR", str(local_aws.folder))
        kinds = ["show", "two", "display", "module", "figure", "value", "nothing"]
        return api.map(task, kinds, chunksize=9, workers=1, packages="matplotlib pandas")


@pytest.fixture(autouse=True)
def no_figures() -> Iterator[None]:
    yield
    assert plt.get_fignums() == []


def test_what_a_task_without_a_value_has_drawn_or_shown_is_its_value(drawn: MapResult) -> None:
    show, two, shown, table, figure, value, nothing = drawn
    for one, label in ((show, "show"), (two[0], "two"), (shown[1], "display"), (figure, "figure")):
        (line,) = one.axes[0].lines
        assert (line.get_label(), line.get_linewidth(), line.get_color()) == (label, 7, "red")
    assert [len(two), len(shown)] == [2, 2]
    assert isinstance(two, Shown)
    assert isinstance(shown[0], HTML)
    assert shown[0].data == "<b>bold</b>"
    assert table.equals(pd.DataFrame({"a": [1]}))
    assert value == []
    assert nothing is None


def test_what_is_shown_beside_a_value_is_printed(drawn: MapResult) -> None:
    assert drawn.logs(5) == "Figure(640x480)\n"
    assert drawn.logs(0) == drawn.logs(4) == ""


@pytest.mark.no_cover
def test_what_is_drawn_and_cannot_travel_costs_no_task() -> None:
    def task(x: int) -> None:
        import matplotlib.pyplot as plt

        figure, _ = plt.subplots()
        figure.kept = (one for one in "a")  # type: ignore[attr-defined]

    result = api.map(task, [1], packages="matplotlib pandas")
    assert result.values() == [None]


def test_a_gallery_shows_the_first_few_with_their_items(drawn: MapResult) -> None:
    assert "show    .show() shows what the first tasks returned" in drawn.summary()
    page = drawn.show(5)._repr_html_()
    assert page.count('<img src="data:image/png;base64,') == 5
    assert "<b>bold</b>" in page
    assert "<td>1</td>" in page
    assert re.search(r"<figcaption>1 · &#x27;two&#x27;</figcaption>", page)
    assert "5 of 7; .show(7) shows all" in page
    assert repr(drawn.show(2)).splitlines()[0].startswith("[0 · 'show'] <Figure size 640x480")


class Failing:
    def _repr_html_(self) -> str:
        raise ValueError("no")


class Bundle:
    def _repr_mimebundle_(self) -> dict[str, str]:
        return {"text/plain": "b", "image/svg+xml": "<svg/>"}


def test_whatever_can_be_looked_at_is_and_the_rest_is_text() -> None:
    picture = Image.new("RGB", (2, 2))
    values = [picture, Bundle(), Failing(), "<script>", Figure()]
    assert [is_picture(value) for value in values] == [True, True, True, False, True]
    page = Gallery((ShownValue(index, "", value) for index, value in enumerate(values)), 5)._repr_html_()
    assert page.count("data:image/png") == 2
    assert page.count("data:image/svg+xml;base64,PHN2Zy8+") == 1
    assert "&lt;Failing&gt;" in page or "Failing object" in page
    assert "<script>" not in page
    assert "no values yet" in Gallery((), 0)._repr_html_()


def test_without_anything_shown_a_value_is_what_it_is() -> None:
    assert [result_of(None), result_of(0), result_of([])] == [None, 0, []]
