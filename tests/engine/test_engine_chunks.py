"""Chunk sizes: properties that hold for every job."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lithops_magic.engine.dispatch.chunk_size import (
    GROWTH,
    LATE_RATE,
    MAX_TASKS,
    MIN_SECONDS,
    RATE,
    REPLY_TARGET,
    TARGET_SECONDS,
    ChunkSize,
)

SECONDS = st.floats(1e-6, 900)


def test_the_first_tasks_travel_alone() -> None:
    assert ChunkSize(None, 1000).size(10**6, 10) == 1


@given(st.integers(1, 10**6), st.integers(1, 1000), st.integers(0, 10**6), SECONDS)
def test_a_size_that_was_asked_for_is_kept(fixed: int, workers: int, remaining: int, seconds: float) -> None:
    chunks = ChunkSize(fixed, 1000)
    chunks.observe(1, seconds, 100)
    assert chunks.size(remaining, workers) == fixed


@given(st.lists(SECONDS, min_size=1), st.none() | st.integers(0, 10**7), st.integers(1, 10_000))
def test_a_chunk_is_never_empty_and_grows_stepwise(times: list[float], remaining: int | None, workers: int) -> None:
    chunks = ChunkSize(None, 10**6)
    size, measured = 1, 0
    for seconds in times:
        chunks.observe(size, seconds * size, 100)
        measured += size
        size = chunks.size(remaining, workers)
        assert 1 <= size <= min(MAX_TASKS, measured * GROWTH)


@given(SECONDS, st.integers(0, 10**6), st.integers(1, 1000))
def test_work_per_chunk_is_bounded_and_shrinks_towards_the_end(seconds: float, remaining: int, workers: int) -> None:
    chunks = ChunkSize(None, 10**6)
    chunks.observe(MAX_TASKS, seconds * MAX_TASKS, 100)
    size = chunks.size(remaining, workers)
    assert size == 1 or size * seconds <= max(TARGET_SECONDS, workers / RATE) * 1.001
    least = max(MIN_SECONDS, workers / LATE_RATE)
    assert size * workers <= max(remaining, workers) or size * seconds <= least * 1.001 or size == 1
    assert chunks.size(remaining // 2, workers) <= size


@given(st.integers(1, 6_000_000))
def test_large_results_make_small_chunks(reply_bytes: int) -> None:
    chunks = ChunkSize(None, 10**6)
    chunks.observe(MAX_TASKS, 1e-6, reply_bytes * MAX_TASKS)
    assert chunks.size(None, 1) * reply_bytes <= max(REPLY_TARGET, reply_bytes)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=50))
def test_a_request_is_filled_and_never_overfilled(sizes: list[int]) -> None:
    count = ChunkSize(None, 1000).fit(sizes)
    used = sum(sizes[:count]) + count - 1
    assert count >= 1
    assert used <= 1000 or count == 1
    assert count == len(sizes) or used + 1 + sizes[count] > 1000
