"""The parts of an object are exactly its records: `bytes.split` is the oracle, for any bytes, separator and size."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lithops_magic.data import parts
from lithops_magic.data.inside import records
from lithops_magic.errors import MisuseError

# Few letters, so that separators occur, overlap and lie across the edges.
SEPARATORS = st.one_of(
    st.text("ab", min_size=1, max_size=5).map(str.encode),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", "§".encode(), "—\n".encode(), b"<record end>", b"||"]),
)


@st.composite
def objects(draw: st.DrawFn) -> tuple[bytes, bytes]:
    newline = draw(SEPARATORS)
    pieces = st.one_of(st.just(newline), st.just(newline[:1]), st.just(newline[1:]), st.binary(max_size=4))
    return b"".join(draw(st.lists(pieces, max_size=25))), newline


def expected(data: bytes, newline: bytes) -> list[bytes]:
    *ended, last = data.split(newline)
    return [record + newline for record in ended] + ([last] if last else [])


def part(data: bytes, start: int, stop: int, newline: bytes, piece: int) -> bytes:
    """Read a part as a task does, in pieces."""
    at = records.scan_from(lambda low, high: data[low:high], start, newline)
    pieces = (data[low : low + piece] for low in range(at, len(data), piece))
    return b"".join(records.cut(pieces, at, start, stop, newline))


def begins(data: bytes, newline: bytes) -> list[int]:
    sizes = [len(record) for record in expected(data, newline)]
    return [sum(sizes[:index]) for index in range(len(sizes))]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(objects(), st.integers(1, 40), st.integers(1, 60))
@example((b"", b"\n"), 1, 1)
@example((b"x", b"\n"), 1, 1)
@example((b"\n" * 30, b"\n\n"), 4, 3)
@example((b"aaaa\r\nbb\r\n\r\nc", b"\r\n"), 5, 2)
@example((b"x" * 50 + b"||" + b"y", b"||"), 7, 5)
def test_each_part_has_the_records_that_begin_in_it(made: tuple[bytes, bytes], chunk: int, piece: int) -> None:
    data, newline = made
    whole, starts = expected(data, newline), begins(data, newline)
    found = []
    for start, stop in parts.ranges(len(data), chunk):
        mine = part(data, start, stop, newline, piece)
        assert mine == b"".join(record for at, record in zip(starts, whole, strict=True) if start <= at < stop)
        found.append(mine)
    assert b"".join(found) == data
    assert [record for mine in found for record in expected(mine, newline)] == whole


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(objects(), st.integers(1, 50))
def test_as_many_parts_as_asked_for_have_the_same_records(made: tuple[bytes, bytes], number: int) -> None:
    data, newline = made
    found = [part(data, start, stop, newline, 7) for start, stop in parts.ranges(len(data), None, number)]
    assert len(found) == max(1, min(number, len(data)))
    assert [record for mine in found for record in expected(mine, newline)] == expected(data, newline)


def test_a_long_run_of_overlapping_separators_is_read_from_its_beginning() -> None:
    data = b"head\n" + b"\n" * 20_001 + b"tail"
    found = [part(data, start, stop, b"\n\n", 999) for start, stop in parts.ranges(len(data), 5000)]
    assert [record for mine in found for record in expected(mine, b"\n\n")] == expected(data, b"\n\n")


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_ranges_cover_the_object_and_none_is_empty(size: int, chunk: int) -> None:
    small = chunk if size // chunk < 2000 else size // 2000 + 1
    for found in (list(parts.ranges(size, small)), list(parts.ranges(size, None, min(small, 2000)))):
        assert found[0][0] == 0
        assert found[-1][1] == size
        assert all(before[1] == after[0] for before, after in pairwise(found))
        assert all(start < stop for start, stop in found) or found == [(0, 0)]
    assert parts.count(size, small) == len(list(parts.ranges(size, small)))
    assert parts.count(size, None, 7) == len(list(parts.ranges(size, None, 7)))


def test_nothing_more_is_read_than_up_to_the_end_of_the_last_record() -> None:
    def pieces():  # type: ignore[no-untyped-def]
        yield b"one\ntwo\n"
        yield b"three\nfour\n"
        raise AssertionError("the rest is another part's")

    assert b"".join(records.cut(pieces(), 0, 0, 9, b"\n")) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MB", 64 * 2**20), ("1 kb", 1024), ("0.5GiB", 2**29), (7, 7), ("1_000", 1000), ("16m", 2**24), (None, None)],
)
def test_sizes_as_people_write_them(text: object, size: int | None) -> None:
    assert parts.chunk_size(text) == size


@pytest.mark.parametrize("text", ["64 apples", "", "0", -1, 0, 1.5, True, b"64", "1.0000001KB", "-5MB", "MB", []])
def test_what_is_no_size_is_said_in_one_line(text: object) -> None:
    with pytest.raises(MisuseError, match=r"chunk must be .* such as '64MB'") as caught:
        parts.chunk_size(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", b"", 10, [], 0])
def test_what_ends_no_record_is_said_in_one_line(text: object) -> None:
    with pytest.raises(MisuseError, match="newline must be what ends a record"):
        parts.separator(text)


@pytest.mark.parametrize("number", [0, -3, "4", 1.5, True])
def test_what_is_no_number_of_parts_is_said_in_one_line(number: object) -> None:
    with pytest.raises(MisuseError, match="obj_chunk_number must be a whole number"):
        parts.chunk_number(number)


@pytest.mark.parametrize(
    ("key", "whole"),
    [("a.csv.gz", True), ("A.GZ", True), ("x.bz2", True), ("x.zst", True), ("gz", False), ("a.csv", False)],
)
def test_compressed_objects_are_known_by_their_names(key: str, whole: bool) -> None:
    assert records.is_compressed(key) is whole
