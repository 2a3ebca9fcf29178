"""A clip under each augmentation, drawn by the code that training uses.

The range of each augmentation is narrowed to one value so that its effect can be seen.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from animal_spot.audio.clip_files import read_waveform
from animal_spot.audio.picture_scale import picture_scale
from animal_spot.audio.signal_config import Pcen, SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augment import augment
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.batch_augment import BatchAugmentation, mixup
from animal_spot.data.labels import find_clip_paths
from animal_spot.demo.corpus import make_clip
from animal_spot.figures.look import png_bytes
from animal_spot.figures.spectrogram import Tile, grid_figure
from animal_spot.utils.files import atomic_path

SIGNAL = SignalConfig(n_fft=2048, hop_length=220, n_freq_bins=200, fmin=300, fmax=12000)
STILL = Augmentation(gain_db=(0, 0), pitch=(1.0, 1.0), stretch=(1.0, 1.0))
N_COLUMNS = 4
N_COLOURS = 64  # of the stored picture
DPI = 140


@dataclass(frozen=True)
class Sounds:
    """Waveforms to draw, each ``(1, samples)``, full scale 1, at the rate of ``SIGNAL``."""

    clip: Tensor
    other: Tensor  # mixed with the clip
    noise: Tensor


def synthetic_sounds() -> Sounds:
    """Make a call, another call and noise as ``synthesise_corpus.py`` does."""
    kinds = ("N01", 1), ("N09", 2), ("noise", 5)
    made = [make_clip(name, tape, np.random.default_rng(6)) for name, tape in kinds]
    return Sounds(*(torch.from_numpy(clip.astype(np.float32))[None] for clip in made))


def folder_sounds(folder: Path, clip: Path | None, seed: int) -> Sounds:
    """Choose clips of a folder, at random where none is named.

    The noise is a clip whose name begins with ``noise``, where there is one.

    Raises:
        ValueError: If there are no clips.
        ClipError: If one cannot be read.
        OSError: The same.
    """
    paths = [folder / path for path in find_clip_paths(folder)]
    if not paths:
        raise ValueError(f"{folder} holds no sound that can be read")
    rng = np.random.default_rng(seed)
    noises = [path for path in paths if path.name.lower().startswith("noise")]
    calls = [path for path in paths if path not in noises] or paths
    chosen = [
        clip or calls[rng.integers(len(calls))],
        calls[rng.integers(len(calls))],
        (noises or paths)[rng.integers(len(noises or paths))],
    ]
    return Sounds(*(read_waveform(path, SIGNAL.sr) for path in chosen))


def pictures(sounds: Sounds, seed: int) -> list[tuple[str, Tensor]]:
    """Return captions and network inputs ``(time, freq)``."""
    pipeline = SpectrogramPipeline(SIGNAL)
    clip, other, noise = (
        pipeline.band(pipeline.power(waveform), for_pitch_shift=True)
        for waveform in (sounds.clip, sounds.other, sounds.noise)
    )
    n_frames = len(clip.values)

    def altered(band: PowerBand, noise: PowerBand | None = None, **limits) -> Tensor:
        draw_noise = (lambda: noise) if noise is not None else None
        rng = np.random.default_rng(seed)
        return augment(band, pipeline, n_frames, replace(STILL, **limits), rng, draw_noise)

    plain, partner = altered(clip), altered(other)
    masks = BatchAugmentation(n_classes=2, seed=seed, spec_augment=True, silence=pipeline.silence)
    masked, _ = masks(plain[None], torch.zeros(1, dtype=torch.long), 0, 0)
    mixed, _ = mixup(
        torch.stack([plain, partner]),
        torch.eye(2),
        share=torch.tensor([0.6, 0.6]),
        partner=torch.tensor([1, 0]),
    )
    channels = SpectrogramPipeline(replace(SIGNAL, pcen=Pcen()))
    per_channel = augment(clip, channels, n_frames, STILL, np.random.default_rng(seed))
    return [
        ("the clip", plain[0]),
        ("--augmentation: level -20 dB\n(--gain)", altered(clip, gain_db=(-20, -20))[0]),
        ("--augmentation: pitch 1.4 times\n(--pitch_range)", altered(clip, pitch=(1.4, 1.4))[0]),
        (
            "--augmentation: 1.7 times as long\n(--stretch_range)",
            altered(clip, stretch=(1.7, 1.7))[0],
        ),
        ("noise mixed in at 0 dB\n(--noise_snr)", altered(clip, noise, snr_db=(0, 0))[0]),
        ("--time_shift", altered(clip, time_shift=True)[0]),
        ("--random_filter 6", altered(clip, filter_db=6.0)[0]),
        ("--spec_augment", masked[0, 0]),
        ("another clip", partner[0]),
        ("--mixup_alpha: 60 % of the clip,\n40 % of the other", mixed[0, 0]),
        ("--per_channel_normalization", per_channel[0]),
        (
            "--augmentation --time_shift\n--random_filter 3, noise mixed in",
            augment(
                clip,
                pipeline,
                n_frames,
                Augmentation(time_shift=True, filter_db=3.0),
                np.random.default_rng(seed + 1),
                lambda: noise,
            )[0],
        ),
    ]


def draw(found: list[tuple[str, Tensor]], path: Path) -> None:
    """Write the pictures into one PNG, all but per-channel normalisation in the same colours.

    Raises:
        ValueError: If there is a file of that name which is no PNG.
        OSError: If it cannot be written.
    """
    if path.exists() and not (path.is_file() and _is_png(path)):
        raise ValueError(f"{path} is there already and is no PNG picture; choose another name")
    first = found[0][1]
    usual = float(first.quantile(0.05)), float(first.max())
    tiles = [
        Tile(
            caption,
            values.numpy(),
            (0.0, float(values.quantile(0.995))) if "per_channel" in caption else usual,
        )
        for caption, values in found
    ]
    figure = grid_figure(tiles, picture_scale(SIGNAL, len(first)), columns=N_COLUMNS)
    picture = io.BytesIO(png_bytes(figure, DPI))
    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(N_COLOURS)
    with atomic_path(path) as temporary:
        small.save(temporary, format="png", optimize=True)


def _is_png(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"
