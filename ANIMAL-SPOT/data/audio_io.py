"""Reading sound files."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile as sf
import soxr
import torch
from torch import Tensor

from data.channels import ChannelError, pick
from utils.channel_choice import MIX

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
        channel: ``mix`` averages all, see ``data.channels``.

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
    return torch.from_numpy(resample(heard, rate, sample_rate))[None]


def decode(
    source: str | os.PathLike[str] | BinaryIO, span: tuple[int, int] | None = None
) -> tuple[np.ndarray, int]:
    """Decode a sound file, or a part of it (see ``read_waveform``), with libsndfile.

    Returns:
        Samples of shape ``(samples, channel)``, float32, full scale 1; and their rate in Hz.

    Raises:
        ClipError: If the file cannot be decoded or is empty.
        OSError: If the file cannot be opened.
    """
    # Opened here, since a missing file then gives a plain OSError.
    file = source if isinstance(source, io.IOBase) else open(source, "rb")  # noqa: SIM115
    try:
        start, n_samples = (0, -1) if span is None else span
        samples, rate = sf.read(file, n_samples, start, dtype="float32", always_2d=True)
    except (sf.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", str(error))
        raise ClipError(f"unreadable: {str(reason).strip().rstrip('.')}") from error
    finally:
        file.close()
    if len(samples) == 0:
        raise ClipError("empty: no samples")
    return samples, rate


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


@dataclass(frozen=True)
class _Container:
    """How a kind of sound file is divided into chunks.

    Attributes:
        first_chunk: Byte at which the first one begins.
        id_bytes: Length of a chunk's name.
        size_bytes: Length of its size, which follows.
        byte_order: Of the size.
        data: Name of the chunk of samples, as far as it tells.
        counts_itself: Whether the size counts name and size too.
        alignment: Chunks begin at multiples of it.
    """

    first_chunk: int
    id_bytes: int
    size_bytes: int
    byte_order: Literal["little", "big"]
    data: bytes
    counts_itself: bool = False
    alignment: int = 1


_CONTAINERS = {
    b"RIFF": _Container(12, 4, 4, "little", b"data", alignment=2),
    b"RF64": _Container(12, 4, 4, "little", b"data", alignment=2),
    b"FORM": _Container(12, 4, 4, "big", b"SSND", alignment=2),
    b"riff": _Container(40, 16, 8, "little", b"data", counts_itself=True, alignment=8),  # W64
    b"caff": _Container(8, 4, 8, "big", b"data"),
}


def missing_bytes(file: BinaryIO) -> int:
    """Return how many bytes a sound file promises beyond those that are there; 0 if complete.

    libsndfile reads truncated WAV, AIFF, W64, AU and CAF files without complaint. A length of 0 or
    of about the largest number, as programs write that stream to a pipe, promises nothing.

    Args:
        file: Open for reading, at any position; where it stands afterwards is not defined.
    """
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] == b".snd" and len(head) == 12:  # AU
        start, size = (int.from_bytes(head[i : i + 4], "big") for i in (4, 8))
        return max(0, start + size - n_bytes) if _is_promise(size, 4) else 0
    kind = _CONTAINERS.get(head[:4])
    if kind is None:
        return 0
    n_head = kind.id_bytes + kind.size_bytes
    long_size = 0  # of the data of an RF64 file, which may be longer than 4 GB
    position = kind.first_chunk
    while position + n_head <= n_bytes:
        file.seek(position)
        name = file.read(kind.id_bytes)
        size = int.from_bytes(file.read(kind.size_bytes), kind.byte_order)
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        content = size - n_head if kind.counts_itself else size
        if name.startswith(kind.data):
            if size == 0xFFFFFFFF and long_size:
                content = long_size
            elif not _is_promise(size, kind.size_bytes):
                return 0
            return max(0, position + n_head + content - n_bytes)
        position += n_head + max(0, content)
        position += -position % kind.alignment
    return 0


def _is_promise(size: int, size_bytes: int) -> bool:
    """Tell whether a stored length means anything."""
    largest = 256**size_bytes
    return 0 < size < largest - 256 and size != largest // 2 - 1


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        ClipError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClipError(f"unreadable: {error.strerror or error}") from error
