"""How fast are clips read? Run by hand on a quiet machine; prints a ratio.

    .venv/bin/python -m pip install resampy     (only for this comparison)
    python -m tests.bench.bench_data

Our data path without a cache (decode, resample 48 kHz to 44.1 kHz, spectrogram, compression,
normalisation; two loader processes) against a plain loop of librosa's loading, kaiser_best
resampling and a spectrogram per clip.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import soundfile as sf

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, Sample, make_loader

N_CLIPS, CLIP_S, ROUNDS = 120, 3, 5
SIGNAL = SignalConfig(n_fft=1024, hop_length=172, n_freq_bins=256)


def plain_loop(paths: list[Path]) -> float:
    """Return the seconds of the straightforward way."""
    started = time.perf_counter()
    for path in paths:
        samples, _ = librosa.load(path, sr=SIGNAL.sr, res_type="kaiser_best")
        spectrum = librosa.stft(samples, n_fft=1024, hop_length=172, center=False)
        librosa.power_to_db(np.abs(spectrum[11:233]) ** 2)
    return time.perf_counter() - started


def main() -> None:
    """Run the benchmark."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.wav" for i in range(N_CLIPS)]
        for path in paths:
            sf.write(path, rng.normal(0, 0.1, 48000 * CLIP_S), 48000, subtype="PCM_16")
        samples = [Sample(path, path.name, path.name, 0) for path in paths]
        dataset = ClipDataset(samples, SpectrogramPipeline(SIGNAL), 128)
        sampler = EpochSampler(N_CLIPS, 8, shuffle=False, drop_last=False, seed=0)
        loader = make_loader(dataset, sampler, n_workers=2, pin_memory=False)
        plain_loop(paths[:4])
        list(loader)
        ours, plain = [], []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for _batch in loader:
                pass
            ours.append(time.perf_counter() - started)
            plain.append(plain_loop(paths))
        ratio = statistics.median(p / o for p, o in zip(plain, ours, strict=True))
        print(
            f"plain loop {N_CLIPS / statistics.median(plain):.1f} clips/s, "
            f"ours {N_CLIPS / statistics.median(ours):.1f} clips/s: {ratio:.1f} x"
        )


if __name__ == "__main__":
    main()
