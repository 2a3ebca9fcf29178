"""Real orca calls, where they are at hand; see the fixture ``shared_data``."""

import shutil
from pathlib import Path

import pytest
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.clip_dataset import BandReader
from animal_spot.data.corpus import load_corpus
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from tests.helpers.training import train

PUBLISHED = SignalConfig(n_fft=1024, hop_length=172, n_freq_bins=256, min_max_norm=True)


@pytest.fixture(scope="module")
def orca_calls(shared_data, tmp_path_factory) -> Path:
    """A copy, since a split is written into the folder."""
    return shutil.copytree(shared_data / "orca_calls", tmp_path_factory.mktemp("orca") / "calls")


def test_every_class_reaches_every_partition(orca_calls):
    corpus = load_corpus(orca_calls, n_processes=2)
    assert not corpus.excluded
    for samples in corpus.samples.values():
        assert {sample.label for sample in samples} == set(range(8))
    tapes = [
        {"_".join(sample.name.split("_")[-4:-2]) for sample in corpus.samples[partition]}
        for partition in ("train", "val", "test")
    ]
    assert not tapes[0] & tapes[1]
    assert not tapes[0] & tapes[2]
    assert not tapes[1] & tapes[2]


def test_cache_changes_no_decision(orca_calls, tmp_path):
    """The kept 16-bit levels give the same class as the exact spectrogram."""
    corpus = load_corpus(orca_calls)
    pipeline = SpectrogramPipeline(PUBLISHED)
    torch.manual_seed(0)
    encoder = build_encoder(
        "resnet",
        {"input_channels": 1, "conv_kernel_size": 7, "max_pool": 1, "resnet_size": 18},
    )
    model = build_model(encoder, Classifier(encoder.out_channels, "avg", 8)).eval()
    exact = BandReader(pipeline, None, for_pitch_shift=False)
    kept = BandReader(pipeline, tmp_path, for_pitch_shift=False)
    for sample in corpus.samples["val"][::4]:
        kept.read(sample.path, sample.digest)  # writes
        features = [
            pipeline.clip_features(reader.read(sample.path, sample.digest), 192)[None]
            for reader in (exact, kept)
        ]
        assert (features[0] - features[1]).abs().max() < 1e-4
        with torch.inference_mode():
            logits = [model(f) for f in features]
        assert torch.allclose(*logits, atol=1e-3)
        assert logits[0].argmax() == logits[1].argmax()


@pytest.mark.slow
def test_a_short_training_beats_chance(orca_calls, tmp_path):
    """A few epochs tell noise from calls and start on the call types: chance is 12.5 %."""
    said = train(
        *(orca_calls, tmp_path),
        *("--sr", "32000", "--n_fft", "1024", "--hop_length", "1000", "--sequence_len", "3000"),
        *("--freq_compression", "mel", "--n_freq_bins", "64", "--fmin", "300", "--fmax", "12000"),
        *("--min_max_norm", "--batch_size", "16", "--lr", "3e-5", "--beta1", "0.9"),
        *("--max_train_epochs", "5", "--precision", "fp32", "--val_metric", "macro_accuracy"),
    )
    accuracy = float(said.split("mean of classes")[1].split("%")[0])
    assert accuracy > 25
