"""From sound to embeddings: other lengths, shared windows, altered views, the cache."""

import types

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import lfilter

from animal_spot.audio.windows import WindowGrid
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.feature_cache import EmbeddingCache
from animal_spot.data.inspection import inspect_clip
from animal_spot.embeddings.embedding_dataset import ClipEmbedder, EmbeddingDataset
from animal_spot.embeddings.embedding_model import EmbeddingInfo, EmbeddingModel
from animal_spot.embeddings.embedding_pipeline import (
    EmbeddingFeatures,
    EmbeddingPipeline,
    view_of,
    window_starts,
)
from tests.helpers.embeddings import N_SAMPLES, RATE, expected_embedding, write_model
from tests.helpers.prediction import sound

TOLERANCE = 1e-4  # sums of 8000 float32 products, relative


class Recorder:
    """Keeps the windows it is given; the embedding is their first and last sample and their sum."""

    def __init__(self, n_samples: int, rate: int = 10) -> None:
        self.info = EmbeddingInfo("recorder", "ab", "out", 3, n_samples, rate, (0, rate // 2))
        self.windows: list[np.ndarray] = []

    def embed(self, windows):
        self.windows += list(windows)
        assert all(len(w) == self.info.n_samples for w in windows)
        return np.array([[w[0], w[-1], w.sum()] for w in windows], np.float32)


@pytest.mark.parametrize(
    ("n", "window", "starts"),
    [
        pytest.param(30, 30, [0], id="exact"),
        pytest.param(20, 30, [-5], id="short"),
        pytest.param(19, 30, [-5], id="short-odd"),
        pytest.param(31, 30, [0, 1], id="a-sample-more"),
        pytest.param(60, 30, [0, 15, 30], id="twice"),
        pytest.param(70, 30, [0, 15, 30, 40], id="last-one-at-the-end"),
    ],
)
def test_windows_lie_where_the_rule_says(n, window, starts):
    assert window_starts(n, window) == starts


def test_short_sound_is_in_the_middle_of_zeros():
    model = Recorder(10)
    EmbeddingPipeline(model).embed(np.arange(1, 6, dtype=np.float32))
    np.testing.assert_array_equal(model.windows[0], [0, 0, 1, 2, 3, 4, 5, 0, 0, 0])


def test_longer_sound_is_the_mean_of_its_windows():
    model = Recorder(10)
    samples = np.arange(23, dtype=np.float32)
    found = EmbeddingPipeline(model).embed(samples)
    assert [w[0] for w in model.windows] == [0, 5, 10, 13]
    np.testing.assert_allclose(found[:2], [7, 16])


@pytest.mark.parametrize(("ms", "heard"), [(1000, (7, 16)), (2400, (0, 23))], ids=["cut", "whole"])
def test_sequence_len_says_how_much_of_a_clip_is_heard(ms, heard):
    model = Recorder(10)
    EmbeddingPipeline(model).embed_clip(np.arange(24, dtype=np.float32), ms)
    assert model.windows[0][0] == heard[0]
    assert model.windows[-1][-1] == heard[1]


def test_short_clip_gets_zeros_up_to_a_length_of_several_windows():
    model = Recorder(10)
    clip = np.arange(1, 6, dtype=np.float32)
    EmbeddingPipeline(model).embed_clip(clip, 2500)
    padded = np.pad(clip, (10, 10))
    starts = [0, 5, 10, 15]
    np.testing.assert_array_equal(model.windows, [padded[s : s + 10] for s in starts])


@pytest.mark.parametrize(
    ("length", "hop"), [(10, 5), (4, 3), (25, 5), (25, 7)], ids=["one", "short", "long", "odd-hop"]
)
def test_windows_of_a_stretch_are_those_of_each_alone(length, hop):
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(60).astype(np.float32)
    n = (60 - length) // hop + 1
    model = Recorder(10)
    features = EmbeddingFeatures(EmbeddingPipeline(model), WindowGrid(length, hop, 10))
    found = features.of_stretch(samples[: (n - 1) * hop + length], n)
    assert found.shape == (n, 1, 1, 3)
    n_computed = len(model.windows)
    for k in range(n):
        alone = EmbeddingPipeline(model).embed(samples[k * hop : k * hop + length])
        np.testing.assert_allclose(found[k, 0, 0].numpy(), alone, rtol=1e-5, atol=1e-6)
    if (length, hop) == (25, 5):  # starts at 0, 5, 10, 15 and, last, so shared by four
        assert n_computed == 4 + n - 1
    short = features.of_stretch(samples[:3], 1)
    clip = EmbeddingPipeline(model).embed_clip(samples[:3], 100 * length)
    np.testing.assert_allclose(short[0, 0, 0].numpy(), clip)


# -- views ----------------------------------------------------------------------------------------


def test_view_has_the_noise_ratio_that_was_drawn():
    rng = np.random.default_rng(3)
    clip, noise = rng.standard_normal(8000), 3 * rng.standard_normal(5000)
    still = Augmentation(gain_db=(0, 0), snr_db=(6, 6), noise_probability=0.0)
    noisy = Augmentation(gain_db=(0, 0), snr_db=(6, 6))
    clean = view_of(clip, 8000, still, np.random.default_rng(1), [noise])
    moved = view_of(clip, 8000, still, np.random.default_rng(2), [noise])
    assert not np.allclose(clean, moved)
    # The draw of whether noise is mixed in comes after that of the shift: both are moved alike.
    mixed = view_of(clip, 8000, noisy, np.random.default_rng(1), [noise])
    emphasised = [lfilter([1, -0.98], 1, x)[1:] for x in (clean, mixed - clean)]
    ratio = np.square(emphasised[0]).sum() / np.square(emphasised[1]).sum()
    assert 10 * np.log10(ratio) == pytest.approx(6, abs=1e-3)
    silent = view_of(clip, 8000, noisy, np.random.default_rng(1), [np.zeros(50)])
    np.testing.assert_array_equal(silent, clean)
    quiet = Augmentation(gain_db=(-20, -20), noise_probability=0.0)
    np.testing.assert_allclose(
        view_of(clip, 8000, quiet, np.random.default_rng(1)),
        view_of(clip, 8000, Augmentation(gain_db=(0, 0)), np.random.default_rng(1)) / 10,
        rtol=1e-5,
    )


@pytest.mark.parametrize("n", [500, 1000, 3000], ids=["short", "exact", "long"])
def test_view_is_a_part_of_the_clip_moved_by_a_quarter_at_most(n):
    clip = np.zeros(n)
    clip[n // 2] = 1.0
    still = Augmentation(gain_db=(0, 0))
    places = []
    for seed in range(60):
        view = view_of(clip, 1000, still, np.random.default_rng(seed))
        assert view.shape == (1000,)
        places.append(int(view.argmax()))
    assert all(249 <= place <= 751 for place in places)
    assert min(places) < 300
    assert max(places) > 700


# -- clips, and the cache -------------------------------------------------------------------------


@pytest.fixture
def pipeline(tmp_path):
    return EmbeddingPipeline(EmbeddingModel(write_model(tmp_path / "tiny.onnx")))


def clip_of(path, seconds, seed=0):
    sf.write(path, sound(seconds, seed, RATE), RATE, subtype="FLOAT")
    return Sample(path, path.name, inspect_clip(path).digest, 1)


def test_clips_become_items_and_are_embedded_once(pipeline, tmp_path, monkeypatch):
    clips = [clip_of(tmp_path / "a.wav", 0.5), clip_of(tmp_path / "b.wav", 0.3, 1)]
    cache = tmp_path / "cache"
    found = ClipEmbedder(pipeline, 500, cache).embed(clips)
    padded = np.zeros((2, N_SAMPLES))
    padded[0] = sf.read(clips[0].path)[0]
    padded[1, 1600:6400] = sf.read(clips[1].path)[0]
    np.testing.assert_allclose(found, expected_embedding(padded), rtol=TOLERANCE)
    dataset = EmbeddingDataset(clips, found)
    features, label, index = dataset[(3, 1)]
    assert features.shape == (1, 1, found.shape[1])
    assert (label, index, len(dataset)) == (1, 1, 2)
    np.testing.assert_array_equal(features[0, 0].numpy(), found[1])

    def refuse(*_):
        raise AssertionError("computed again")

    again = EmbeddingPipeline(pipeline.model)
    monkeypatch.setattr(pipeline.model, "embed", refuse)
    for clip in clips:
        clip.path.unlink()
    for kept in (again, pipeline):  # from the disk, and from memory
        np.testing.assert_array_equal(ClipEmbedder(kept, 500, cache).embed(clips), found)
    with pytest.raises(ValueError, match=r"a\.wav could be read before"):
        ClipEmbedder(again, 400, cache).embed(clips)  # of another length


def test_views_differ_and_are_repeatable(pipeline, tmp_path):
    clips = [clip_of(tmp_path / "a.wav", 0.5), clip_of(tmp_path / "b.wav", 0.3, 1)]
    embedder = ClipEmbedder(pipeline, 500)
    arguments = (Augmentation(), clips[1:], 5)
    one = embedder.views(clips, 1, *arguments)
    assert one.shape == embedder.embed(clips).shape
    assert np.array_equal(embedder.views(clips, 1, *arguments), one)
    assert not np.allclose(embedder.views(clips, 2, *arguments), one)
    assert not np.allclose(embedder.embed(clips), one)


def test_views_of_several_folds_are_embedded_once_where_they_are_alike(
    pipeline, tmp_path, monkeypatch
):
    """A fold may not mix in noise that it is judged on; the others draw as without folds."""
    clips = [clip_of(tmp_path / f"{i}.wav", 0.5, i) for i in range(12)]
    noise = [clip_of(tmp_path / f"n{i}.wav", 0.5, 100 + i) for i in range(5)]
    augmentation = Augmentation()
    plain = ClipEmbedder(EmbeddingPipeline(pipeline.model), 500)
    whole = plain.views(clips, 1, augmentation, noise, 5)

    n_embedded = 0
    embed = pipeline.model.embed

    def count(windows):
        nonlocal n_embedded
        n_embedded += 1
        return embed(windows)

    monkeypatch.setattr(pipeline.model, "embed", count)
    embedder = ClipEmbedder(EmbeddingPipeline(pipeline.model), 500, tmp_path / "kept")
    assert np.array_equal(embedder.views(clips, 1, augmentation, noise, 5, noise), whole)
    assert n_embedded == 12
    noise[2].path.unlink()
    held_back = [noise[i] for i in (0, 1, 3, 4)]
    fold = embedder.views(clips, 1, augmentation, held_back, 5, noise)
    others = (fold != whole).any(1).sum()
    assert 0 < others < 8, "those that had drawn the clip that is held back"
    assert n_embedded == 12 + others
    again = ClipEmbedder(EmbeddingPipeline(pipeline.model), 500, tmp_path / "kept")
    assert np.array_equal(again.views(clips, 1, augmentation, held_back, 5, noise), fold)
    assert n_embedded == 12 + others, "from the disk"


def test_cache_depends_on_model_and_length(pipeline, tmp_path):
    settings = pipeline.settings(500)
    cache = EmbeddingCache(tmp_path / "cache", settings)
    values = np.arange(5, dtype=np.float32)
    assert cache.get("digest") is None
    cache.put("digest", values)
    np.testing.assert_array_equal(cache.get("digest"), values)
    other = types.SimpleNamespace(
        info=pipeline.model.info.__class__(**{**vars(pipeline.model.info), "sha256": "another"})
    )
    for changed in (EmbeddingPipeline(other).settings(500), pipeline.settings(400)):
        assert EmbeddingCache(tmp_path / "cache", changed).get("digest") is None
    path = cache.path_of("digest")
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.get("digest") is None
