"""How much does a network depend on one hydrophone? Run by hand; prints a table.

    python -m tests.bench.bench_shift --data_dir CLIPS MODEL.pk [MODEL.pk ...]

Classifies the clips of a partition as they are, and altered as if from elsewhere: background
(validation clips of the class noise) at 0 to 10 dB below the call, a spectral tilt of up to 4 dB
per octave, three broad resonances of up to 8 dB, and another level. Several draws, the same for
every model. Mean accuracy of the classes; the alteration is not the one that training uses.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from animal_spot.audio.clip_files import read_waveform, resample
from animal_spot.audio.dsp import fit_length, preemphasise
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.corpus import load_corpus
from animal_spot.data.labels import names_by_index
from animal_spot.model_files.model_file import load_model
from animal_spot.utils.metrics import ConfusionMatrix, mean_present, per_class_accuracy

RATE = 32000
NOISE_CLASS = "noise"


def alter(
    clip: np.ndarray, background: np.ndarray | None, rng: np.random.Generator
) -> torch.Tensor:
    """Return ``(samples,)`` as another hydrophone might have recorded it."""
    if background is not None:
        background = np.resize(np.roll(background, rng.integers(len(background))), len(clip))
        audible = [
            preemphasise(torch.from_numpy(x), 0.98).square().mean().item()
            for x in (clip, background)
        ]
        ratio_db = rng.uniform(0, 10)
        clip = clip + background * np.sqrt(audible[0] / audible[1] * 10 ** (-ratio_db / 10))
    octave = np.log2(np.maximum(np.fft.rfftfreq(len(clip), 1 / RATE), 100) / 2000)
    response_db = rng.uniform(-4, 4) * octave
    for _ in range(3):
        centre, width = rng.uniform(-3, 3), rng.uniform(0.3, 1)
        response_db += rng.uniform(-8, 8) * np.exp(-(((octave - centre) / width) ** 2))
    altered = np.fft.irfft(np.fft.rfft(clip) * 10 ** (response_db / 20), len(clip))
    return torch.from_numpy((altered * 10 ** (rng.uniform(-12, 12) / 20)).astype(np.float32))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data_dir", type=Path, required=True, help="with a stored split")
    parser.add_argument("--partition", choices=("val", "test"), default="val")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    corpus = load_corpus(args.data_dir)
    names = names_by_index(corpus.classes)
    samples = corpus.samples[args.partition]
    noise_label = corpus.classes[NOISE_CLASS]
    clips = [read_waveform(s.path, RATE)[0].numpy() for s in samples]
    backgrounds = [
        read_waveform(s.path, RATE)[0].numpy()
        for s in corpus.samples["val"]
        if s.label == noise_label
    ]
    versions = [[torch.from_numpy(clip) for clip in clips]]
    for draw in range(args.draws):
        rng = np.random.default_rng(draw)
        versions.append(
            [
                alter(
                    clip,
                    None
                    if sample.label == noise_label
                    else backgrounds[rng.integers(len(backgrounds))],
                    rng,
                )
                for clip, sample in zip(clips, samples, strict=True)
            ]
        )
    for path in args.models:
        content = load_model(path)
        model, pipeline = content.model.eval(), SpectrogramPipeline(content.signal)
        n_frames = content.signal.n_clip_frames(content.sequence_len_ms)
        scores = []
        for version in versions:
            confusion = ConfusionMatrix(len(names))
            for clip, sample in zip(version, samples, strict=True):
                waveform = clip.numpy()
                if content.signal.sr != RATE:
                    waveform = resample(waveform, RATE, content.signal.sr)
                features = pipeline.features(torch.from_numpy(waveform)[None])
                with torch.inference_mode():
                    predicted = model(fit_length(features, n_frames)[None]).argmax(1)
                confusion.update(torch.tensor([sample.label]), predicted)
            scores.append(mean_present(per_class_accuracy(confusion.get())))
        print(
            f"{path}: mean of classes on {args.partition} {scores[0]:.3f}, altered "
            f"{np.mean(scores[1:]):.3f} ({min(scores[1:]):.3f} to {max(scores[1:]):.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
