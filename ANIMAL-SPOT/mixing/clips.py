"""The clips that a recording is mixed of, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.channels import ChannelError, pick
from animal_spot.audio.clip_files import ClipError, resample
from animal_spot.audio.sound_file import SoundError, SoundFile, check_magnitude
from animal_spot.data.clip_dataset import Sample

LONGEST_S = 30.0  # of a file or span no more is read at once, so that memory is bounded


@dataclass(frozen=True)
class MixClip:
    """A clip to mix in.

    Attributes:
        path: Sound file.
        label: Its class; not looked at where it is background.
        span: First sample and number of samples, at the rate of the file; None: all.
    """

    path: Path
    label: str
    span: tuple[int, int] | None = None


def clips_of(
    samples: Iterable[Sample], names: Mapping[int, str], noise: str | None
) -> tuple[list[MixClip], list[MixClip]]:
    """Return the calls and the clips of background among the samples of a training.

    Args:
        samples: Such as those of the validation.
        names: Class by index.
        noise: The class that is background; None: none is.
    """
    clips = [MixClip(s.path, names[s.label], s.span) for s in samples]
    calls = [clip for clip in clips if clip.label != noise]
    return calls, [clip for clip in clips if clip.label == noise]


def read_piece(
    path: str | os.PathLike[str],
    rate: int,
    *,
    span: tuple[int, int] | None = None,
    channel: str = MIX,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Read a clip, or ``LONGEST_S`` of it where it is longer: at random, else from its start.

    Args:
        path: Sound file.
        rate: Wanted, Hz.
        span: See ``MixClip``.
        channel: See ``audio.channels``.
        rng: Says which part.

    Returns:
        Shape ``(samples,)``, float32.

    Raises:
        ClipError: If it cannot be read; the message begins with its path.
    """
    try:
        file = SoundFile(path)
        try:
            first, n_samples = span or (0, file.n_frames)
            most = int(LONGEST_S * file.rate)
            if n_samples > most:
                first += int(rng.integers(n_samples - most + 1)) if rng is not None else 0
                n_samples = most
            file.seek(first)
            heard = pick(file.read(n_samples), channel)
            check_magnitude(heard)
            return resample(heard, file.rate, rate)
        finally:
            file.close()
    except OSError as error:
        raise ClipError(f"{path}: unreadable: {error.strerror or error}") from error
    except (SoundError, ChannelError) as error:
        raise ClipError(f"{path}: {error}") from error
