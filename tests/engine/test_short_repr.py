"""Values at a glance: one line, what is opened is closed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.engine.text.short_repr import clipped, short_repr


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (pd.DataFrame(np.zeros((100, 3))), "<DataFrame 100 × 3>"),
        (pd.DataFrame({"a": [1]}), "<DataFrame 1 × 1>"),
        (pd.Series(range(1000)), "<Series 1,000>"),
        (np.zeros((2000, 2)), "<ndarray 2,000 × 2>"),
        (np.array([1, 2]), "array([1, 2])"),
        ("x" * 99, "'xxxxxxxxxxxxxxxxx…'"),
        (b"y" * 99, "b'yyyyyyyyyyyyyyyy…'"),
        ("it's " * 9, "\"it's it's it's it…\""),
        ("short", "'short'"),
        (0.1 + 0.2, "0.3"),
        (Broken(), "<Broken inst"),
    ],
)
def test_values(value: object, shown: str) -> None:
    assert short_repr(value, 20).startswith(shown)


@given(st.one_of(st.text(), st.binary()), st.integers(10, 60))
def test_a_text_keeps_its_quotes_and_the_width(value: str | bytes, width: int) -> None:
    shown = short_repr(value, width)
    assert len(shown) <= width
    assert "\n" not in shown
    assert shown[-1] == shown.lstrip("b")[0]


@given(st.text(), st.integers(5, 40))
def test_a_line_fits(text: str, width: int) -> None:
    assert len(clipped(text, width)) <= width
