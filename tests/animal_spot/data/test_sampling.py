from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.utils.class_weight import compute_sample_weight

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, Sample, make_loader
from animal_spot.data.inspection import inspect_clip
from animal_spot.data.labels import find_clip_paths
from animal_spot.data.sampling import class_factors, draw_probabilities
from tests.helpers.clips import clip_name, make_corpus


def clips_of(*groups: tuple[int, str | None, int]) -> list[Sample]:
    """Return samples of ``(label, tape, number of clips)``; tape None: a name without one."""
    samples = []
    for label, tape, n in groups:
        for _ in range(n):
            number = len(samples)
            name = clip_name("AB"[label], number, tape) if tape else f"{'AB'[label]}-{number}.wav"
            samples.append(Sample(Path(name), name, str(number), label, tape=tape))
    return samples


def share_of(samples: list[Sample], probabilities: np.ndarray, text: str) -> float:
    return sum(p for s, p in zip(samples, probabilities, strict=True) if text in s.name)


# -- factors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "counts", "boost", "expected"),
    [
        pytest.param("inverse_freq", [80, 20], 1.5, [0.25, 1], id="inverse"),
        pytest.param("sqrt_inverse_freq", [80, 20], 1.5, [0.5, 1], id="square-root"),
        pytest.param("effective_num", [2, 1], 1.5, [1 / 1.9999, 1], id="effective"),
        # 4 of 100 clips are less than a twentieth, 5 are not
        pytest.param("inverse_freq", [96, 4], 2.0, [1 / 48, 1], id="rare-class-boosted"),
        pytest.param("inverse_freq", [95, 5], 2.0, [1 / 19, 1], id="not-rare-enough"),
        pytest.param("sqrt_inverse_freq", [1] * 21, 2.0, [1] * 21, id="all-rare-cancels-out"),
    ],
)
def test_factors_follow_the_formulas_with_the_largest_at_one(strategy, counts, boost, expected):
    assert class_factors(np.array(counts), strategy, boost) == pytest.approx(expected)


# -- probabilities --------------------------------------------------------------------------------


def test_inverse_frequency_is_the_balance_of_scikit_learn():
    samples = clips_of((0, "T1", 40), (1, "T2", 10))
    expected = compute_sample_weight("balanced", [s.label for s in samples])
    probabilities = draw_probabilities(samples, 2, strategy="inverse_freq")
    assert probabilities == pytest.approx(expected / expected.sum())
    assert probabilities[:40].sum() == pytest.approx(0.5)


def test_square_root_lies_between_the_clips_shares_and_balance():
    """A class with a share proportional to n / sqrt(n) = sqrt(n): 8 to 4, not 64 to 16."""
    samples = clips_of((0, "T1", 64), (1, "T2", 16))
    probabilities = draw_probabilities(samples, 2, strategy="sqrt_inverse_freq")
    assert probabilities[:64].sum() == pytest.approx(8 / 12)


def test_long_recording_does_not_own_its_class():
    samples = clips_of((0, "LONG", 90), (0, "SHORT", 10), (1, "LONG", 30), (1, "X", 20))
    without = draw_probabilities(samples, 2, strategy="inverse_freq")
    balanced = draw_probabilities(samples, 2, strategy="inverse_freq", balance_tapes=True)
    assert share_of(samples, without, "A-call") == pytest.approx(0.5)
    assert share_of(samples, balanced, "A-call") == pytest.approx(0.5), "classes are as before"
    for tape in ("LONG", "SHORT"):
        of_class_a = [f"A-call_{i}_2020_{tape}_" for i in range(100)]
        share = sum(share_of(samples, balanced, text) for text in of_class_a)
        assert share == pytest.approx(0.25), tape
    assert np.unique(balanced[:90]).size == 1, "clips of a tape are alike"
    assert balanced[90] / balanced[0] == pytest.approx(9)
    assert balanced.sum() == pytest.approx(1)


def test_clip_without_tape_is_a_tape():
    samples = clips_of((0, "T1", 6), (0, None, 2), (1, "T2", 1))
    probabilities = draw_probabilities(samples, 2, strategy="inverse_freq", balance_tapes=True)
    assert probabilities == pytest.approx([1 / 36] * 6 + [1 / 6] * 2 + [1 / 2])


# -- drawing --------------------------------------------------------------------------------------

PROBABILITIES = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])


def sampler_of(probabilities=PROBABILITIES, batch=2, seed=0) -> EpochSampler:
    return EpochSampler(
        len(probabilities),
        batch,
        shuffle=True,
        drop_last=True,
        seed=seed,
        probabilities=probabilities,
    )


def keys(sampler: EpochSampler, epoch: int, first_batch: int = 0) -> list[tuple[int, ...]]:
    sampler.start_at(epoch, first_batch)
    return [key for batch in sampler for key in batch]


def test_clips_are_drawn_as_often_as_they_should_be():
    sampler = sampler_of()
    drawn = Counter(i for epoch in range(2000) for _, i, _ in keys(sampler, epoch))
    n_draws = 2000 * len(PROBABILITIES)
    assert sum(drawn.values()) == n_draws
    observed = [drawn[i] for i in range(len(PROBABILITIES))]
    assert chisquare(observed, n_draws * PROBABILITIES).pvalue > 0.001


def test_draws_depend_on_seed_and_epoch_alone():
    probabilities = np.full(50, 0.02)
    first = keys(sampler_of(probabilities), 3)
    used = sampler_of(probabilities)
    keys(used, 7)
    assert keys(used, 3) == first, "an earlier epoch has left its mark"
    assert keys(sampler_of(probabilities, batch=5), 3) == first
    assert [k[1] for k in keys(used, 4)] != [k[1] for k in first]
    assert keys(sampler_of(probabilities, seed=1), 3) != first


@pytest.mark.parametrize("first_batch", [0, 1, 9, 25])
def test_resumed_epoch_leaves_out_the_draws_that_are_done(first_batch):
    probabilities = np.linspace(1, 5, 50) / 150
    whole = keys(sampler_of(probabilities), 2)
    assert keys(sampler_of(probabilities), 2, first_batch) == whole[2 * first_batch :]


def test_repeats_are_numbered():
    drawn: Counter[int] = Counter()
    for epoch, index, n_before in keys(sampler_of(), 5):
        assert epoch == 5
        assert n_before == drawn[index]
        drawn[index] += 1
    assert max(drawn.values()) > 1


def test_epoch_is_as_long_as_without_weights_and_drops_its_rest():
    sampler = EpochSampler(
        7, 3, shuffle=True, drop_last=True, seed=0, probabilities=np.full(7, 1 / 7)
    )
    assert [len(batch) for batch in sampler] == [3, 3]
    assert len(sampler) == 2


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ClipDataset:
    corpus = make_corpus(tmp_path_factory.mktemp("clips"), {"A": ["T1", "T2"], "B": ["T3"]})
    samples = [
        Sample(corpus / p, p, inspect_clip(corpus / p).digest, int(p.startswith("B")))
        for p in find_clip_paths(corpus)
    ]
    signal = SignalConfig(sr=22050, n_fft=256, hop_length=100, n_freq_bins=16)
    return ClipDataset(samples, SpectrogramPipeline(signal), 40, augmentation=Augmentation())


def test_clip_that_comes_again_is_augmented_anew(dataset):
    first = dataset[(2, 0)][0]
    assert torch.equal(first, dataset[(2, 0, 0)][0]), "the first time is as without weights"
    again = dataset[(2, 0, 1)][0]
    assert not torch.equal(first, again)
    assert torch.equal(again, dataset[(2, 0, 1)][0])
    assert not torch.equal(again, dataset[(3, 0, 1)][0])


def test_batches_do_not_depend_on_the_workers(dataset):
    def batches(n_workers: int) -> list[torch.Tensor]:
        sampler = sampler_of(np.array([0.1, 0.1, 0.8]), batch=3)
        sampler.start_at(4)
        loader = make_loader(dataset, sampler, n_workers=n_workers, pin_memory=False)
        return [part for batch in loader for part in batch]

    alone, with_two = batches(0), batches(2)
    assert len(alone) == 3
    assert all(torch.equal(a, b) for a, b in zip(alone, with_two, strict=True))
