from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import BandReader, ClipDataset, EpochSampler, Sample, make_loader
from animal_spot.data.inspection import inspect_clip
from animal_spot.data.labels import find_clip_paths
from tests.helpers.clips import make_corpus

N_FRAMES = 40
TAPES = ["T1", "T2", "T3", "T4", "T5"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("clips"), {"A": TAPES, "B": TAPES})


@pytest.fixture(scope="module")
def samples(corpus) -> list[Sample]:
    return [
        Sample(corpus / p, p, inspect_clip(corpus / p).digest, int(p.startswith("B")))
        for p in find_clip_paths(corpus)
    ]


@pytest.fixture(scope="module")
def pipeline() -> SpectrogramPipeline:
    return SpectrogramPipeline(SignalConfig(sr=22050, n_fft=256, hop_length=100, n_freq_bins=16))


def dataset_of(samples, pipeline, n_frames=N_FRAMES, **options) -> ClipDataset:
    return ClipDataset(samples, pipeline, n_frames, **options)


def items(dataset, *, epoch=0, n_workers=0, batch_size=4, shuffle=False) -> dict[int, tuple]:
    sampler = EpochSampler(len(dataset), batch_size, shuffle=shuffle, drop_last=False, seed=0)
    sampler.start_at(epoch)
    loader = make_loader(dataset, sampler, n_workers=n_workers, pin_memory=False)
    return {
        int(index): (features, int(label))
        for batch in loader
        for features, label, index in zip(*batch, strict=True)
    }


def same(a: dict[int, tuple], b: dict[int, tuple]) -> bool:
    return a.keys() == b.keys() and all(
        a[i][1] == b[i][1] and torch.equal(a[i][0], b[i][0]) for i in a
    )


@pytest.mark.parametrize("compression", ["linear", "mel"])
def test_item_does_not_depend_on_workers_batches_or_order(samples, compression):
    pipeline = SpectrogramPipeline(
        SignalConfig(
            sr=22050, n_fft=256, hop_length=100, n_freq_bins=16, freq_compression=compression
        )
    )
    options = {"augmentation": Augmentation(), "noise": samples[:3], "seed": 5}
    reference = items(dataset_of(samples, pipeline, **options))
    assert len(reference) == len(samples)
    for n_workers, batch_size, shuffle in (
        (1, 3, True),
        (2, 2, False),
        (0, 1, True),
        (0, 99, False),
    ):
        again = items(
            dataset_of(samples, pipeline, **options),
            n_workers=n_workers,
            batch_size=batch_size,
            shuffle=shuffle,
        )
        assert same(reference, again), (n_workers, batch_size)


def test_item_does_not_depend_on_the_number_of_threads(samples, pipeline):
    dataset = dataset_of(samples, pipeline, augmentation=Augmentation(), noise=samples)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        features = dataset[(0, 3)][0]
        assert torch.get_num_threads() == 2, "the setting was not put back"
    finally:
        torch.set_num_threads(before)
    assert torch.equal(features, dataset[(0, 3)][0])


def test_augmented_item_depends_on_seed_and_epoch(samples, pipeline):
    first = dataset_of(samples, pipeline, augmentation=Augmentation(), seed=0)
    other_seed = dataset_of(samples, pipeline, augmentation=Augmentation(), seed=1)
    item = first[(0, 0)][0]
    assert torch.equal(item, first[(0, 0)][0])
    assert not torch.equal(item, first[(1, 0)][0])
    assert not torch.equal(item, other_seed[(0, 0)][0])


def test_plain_item_is_the_same_in_every_epoch_and_has_its_label(samples, pipeline):
    dataset = dataset_of(samples, pipeline)
    for index in range(len(samples)):
        features, label, returned = dataset[(0, index)]
        assert torch.equal(features, dataset[(7, index)][0])
        assert (label, returned) == (samples[index].label, index)
        assert tuple(features.shape) == (1, N_FRAMES, 16)


def test_items_with_and_without_cache_are_nearly_equal(samples, pipeline, tmp_path):
    plain = dataset_of(samples, pipeline)
    kept = dataset_of(samples, pipeline, cache_dir=tmp_path)
    for index in range(3):
        written = kept[(0, index)][0]
        assert torch.equal(written, kept[(0, index)][0]), "first and second reading differ"
        assert float((written - plain[(0, index)][0]).abs().max()) < 1e-4
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("n_frames", [10, 64, 65, 200], ids=str)
@pytest.mark.parametrize("augmentation", [None, Augmentation()], ids=["plain", "augmented"])
def test_item_has_the_length_asked_for(samples, pipeline, n_frames, augmentation):
    dataset = dataset_of(samples, pipeline, n_frames, augmentation=augmentation)
    features = dataset[(0, 0)][0]
    assert tuple(features.shape) == (1, n_frames, 16)
    if augmentation is None:
        n_clip = 1 + (6615 - 256) // 100  # 0.3 s at 22050 Hz
        expected = min(n_clip, n_frames)
        rows = features[0].sum(1).nonzero().flatten()
        assert len(rows) == expected
        assert int(rows[0]) == max(0, (n_frames - n_clip) // 2)


def test_clip_shorter_than_a_frame_is_usable(tmp_path, write_wav, pipeline):
    path = write_wav(tmp_path / "x.wav", np.full(50, 0.3), 22050)
    sample = Sample(path, "x.wav", inspect_clip(path).digest, 0)
    for augmentation in (None, Augmentation()):
        features = dataset_of([sample], pipeline, augmentation=augmentation)[(0, 0)][0]
        assert tuple(features.shape) == (1, N_FRAMES, 16)
        assert features.isfinite().all()


def test_all_noise_clips_are_used(samples, pipeline, monkeypatch):
    seen, read = set(), BandReader.read
    monkeypatch.setattr(
        BandReader, "read", lambda self, *clip: seen.add(clip[1]) or read(self, *clip)
    )
    dataset = dataset_of(samples[:4], pipeline, augmentation=Augmentation(), noise=samples[4:8])
    for epoch in range(12):
        for index in range(4):
            dataset[(epoch, index)]
    assert seen == {s.digest for s in samples[:8]}


def test_silent_noise_leaves_numbers(samples, pipeline, tmp_path, write_wav):
    path = write_wav(tmp_path / "n.wav", np.zeros(4000), 22050)
    silence = Sample(path, "n.wav", inspect_clip(path).digest, -1)
    dataset = dataset_of(samples, pipeline, augmentation=Augmentation(), noise=[silence])
    assert all(dataset[(e, 0)][0].isfinite().all() for e in range(5))


# -- order --------------------------------------------------------------------------------------


def sampler_of(n=10, batch=3, shuffle=True, drop_last=False, seed=0) -> EpochSampler:
    return EpochSampler(n, batch, shuffle=shuffle, drop_last=drop_last, seed=seed)


def order(sampler, epoch=0, first_batch=0) -> list[list[tuple[int, int]]]:
    sampler.start_at(epoch, first_batch)
    return list(sampler)


def test_order_depends_on_seed_and_epoch_alone():
    first = order(sampler_of())
    assert first == order(sampler_of())
    assert [i for b in first for _, i in b] != [i for b in order(sampler_of(), 1) for _, i in b]
    assert first != order(sampler_of(seed=1))
    sampler = sampler_of()
    order(sampler, 4)
    assert order(sampler, 0) == first, "an earlier epoch has left its mark"


def test_every_clip_comes_once_with_its_epoch():
    for shuffle in (False, True):
        batches = order(sampler_of(shuffle=shuffle), epoch=6)
        assert [len(b) for b in batches] == [3, 3, 3, 1]
        assert sorted(i for b in batches for _, i in b) == list(range(10))
        assert {epoch for b in batches for epoch, _ in b} == {6}


def test_without_shuffling_the_order_is_that_of_the_samples():
    assert [i for b in order(sampler_of(shuffle=False), 3) for _, i in b] == list(range(10))


@pytest.mark.parametrize(
    ("n", "batch", "drop_last", "expected"),
    [
        pytest.param(10, 3, True, [3, 3, 3], id="rest-dropped"),
        pytest.param(9, 3, True, [3, 3, 3], id="no-rest"),
        pytest.param(5, 8, True, [5], id="fewer-than-a-batch"),
        pytest.param(5, 8, False, [5], id="fewer-than-a-batch-kept"),
    ],
)
def test_last_partial_batch(n, batch, drop_last, expected):
    sampler = sampler_of(n, batch, drop_last=drop_last)
    assert [len(b) for b in order(sampler)] == expected
    assert len(sampler) == len(expected)


@pytest.mark.parametrize("first_batch", [0, 1, 3, 4])
def test_resumed_epoch_leaves_out_the_batches_that_are_done(first_batch):
    whole = order(sampler_of(), 2)
    assert order(sampler_of(), 2, first_batch) == whole[first_batch:]
