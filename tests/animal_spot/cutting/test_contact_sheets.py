"""Pages of pictures: which clips are on them, and what a picture shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.cutting.contact_sheets import choose_evenly, spectrogram
from animal_spot.cutting.plan import ClipPlan
from animal_spot.cutting.report import CorpusClip


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 48))
def test_clips_are_chosen_evenly_over_recordings(counts, n):
    clips = [
        CorpusClip(ClipPlan("a", Path(f"r{i}"), k, k + 1), f"{i}_{k}.wav", 8000, is_new=True)
        for i, count in enumerate(counts)
        for k in range(count)
    ]
    chosen = choose_evenly(clips, n)
    assert len(chosen) == len({clip.file for clip in chosen}) == min(n, len(clips))
    shares = Counter(clip.plan.source for clip in chosen)
    most = max(shares.values())
    for i, count in enumerate(counts):
        assert shares[Path(f"r{i}")] >= min(count, most - 1)


@pytest.mark.parametrize("rate", [2000, 44_100, 384_000])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_tone_lies_at_its_frequency(rate, share):
    top_hz = rate / 4
    time = np.arange(rate // 2) / rate
    picture = spectrogram(np.sin(2 * np.pi * share * top_hz * time), rate, top_hz)
    n_bins, n_times = picture.shape
    assert n_bins >= 32
    assert 50 < n_times <= 200
    loudest = picture[:, n_times // 2].argmax() / (n_bins - 1)
    assert loudest == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("n_samples", [1, 2, 15, 100])
def test_very_short_clips_can_be_drawn(n_samples):
    assert np.isfinite(spectrogram(np.ones(n_samples, np.float32), 8000, 4000)).all()
