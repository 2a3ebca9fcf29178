"""audio/sections.py: every window in one section, with all that its numbers depend on."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.audio import sections
from animal_spot.audio.recordings import StreamResampler
from animal_spot.audio.sections import SECTION_S, WHOLE, sections_of
from animal_spot.audio.windows import WindowCutter, WindowGrid


@given(
    length=st.floats(0.1, 5),
    hop=st.floats(0.05, 5),
    rate=st.sampled_from([8000, 22_050, 48_000, 250_000]),
    other=st.sampled_from([16_000, 44_100, 48_000]),
    hours=st.floats(0.001, 30),
    last_window=st.booleans(),
)
def test_every_window_lies_in_one_section(length, hop, rate, other, hours, last_window):
    n_frames = round(hours * 3600 * rate)
    grids = [
        WindowGrid.of_seconds(length, hop, sr, last_window=last_window) for sr in (rate, other)
    ]
    found = sections_of(grids[:1], rate, n_frames)
    n_windows = grids[0].n_windows(n_frames)
    ends = [section.end_window for section in found[:-1]] + [n_windows]
    assert [section.first_window for section in found] == [0, *ends[:-1]]
    assert found[-1].end_window is found[-1].end_s is None
    assert (found == [WHOLE]) == (len(found) == 1)
    for section, end in zip(found, ends, strict=True):
        (first,), _ = grids[0].extents(section.first_window, 1, n_frames)
        _, (last,) = grids[0].extents(end - 1, 1, n_frames)
        assert section.start_s == 0 or section.start_s <= first / rate - 2
        assert section.end_s is None or section.end_s >= (last + 1) / rate + 2
        if len(found) > 1:
            seconds = (end - section.first_window) * grids[0].hop / rate
            assert SECTION_S / 2 - 10 <= seconds < 1.5 * SECTION_S + 10
    for one, both in zip(found, sections_of(grids, rate, n_frames), strict=True):
        assert both.start_s <= one.start_s, "of two networks, the one that needs more"
        assert None in (one.end_s, both.end_s) or both.end_s >= one.end_s


def test_what_is_not_long_stays_whole():
    grid = WindowGrid.of_seconds(3, 0.5, 48_000)
    assert sections_of([grid], 96_000, 96_000 * 2700) == [WHOLE]
    assert len(sections_of([grid], 96_000, 96_000 * 2703)) == 2
    assert len(sections_of([grid], 96_000, 96_000 * 3600)) == 2
    assert len(sections_of([grid], 96_000, 96_000 * 3600 * 24)) == 48


@pytest.mark.parametrize("n_at_once", [1, 4, 50])
@pytest.mark.parametrize("last_window", [False, True])
def test_a_section_is_cut_as_the_whole_is(n_at_once, last_window, monkeypatch):
    monkeypatch.setattr(sections, "SECTION_S", 3.0)
    grid = WindowGrid(50, 40, 100, last_window=last_window)
    samples = np.arange(3011, dtype=np.float32)  # each says where it is from
    found = []
    for section in sections_of([grid], 100, len(samples)):
        start = section.start_s * 100
        fed = samples[start : None if section.end_s is None else section.end_s * 100]
        cutter = WindowCutter(grid, n_at_once, section.first_window, section.end_window, start)
        stretches = [
            s for block in np.split(fed, 7 * [0] + [len(fed) // 2]) for s in cutter.feed(block)
        ]
        counts = cutter.window_counts if section.end_window is None else (section.end_window, False)
        stretches += cutter.finish(*counts)
        assert max(n for _, n in stretches) <= n_at_once
        for stretch, n in stretches:
            found += [stretch[i * 40 : i * 40 + 50].tolist() for i in range(n)]
    first, last = grid.extents(0, grid.n_windows(len(samples)), len(samples))
    assert found == [samples[a : b + 1].tolist() for a, b in zip(first, last, strict=True)]


@pytest.mark.parametrize(
    ("rate", "to"), [(48_000, 44_100), (44_100, 48_000), (250_000, 8000), (8000, 100)]
)
def test_a_resampler_that_begins_has_settled_by_the_first_window(rate, to, monkeypatch):
    monkeypatch.setattr(sections, "SECTION_S", 5.0)
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 20 * rate).astype(np.float32)
    whole = soxr.resample(samples, rate, to, quality="HQ")
    grid = WindowGrid.of_seconds(1, 0.5, to)
    section = sections_of([grid], rate, len(samples))[1]
    assert (section.start_s, section.end_s) == (3, 13)
    stream = StreamResampler(rate, to)
    found = stream.feed(samples[3 * rate : 13 * rate])
    found = np.concatenate([found, stream.finish()])
    assert len(found) == 10 * to
    off = np.abs(found - whole[3 * to : 13 * to])
    assert off[2 * to : -2 * to].max() < 1e-6
    assert off.max() > 1e-3, "its begin is what the margin is for"
