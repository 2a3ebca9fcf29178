"""What a network could learn of classes besides their calls is said, and only that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.data.class_contrasts import contrast_warnings, traits_of
from animal_spot.data.clip_dataset import Sample

SIGNAL = SignalConfig(sr=44100, fmin=300, fmax=18000, n_fft=1024, hop_length=512)
CLASSES = {"A": 0, "B": 1, "noise": 2}


def samples(
    folder: Path, *, n: int = 12, tapes: int = 6, **of_class: dict[str, float]
) -> dict[str, list[Sample]]:
    """Write noise clips of 0.5 s; ``of_class``: rate, level in dB and seconds of silence."""
    rng = np.random.default_rng(0)
    found = []
    for name, label in CLASSES.items():
        settings = {"rate": 44100, "level": -30.0, "silence": 0.0} | of_class.get(name, {})
        for i in range(n):
            clip = 10 ** (settings["level"] / 20) * rng.standard_normal(int(settings["rate"] / 2))
            clip[: int(settings["silence"] * settings["rate"])] = 0
            path = folder / f"{name}{i}.wav"
            sf.write(path, clip, int(settings["rate"]), subtype="FLOAT")
            found.append(Sample(path, path.name, "", label, tape=f"T{i % tapes}"))
    return {"train": found, "val": [], "test": []}


def said(clips: dict[str, list[Sample]]) -> list[str]:
    return contrast_warnings(clips, CLASSES, SIGNAL, "noise")


def test_classes_that_differ_in_nothing_are_not_mentioned(tmp_path):
    assert said(samples(tmp_path)) == []


@pytest.mark.parametrize(
    ("of_class", "expected"),
    [
        pytest.param({"A": {"rate": 22050}}, "A 22050 Hz, the others mostly 44100 Hz", id="rate"),
        pytest.param({"B": {"level": -10}}, "B by +20 dB", id="level"),
        pytest.param({"A": {"silence": 0.1}}, "A 100%, the others 0%", id="holes"),
    ],
)
def test_a_class_apart_is_named_with_a_remedy(tmp_path, of_class, expected):
    (line,) = said(samples(tmp_path, **of_class))
    assert expected in line
    assert "in place of the call" in line


def test_a_rate_that_cannot_be_heard_is_no_matter(tmp_path):
    clips = samples(tmp_path, A={"rate": 22050})
    low = SignalConfig(sr=44100, fmin=300, fmax=10000, n_fft=1024, hop_length=512)
    assert contrast_warnings(clips, CLASSES, low, "noise") == []


def test_the_background_may_have_another_level(tmp_path):
    assert said(samples(tmp_path, noise={"level": -60})) == []


def test_few_clips_and_few_tapes_are_counted(tmp_path):
    (line,) = said(samples(tmp_path, n=9, tapes=2))
    assert "A 9 on 2, B 9 on 2, noise 9 on 2" in line
    assert said(samples(tmp_path, n=10, tapes=3)) == []


def test_a_waveform_is_described(tmp_path):
    wave = np.full(1000, 0.5)
    wave[::2] = -0.5
    found = traits_of(np.r_[wave, np.zeros(100)], 1000)
    assert found.level_db == pytest.approx(20 * np.log10(0.5))
    assert found.has_holes
    assert traits_of(np.zeros(1000), 1000) is None
    assert traits_of(np.array([]), 1000) is None
