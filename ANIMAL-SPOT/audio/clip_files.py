"""Reading sound files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soxr

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.channels import ChannelError, pick
from animal_spot.audio.sound_file import SoundError, SoundFile, open_regular

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_CLIP_S = 2 * 3600
RESAMPLER = "soxr-HQ"  # part of the key of cached features: a change makes old ones invalid


class ClipError(ValueError):
    """A sound file that cannot be used; the message says why."""


def read_waveform(
    path: str | os.PathLike[str],
    sample_rate: int,
    span: tuple[int, int] | None = None,
    channel: str = MIX,
) -> Tensor:
    """Read a sound file, or a part of it, as mono at the wanted rate.

    Resampling is soxr's high-quality band-limited interpolation.

    Args:
        path: The file.
        sample_rate: Wanted rate, Hz.
        span: First sample and number of samples, at the rate of the file; None: all.
        channel: ``mix`` averages all, see ``audio.channels``.

    Returns:
        Shape ``(1, floor(samples * sample_rate / rate of the file))``, full scale 1.

    Raises:
        ClipError: If the file cannot be decoded, is empty or has no such channel.
    """
    samples, rate = decode(path, span)
    try:
        heard = pick(samples, channel)
    except ChannelError as error:
        raise ClipError(str(error)) from error
    import torch  # half a gigabyte that programs which only cut or count do without

    return torch.from_numpy(resample(heard, rate, sample_rate))[None]


def decode(
    source: str | os.PathLike[str] | BinaryIO, span: tuple[int, int] | None = None
) -> tuple[np.ndarray, int]:
    """Decode a sound file, or a part of it (see ``read_waveform``), with libsndfile.

    Returns:
        Samples of shape ``(samples, channel)``, float32, full scale 1; and their rate in Hz.

    Raises:
        ClipError: If the file cannot be decoded to its end, is empty, too long or no clip.
        OSError: If the file cannot be opened.
    """
    try:
        with contextlib.closing(SoundFile(source)) as file:
            return samples_of(file, span), file.rate
    except SoundError as error:
        raise ClipError(str(error)) from error


def samples_of(file: SoundFile, span: tuple[int, int] | None = None) -> np.ndarray:
    """Read a sound file that is a clip, or a part of any (see ``read_waveform``).

    Returns:
        Shape ``(samples, channel)``, float32, full scale 1.

    Raises:
        SoundError: If it cannot be read to its end, or is too long for a clip.
    """
    if span is not None:
        file.seek(span[0])
        return file.read(span[1])
    if file.duration_s > LONGEST_CLIP_S:
        raise SoundError(
            f"too long: {file.duration_s / 3600:.1f} hours, and clips may last "
            f"{LONGEST_CLIP_S // 3600}"
        )
    return file.read(file.n_frames + 1)


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Resample ``(samples,)`` to exactly ``floor(samples * rate_out / rate_in)`` samples."""
    if rate_in == rate_out:
        return samples
    n_out = n_resampled(len(samples), rate_in, rate_out)
    result = soxr.resample(samples, rate_in, rate_out, quality="HQ")
    if len(result) < n_out:
        result = np.pad(result, (0, n_out - len(result)))
    return np.ascontiguousarray(result[:n_out])


def n_resampled(n_samples: int, rate_in: int, rate_out: int) -> int:
    """Return the length of ``n_samples`` at another rate."""
    return int(n_samples * rate_out / rate_in)


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        ClipError: If it cannot be read.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except SoundError as error:
        raise ClipError(f"unreadable: {error}") from error
    except OSError as error:
        raise ClipError(f"unreadable: {error.strerror or error}") from error
