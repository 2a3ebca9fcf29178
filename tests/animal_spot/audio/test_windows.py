import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.audio.windows import WindowCutter, WindowGrid
from tests.helpers.prediction import window_limits

grids = st.builds(
    WindowGrid,
    length=st.integers(1, 60),
    hop=st.integers(1, 80),  # also longer than a window: gaps between windows
    sample_rate=st.just(1000),
    last_window=st.booleans(),
)


@pytest.mark.parametrize(
    ("sequence_len", "hop", "rate", "expected"),
    [
        pytest.param(0.5, 0.25, 44100, (22050, 11025), id="whole"),
        pytest.param(0.4, 0.1, 44100, (17640, 4410), id="golden-multi"),
        pytest.param(0.25, 0.125, 11025, (2757, 1379), id="rounded-up"),
        pytest.param(2, 1, 96000, (192000, 96000), id="integers"),
    ],
)
def test_seconds_are_rounded_up_to_samples(sequence_len, hop, rate, expected):
    grid = WindowGrid.of_seconds(sequence_len, hop, rate)
    assert (grid.length, grid.hop, grid.sample_rate) == (*expected, rate)


@given(grids, st.integers(1, 3000))
def test_windows_lie_where_the_formulas_say(grid, n_samples):
    wanted = window_limits(n_samples, grid.length, grid.hop, last_window=grid.last_window)
    assert grid.n_windows(n_samples) == len(wanted)
    first, last = grid.extents(0, len(wanted), n_samples)
    assert list(zip(first, last, strict=True)) == wanted


@given(grids, st.integers(1, 3000), st.data())
def test_extents_of_a_part_are_a_part_of_the_extents(grid, n_samples, data):
    n = grid.n_windows(n_samples)
    start = data.draw(st.integers(0, n - 1))
    count = data.draw(st.integers(1, n - start))
    whole = list(zip(*grid.extents(0, n, n_samples), strict=True))
    part = list(zip(*grid.extents(start, count, n_samples), strict=True))
    assert part == whole[start : start + count]


@given(grids, st.integers(1, 3000))
def test_last_window_covers_the_tail(grid, n_samples):
    grid = WindowGrid(grid.length, grid.hop, grid.sample_rate, last_window=True)
    first, last = grid.extents(0, grid.n_windows(n_samples), n_samples)
    assert last[-1] == n_samples - 1
    if n_samples >= grid.length:
        assert all(b - a + 1 == grid.length for a, b in zip(first, last, strict=True))
    plain = WindowGrid(grid.length, grid.hop, grid.sample_rate)
    assert grid.n_windows(n_samples) - plain.n_windows(n_samples) in (0, 1)


@pytest.mark.parametrize(
    ("n_samples", "count", "last"),
    [
        pytest.param(270333, 23, (242550, 264599), id="golden-binary"),
        pytest.param(22050, 1, (0, 22049), id="one-exactly"),
        pytest.param(22051, 1, (0, 22049), id="one-sample-more"),
        pytest.param(33074, 1, (0, 22049), id="just-too-short-for-two"),
        pytest.param(33075, 2, (11025, 33074), id="two-exactly"),
        pytest.param(100, 1, (0, 99), id="short"),
    ],
)
def test_counts_worked_by_hand(n_samples, count, last):
    grid = WindowGrid(22050, 11025, 44100)
    assert grid.n_windows(n_samples) == count
    first, end = grid.extents(count - 1, 1, n_samples)
    assert (first[0], end[0]) == last


def test_seconds_have_three_decimals_and_are_python_floats():
    grid = WindowGrid(22050, 11025, 44100)
    found = grid.rounded_s([0, 11025, 22049, 1, 264599])
    assert found == [0.0, 0.25, 0.5, 0.0, 6.0]
    assert [str(value) for value in found] == ["0.0", "0.25", "0.5", "0.0", "6.0"]


def cut(grid, n_at_once, samples, block_sizes):
    """Feed samples in blocks; return the stretches."""
    cutter = WindowCutter(grid, n_at_once)
    stretches, position = [], 0
    for size in block_sizes:
        stretches += cutter.feed(samples[position : position + size])
        position += size
    stretches += cutter.feed(samples[position:])
    return stretches + list(cutter.finish(*cutter.window_counts))


blocks = st.lists(st.integers(0, 400), max_size=30)


@given(grids, st.integers(1, 9), st.integers(1, 3000), blocks)
def test_stretches_hold_the_samples_of_the_windows(grid, n_at_once, n_samples, block_sizes):
    samples = np.arange(n_samples, dtype=np.float32)  # each sample says where it is from
    stretches = cut(grid, n_at_once, samples, block_sizes)
    found = []
    for stretch, n in stretches:
        for i in range(n):
            window = stretch[i * grid.hop : i * grid.hop + grid.length]
            assert (np.diff(window) == 1).all()
            found.append((int(window[0]), int(window[-1])))
    wanted = window_limits(n_samples, grid.length, grid.hop, last_window=grid.last_window)
    assert found == wanted
    assert all(n >= 1 for _, n in stretches)


@given(grids, st.integers(1, 9), st.integers(1, 3000), blocks)
def test_stretches_do_not_depend_on_the_blocks(grid, n_at_once, n_samples, block_sizes):
    samples = np.arange(n_samples, dtype=np.float32)
    found = cut(grid, n_at_once, samples, block_sizes)
    # One sample at a time is the finest there is; the reference for all others.
    wanted = cut(grid, n_at_once, samples, [1] * n_samples)
    assert [n for _, n in found] == [n for _, n in wanted]
    for (a, _), (b, _) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@given(grids, st.integers(1, 9), blocks)
def test_full_stretches_come_as_soon_as_they_can(grid, n_at_once, block_sizes):
    cutter = WindowCutter(grid, n_at_once)
    n_fed = n_windows = 0
    for size in block_sizes:
        for _, n in cutter.feed(np.zeros(size, np.float32)):
            assert n == n_at_once
            n_windows += n
        n_fed += size
        possible = math.floor((n_fed - grid.length) / grid.hop) + 1 if n_fed >= grid.length else 0
        assert n_windows == possible // n_at_once * n_at_once


@pytest.mark.parametrize("hop", [20, 60], ids=["overlap", "gaps"])
def test_a_long_stream_is_not_kept(hop):
    """What is held is bounded: one stretch, one block and a hop, however long the stream is."""
    grid = WindowGrid(50, hop, 1000, last_window=True)
    cutter = WindowCutter(grid, 4)
    held = []
    for _ in range(300):
        for _ in cutter.feed(np.zeros(170, np.float32)):
            pass
        held.append(sum(len(part) for part in vars(cutter)["_parts"]))
    assert max(held) <= 3 * hop + 50 + 170 + 2 * hop
