"""Reading sound files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr
import torch
from torch import Tensor

RESAMPLER = "soxr-HQ"  # part of the key of cached features: a change makes old ones invalid


class ClipError(ValueError):
    """A sound file that cannot be used; the message says why."""


def read_waveform(path: str | os.PathLike[str], sample_rate: int) -> Tensor:
    """Read a sound file as mono at the wanted rate.

    Channels are averaged; resampling is soxr's high-quality band-limited interpolation.

    Returns:
        Shape ``(1, floor(samples * sample_rate / rate of the file))``, full scale 1.

    Raises:
        ClipError: If the file cannot be decoded or is empty.
    """
    samples, rate = decode(path)
    return torch.from_numpy(resample(mix_down(samples), rate, sample_rate))[None]


def decode(source: str | os.PathLike[str] | BinaryIO) -> tuple[np.ndarray, int]:
    """Decode a sound file with libsndfile.

    Returns:
        Samples of shape ``(samples, channel)``, float32, full scale 1; and their rate in Hz.

    Raises:
        ClipError: If the file cannot be decoded or is empty.
        OSError: If the file cannot be opened.
    """
    # Opened here, since a missing file then gives a plain OSError.
    file = source if isinstance(source, io.IOBase) else open(source, "rb")  # noqa: SIM115
    try:
        samples, rate = sf.read(file, dtype="float32", always_2d=True)
    except (sf.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", str(error))
        raise ClipError(f"unreadable: {str(reason).strip().rstrip('.')}") from error
    finally:
        file.close()
    if len(samples) == 0:
        raise ClipError("empty: no samples")
    return samples, rate


def mix_down(samples: np.ndarray) -> np.ndarray:
    """Average channels: ``(samples, channel)`` to ``(samples,)``."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Resample ``(samples,)`` to exactly ``floor(samples * rate_out / rate_in)`` samples."""
    if rate_in == rate_out:
        return samples
    n_out = int(len(samples) * rate_out / rate_in)
    result = soxr.resample(samples, rate_in, rate_out, quality="HQ")
    if len(result) < n_out:
        result = np.pad(result, (0, n_out - len(result)))
    return np.ascontiguousarray(result[:n_out])


def wav_shortfall(file: BinaryIO) -> int:
    """Return how many bytes a WAV file promises beyond those that are there; 0 if complete.

    libsndfile reads a truncated file without complaint. A length of 0 or of the largest number,
    as programs write that stream to a pipe, promises nothing.

    Args:
        file: Open for reading, at any position; where it stands afterwards is not defined.
    """
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:12] != b"WAVE":
        return 0
    long_size = 0  # of the data of an RF64 file, which may be longer than 4 GB
    position = 12
    while position + 8 <= n_bytes:
        file.seek(position)
        chunk = file.read(8)
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if chunk[:4] == b"data":
            if size == 0xFFFFFFFF and long_size:
                size = long_size
            elif size in (0, 0x7FFFFFFF) or size >= 0xFFFFFF00:
                return 0
            return max(0, position + 8 + size - n_bytes)
        position += 8 + size + size % 2
    return 0


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        ClipError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClipError(f"unreadable: {error.strerror or error}") from error
