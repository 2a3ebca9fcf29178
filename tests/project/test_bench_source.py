"""tests/bench/bench_source.py: what it measures and how it deals the clips."""

from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from animal_spot.data.splits import leaking_tapes, load_split
from tests.bench import bench_source
from tests.helpers.programs import call


def write_clip(folder: Path, class_name: str, number: int, tape: str, waveform: np.ndarray):
    path = folder / class_name / f"{class_name}-x_{number}_2020_{tape}_0_3000.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, waveform, 32000, subtype="FLOAT")


def test_clips_with_holes_are_trained_on_and_plain_noise_is_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(12):
        plain = 0.1 * rng.standard_normal(96000)
        gate = np.repeat(rng.random(200) < 0.5, 480)  # every other moment silent: denoised
        write_clip(tmp_path / "clips", "call", i, f"d{i}", plain * gate)
        write_clip(tmp_path / "clips", "noise", i, f"n{i}", plain)
    for i in range(3):
        write_clip(tmp_path / "clips", "call", 20 + i, f"r{i}", 0.1 * rng.standard_normal(96000))
    # Denoised too, but from a tape that is judged: in no partition.
    write_clip(tmp_path / "clips", "call", 30, "r0", plain * gate)

    def run():
        return call(bench_source.main, "--data_dir", "clips", "--output", "source")

    done = run()
    assert done.returncode == 0, done.stderr
    split, skipped = load_split(tmp_path / "source")
    assert not skipped
    assert {c.tape for c in split.test if c.class_name == "call"} == {
        f"2020_R{i}" for i in range(3)
    }
    learned = [c for c in (*split.train, *split.val) if c.class_name == "call"]
    assert {c.tape for c in learned} == {f"2020_D{i}" for i in range(12)}
    assert not leaking_tapes(split)
    assert (
        sum(c.class_name == "noise" for part in ("train", "val", "test") for c in split[part]) == 12
    )
    assert all((tmp_path / "source" / c.path).is_file() for c in split.train)
    again = run()
    assert again.returncode == 2
    assert "source is there already" in again.stderr


def test_spread_of_noise_is_that_of_the_exponential_distribution():
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 32000 * 60)))
    expected = 10 * np.log10(np.log(0.6) / np.log(0.95))
    assert abs(bench_source.spread_db(noise.float()) - expected) < 0.2
