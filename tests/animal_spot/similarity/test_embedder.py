"""Vectors of recordings and of stretches: the same sound, the same vector."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
import torch

from animal_spot.audio.recordings import RecordingError
from animal_spot.model_files.model_file import save_model
from animal_spot.similarity.building import bring_up_to_date
from animal_spot.similarity.embedder import open_embedder
from animal_spot.similarity.index import IndexFile
from animal_spot.similarity.latent_tables import LatentTables
from tests.helpers.embeddings import FREQUENCIES, N_SAMPLES, RATE, expected_embedding, write_model
from tests.helpers.prediction import PLAIN, make_content, sound
from tests.helpers.programs import run_here

SECONDS = 20


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(write_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "ANIMAL-SPOT.pk"
    save_model(make_content(), path)
    return path


def call(numbers: tuple[int, ...], level: float) -> np.ndarray:
    """Half a second of tones."""
    time_s = np.arange(N_SAMPLES) / RATE
    return level * np.sum([np.sin(2 * np.pi * FREQUENCIES[i] * time_s) for i in numbers], 0)


def write(path, calls, noise=0.01, seed=0):
    samples = noise * np.random.default_rng(seed).standard_normal(SECONDS * RATE)
    for begin_s, numbers, level in calls:
        first = round(begin_s * RATE)
        samples[first : first + N_SAMPLES] += call(numbers, level)
    sf.write(path, samples, RATE, subtype="FLOAT")
    return path


def test_planted_calls_are_found_first(tmp_path, embedder):
    """The same call twice as loud, at a third of the level and in ten times the noise."""
    paths = [
        write(tmp_path / "a.wav", [(3, (1, 4, 9), 0.1), (12.1, (2, 5, 9), 0.1)], seed=1),
        write(tmp_path / "b.wav", [(7.2, (1, 4, 9), 0.2), (15.3, (1, 6, 10), 0.2)], seed=2),
        write(tmp_path / "c.wav", [(5, (1, 4, 9), 0.033), (9.9, (0, 3, 9), 0.1)], seed=3),
        write(tmp_path / "d.wav", [(11.1, (1, 4, 9), 0.2), (4.4, (7, 8), 0.2)], 0.1, seed=4),
    ]
    with IndexFile(tmp_path / "x.similar") as index:
        tally = bring_up_to_date(index, embedder, paths)
        assert (tally.embedded, tally.before, tally.failed) == (4, 0, {})
        windows = index.windows({path: i for i, path in enumerate(paths)})
        assert bring_up_to_date(index, embedder, paths).before == 4
    query = embedder.of_stretch(paths[0], 3.0, 3.5)
    hits = windows.nearest(query, 3, query=(0, (3.0, 3.5)))
    assert {hit.recording for hit in hits} == {1, 2, 3}
    for hit in hits:
        begin_s = {1: 7.2, 2: 5.0, 3: 11.1}[hit.recording]
        assert hit.begin_s < begin_s + 0.5
        assert hit.end_s > begin_s


def test_a_stretch_is_a_window_about_its_middle(tmp_path, embedder):
    path = write(tmp_path / "a.wav", [(3, (1, 4, 9), 0.1)])
    samples, _ = sf.read(path)

    def expected(first: int) -> np.ndarray:
        return expected_embedding(samples[None, first : first + N_SAMPLES])[0]

    found = embedder.of_stretch(path, 3.1, 3.3)
    np.testing.assert_allclose(found, expected(round(2.95 * RATE)), rtol=1e-3, atol=0.05)
    at_begin = embedder.of_stretch(path, 0.0, 0.1)
    np.testing.assert_allclose(at_begin, expected(0), rtol=1e-3, atol=0.05)
    at_end = embedder.of_stretch(path, SECONDS - 0.1, SECONDS)
    np.testing.assert_allclose(at_end, expected(len(samples) - N_SAMPLES), rtol=1e-3, atol=0.05)
    longer = embedder.of_stretch(path, 2.0, 3.0)
    mean = np.mean([expected(round(s * RATE)) for s in (2.0, 2.25, 2.5)], axis=0)
    np.testing.assert_allclose(longer, mean, rtol=1e-3, atol=0.05)
    with pytest.raises(RecordingError):
        embedder.of_stretch(path, 5.0, 5.0)


def test_stretches_and_recordings_agree(tmp_path, network):
    """Also where the recording has another rate and several channels."""
    samples = np.stack([sound(4, 1, 24_000), sound(4, 2, 24_000)], axis=1)
    path = tmp_path / "a.wav"
    sf.write(path, samples, 24_000, subtype="FLOAT")
    embedder = open_embedder(network)
    (found,) = embedder.of_recordings([path])
    assert found.vectors.shape == (len(found.begin_s), embedder.dim)
    for row in (0, 7, 20):
        again = embedder.of_stretch(path, found.begin_s[row], found.end_s[row])
        off = np.linalg.norm(again - found.vectors[row]) / np.linalg.norm(again)
        assert off < 0.02, "resampling differs at the edges of a stretch"


def test_vectors_of_a_prediction_are_taken_if_they_are_of_the_model(tmp_path, network):
    paths = [tmp_path / "r" / f"{name}.wav" for name in "abc"]
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths):
        sf.write(path, sound(3, seed), 16_000, subtype="FLOAT")
    out = tmp_path / "out"
    done = run_here(
        *("predict", "--model_path", network, "--input_file", paths[0].parent, "--output_dir"),
        *(out, "--latent_extract", *PLAIN),
    )
    assert done.returncode == 0, done.stderr
    sf.write(paths[1], sound(3, 9), 16_000, subtype="FLOAT")  # changed since
    table = out / "c_latent.parquet"
    table.write_bytes(table.read_bytes()[:1000])  # cut off
    with IndexFile(tmp_path / "x.similar") as index:
        tally = bring_up_to_date(index, open_embedder(network), paths, LatentTables(out))
        assert (tally.read, tally.embedded) == (1, 2)
    content, other = make_content(), tmp_path / "other.pk"
    with torch.no_grad():
        for weights in content.model.encoder.parameters():
            weights.mul_(torch.linspace(0.5, 1.5, weights.numel()).view_as(weights))
    save_model(content, other)
    with IndexFile(tmp_path / "x.similar") as index:
        tally = bring_up_to_date(index, open_embedder(other), paths, LatentTables(out))
        assert (tally.read, tally.embedded) == (0, 3)


def test_what_cannot_be_read_is_said_and_left_out(tmp_path, embedder):
    good = write(tmp_path / "a.wav", [])
    bad = tmp_path / "b.wav"
    bad.write_bytes(b"RIFF")
    with IndexFile(tmp_path / "x.similar") as index:
        tally = bring_up_to_date(index, embedder, [good, bad, tmp_path / "gone.wav"])
        assert list(tally.failed) == [bad, tmp_path / "gone.wav"]
        assert index.fresh([good, bad]) == {good}
