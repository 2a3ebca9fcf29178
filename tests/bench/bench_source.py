"""Train on one source of clips, judge on another. Run by hand; writes a data set and prints it.

    python -m tests.bench.bench_source --data_dir CLIPS --output DIR
    python ANIMAL-SPOT/main.py --data_dir DIR ... [--preset recommended]

Many archives hold calls that their authors denoised. In a recording as it was made, the power of a
band is spread over time as noise is: its 40th percentile lies 10 dB above its 5th (exponential
distribution: 10 log10(log 0.6 / log 0.95)). Denoising leaves holes, which widen that. ``DIR`` gets
links to the clips and a stored split: test has the calls whose median spread over the bands is
under ``--limit`` dB, training and validation have those above it, but none of a tape that is in
test. Clips of the class noise are dealt by tape as always.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch

from animal_spot.audio.clip_files import read_waveform
from animal_spot.audio.dsp import power_spectrogram
from animal_spot.data.labels import Clip, find_clip_paths, parse_clip
from animal_spot.data.splits import Split, save_split, split_by_tape, split_table

RATE = 32000
N_FFT = 1024
BAND_HZ = (500, 12000)


def spread_db(waveform: torch.Tensor) -> float:
    """Return how far power spreads over time, median of the bands, in dB.

    Args:
        waveform: Shape ``(1, samples)``, at ``RATE``.
    """
    power = power_spectrogram(waveform, N_FFT, N_FFT)[0].numpy()  # frames that do not overlap
    low, high = (round(f * N_FFT / RATE) for f in BAND_HZ)
    level = 10 * np.log10(power[:, low:high] + 1e-14)
    p5, p40 = np.percentile(level, [5, 40], axis=0)
    return float(np.median(p40 - p5))


def deal(clips: list[Clip], spreads: dict[str, float], limit: float, noise_class: str) -> Split:
    """Deal the clips: hardly denoised calls to test, the others to train and val, noise to all."""
    noise = split_by_tape([c for c in clips if c.class_name == noise_class])
    calls = [c for c in clips if c.class_name != noise_class]
    test = [c for c in calls if spreads[c.path] < limit]
    tapes = {c.tape for c in test}
    rest = split_by_tape([c for c in calls if c.tape not in tapes])
    train = (*rest.train, *rest.test, *noise.train)
    return Split(train, (*rest.val, *noise.val), (*test, *noise.test))


def main(argv: list[str] | None = None) -> int:
    """Write the data set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of the clips")
    parser.add_argument("--output", type=Path, required=True, help="new folder of links to them")
    parser.add_argument("--limit", type=float, default=16.0, help="spread in dB")
    parser.add_argument("--noise_class", default="noise")
    args = parser.parse_args(argv)
    clips = [parse_clip(path) for path in find_clip_paths(args.data_dir)]
    if not clips:
        parser.error(f"there is no wav clip in {args.data_dir}")
    if args.output.exists():
        parser.error(f"{args.output} is there already; name a new folder")
    spreads = {c.path: spread_db(read_waveform(args.data_dir / c.path, RATE)) for c in clips}
    split = deal(clips, spreads, args.limit, args.noise_class)
    for clip in clips:
        link = args.output / clip.path
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink((args.data_dir / clip.path).resolve(), link)
    save_split(split, args.output)
    print("\n".join(split_table(split, {c.class_name for c in clips})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
