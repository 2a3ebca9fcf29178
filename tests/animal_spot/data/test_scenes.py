"""Windows that hold parts of calls, against what lies in them by the frames that were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.call_finder import Calls
from animal_spot.data.clip_dataset import ClipDataset, Sample
from animal_spot.data.holes import has_holes, lay_under
from animal_spot.data.scene_limits import SceneLimits
from animal_spot.data.scene_shares import SceneWeights, class_weights
from animal_spot.data.scenes import Clip, SceneMaker
from tests.helpers.clips import make_corpus

STILL = Augmentation(gain_db=(0, 0), pitch=(1, 1), stretch=(1, 1), snr_db=(60, 60))
SIGNAL = SignalConfig(
    sr=16000, n_fft=256, hop_length=160, fmin=200, fmax=7000, n_freq_bins=32, min_max_norm=False
)
N_FRAMES = 100
CALL = slice(20, 60)


class Seen(SpectrogramPipeline):
    """Keeps the power of which a network input is made."""

    def finish_clip(self, compressed, n_frames, position=0.5):
        self.window = compressed.clone()
        return super().finish_clip(compressed, n_frames, position)


def clip_of(pipeline: SpectrogramPipeline, call: slice = CALL, bins=slice(40, 60)) -> Clip:
    """A clip of weak noise with a call in some bins, known frame by frame."""
    rng = np.random.default_rng(0)
    power = 1e-6 * rng.standard_exponential((N_FRAMES, 129)).astype(np.float32)
    power[call, bins] += 1e-2
    salience = np.zeros(N_FRAMES)
    salience[call] = 20.0
    low, high = pipeline.band_limits(for_pitch_shift=True)
    band = PowerBand(power[:, low:high], low, 129, 1e-6)
    return Clip(band, Calls(((call.start, call.stop),), salience))


def loud_frames(window: torch.Tensor) -> int:
    return int((window.max(1).values > 1e-3).sum())


def make(
    limits: SceneLimits, seed: int, noise: PowerBand | None = None, second: Clip | None = None
):
    pipeline = Seen(SIGNAL)
    maker = SceneMaker(pipeline, N_FRAMES, STILL, limits)
    draw = None if noise is None else lambda: noise
    drawn = None if second is None else lambda: second
    features, shares = maker.make(clip_of(pipeline), np.random.default_rng(seed), draw, drawn)
    assert features.shape == (1, N_FRAMES, 32)
    return pipeline.window, shares


def test_share_is_that_of_the_call_in_the_window_and_all_shares_come():
    shares = []
    for seed in range(60):
        window, (share,) = make(SceneLimits(partial=1.0), seed)
        assert share == pytest.approx(loud_frames(window) / 40)
        assert (window.sum(1) > 0).all(), "silence in the window"
        shares.append(share)
    assert {0.0, 1.0} < set(shares)
    assert sum(0 < share < 1 for share in shares) > 10


def test_what_a_clip_lacks_is_filled_by_noise_where_there_is_some():
    noise = PowerBand(np.full((30, 129), 1e-4, np.float32), 0, 129, 1e-4)
    for seed in range(20):
        window, (share,) = make(SceneLimits(partial=1.0), seed, noise)
        assert float(window.min()) > 0
        assert (share > 0) == (loud_frames(window) > 0)


def test_a_window_that_is_not_partial_is_the_clip():
    window, shares = make(SceneLimits(mix=0.5), seed=1)
    assert shares == [1.0]
    assert loud_frames(window) == 40
    torch.testing.assert_close(window, make(SceneLimits(partial=1e-9), seed=5)[0])


def test_a_second_call_is_added_at_its_place():
    pipeline = SpectrogramPipeline(SIGNAL)
    second = clip_of(pipeline, slice(40, 80), slice(90, 110))
    found = []
    for seed in range(30):
        window, (own, other) = make(SceneLimits(mix=1.0), seed, second=second)
        assert own == 1.0
        columns = np.flatnonzero((pipeline.bins >= 90) & (pipeline.bins < 110))
        heard = int((window[:, columns].max(1).values > 1e-4).sum())
        assert other == pytest.approx(heard / 40)
        found.append(other)
    assert 1.0 in found
    assert min(found) < 0.9


@pytest.mark.parametrize(
    ("targets", "shares", "expected"),
    [
        ("soft", [1.0], (1, 0, 0)),
        ("soft", [0.1], (0, 0, 1)),
        ("soft", [0.4], (0.5, 0, 0.5)),
        ("soft", [1.0, 1.0], (0.5, 0.5, 0)),
        ("soft", [0.4, 0.0], (0.5, 0, 0.5)),
        ("soft", [0.0, 0.9], (0, 1, 0)),
        ("soft", [0.4, 1.0], (1 / 3, 2 / 3, 0)),
        ("ignore", [0.4], (0, 0, 0)),
        ("ignore", [0.9, 0.4], (0, 0, 0)),
        ("ignore", [0.9, 0.1], (1, 0, 0)),
        ("ignore", [0.1], (0, 0, 1)),
        ("noise", [0.59], (0, 0, 1)),
        ("noise", [0.6], (1, 0, 0)),
    ],
)
def test_weights_worked_by_hand(targets, shares, expected):
    found = class_weights(shares, SceneLimits(targets=targets), has_noise=True)
    assert (found.own, found.second, found.noise) == pytest.approx(expected)


@pytest.mark.parametrize("targets", ["soft", "ignore", "noise"])
def test_without_a_noise_class_parts_do_not_count(targets):
    limits = SceneLimits(targets=targets)
    for share in (0.0, 0.3, 0.59):
        assert class_weights([share], limits, has_noise=False) == SceneWeights(0, 0, 0)
    assert class_weights([0.7], limits, has_noise=False) == SceneWeights(1, 0, 0)


def test_holes_are_told_from_noise_and_filled():
    rng = np.random.default_rng(0)
    power = rng.standard_exponential((200, 64)).astype(np.float32)
    assert not has_holes(power)
    holed = np.where(rng.random((200, 64)) < 0.05, 0, power).astype(np.float32)
    assert has_holes(holed)
    cut = power.copy()
    cut[150:] = 0
    assert has_holes(cut)
    for under in (None, torch.ones(200, 64)):
        filled = lay_under(torch.from_numpy(cut), under, rng)
        assert float(filled[150:].mean()) > 0.1
        assert float(filled[150:].mean()) < 3
        assert (filled >= torch.from_numpy(cut)).all()
    silent = torch.zeros(20, 8)
    assert torch.equal(lay_under(silent, torch.ones(20, 8), rng), silent)


def test_what_is_drawn_depends_on_seed_clip_and_epoch_only(tmp_path):
    folder = make_corpus(tmp_path, {"a": ["T1", "T2"], "b": ["T3"], "noise": ["T4", "T5"]})
    paths = sorted(folder.rglob("*.wav"))
    labels = {"a": 0, "b": 1, "noise": 2}
    samples = [Sample(p, p.name, p.name, labels[p.parent.name]) for p in paths]

    def dataset() -> ClipDataset:
        return ClipDataset(
            samples,
            SpectrogramPipeline(SIGNAL),
            40,
            augmentation=Augmentation(),
            noise=samples[3:],
            scenes=SceneLimits(partial=0.7, mix=0.5, fill_holes=0.5),
            noise_label=2,
        )

    first, other = dataset(), dataset()
    keys = [(epoch, i) for epoch in range(4) for i in range(5)]
    here = {key: first[key] for key in keys}
    there = {key: other[key] for key in reversed(keys)}
    for key in keys:
        for mine, yours in zip(here[key], there[key], strict=True):
            assert torch.equal(torch.as_tensor(mine), torch.as_tensor(yours))
    assert not torch.equal(here[0, 0][0], here[1, 0][0])
    assert all(torch.equal(here[e, i][3], torch.tensor([1.0, 0, 0])) for e, i in keys if i > 2)
    assert all(
        Path(samples[here[key][4]].path).parent.name != "noise" for key in keys if key[1] < 3
    )
