"""Spectrograms and embeddings kept on disk between epochs and runs.

One file a clip, named by a hash of the clip's bytes and of every parameter that its content
depends on: a changed clip or setting never meets an old file. Files are written under a temporary
name and renamed, so that several workers, or several runs, may share a folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.clip_files import RESAMPLER
from animal_spot.audio.spectrograms import (
    LEVEL_STEP_DB,
    LOWEST_LEVEL_DB,
    PowerBand,
    SpectrogramPipeline,
)
from animal_spot.utils.files import atomic_path

FORMAT_VERSION = 1
MAGIC = b"ASPB"
# A file is the magic, the CRC-32 of the rest, then the content. That of a band is frames, bins,
# first bin, STFT bins and median, then 16-bit levels; that of an embedding is its numbers.
_CHECKSUM = struct.Struct("<I")
_SHAPE = struct.Struct("<IIIIf")

log = logging.getLogger(__name__)


class _FileCache:
    """One file for each clip content and settings."""

    suffix: str

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self._can_write = True
        self._settings = json.dumps(settings, sort_keys=True)

    def path_of(self, clip_digest: str) -> Path:
        """Return where what belongs to the clip with that content is kept."""
        key = hashlib.blake2b(f"{clip_digest}|{self._settings}".encode(), digest_size=16)
        return self.folder / f"{key.hexdigest()}.{self.suffix}"

    def _read(self, clip_digest: str, unpack: Callable[[bytes], Any]) -> Any | None:
        path = self.path_of(clip_digest)
        try:
            return unpack(path.read_bytes()) if path.is_file() else None
        except (OSError, ValueError, struct.error):
            return None  # cut off or overwritten: made again

    def _write(self, clip_digest: str, content: bytes) -> None:
        """Keep a file. When the folder is full or read-only that is said once, then not tried."""
        if not self._can_write:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.path_of(clip_digest)) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            self._can_write = False
            log.warning(
                "cannot keep features in %s: %s; going on without",
                self.folder,
                error.strerror or error,
            )


class FeatureCache(_FileCache):
    """Keeps power bands as 16-bit levels.

    Args:
        folder: Made if it is missing.
        pipeline: Says what the bands depend on.
        for_pitch_shift: Which of a clip's two bands is kept; see ``SpectrogramPipeline.band``.
    """

    suffix = "band"

    def __init__(
        self, folder: Path, pipeline: SpectrogramPipeline, *, for_pitch_shift: bool
    ) -> None:
        config = pipeline.config
        settings = {
            "format": FORMAT_VERSION,
            "levels": [LOWEST_LEVEL_DB, LEVEL_STEP_DB],
            "resampler": RESAMPLER,
            "sr": config.sr,
            "preemphases": config.preemphases,
            "n_fft": config.n_fft,
            "hop_length": config.hop_length,
            "band": pipeline.band_limits(for_pitch_shift=for_pitch_shift),
        }
        if config.channel != MIX:
            settings["channel"] = config.channel
        super().__init__(folder, settings)
        self._band = settings["band"]
        self._n_stft_bins = config.n_fft // 2 + 1

    def get(self, clip_digest: str) -> PowerBand | None:
        """Return a kept band; None if there is none or its file is damaged or does not fit."""
        band = self._read(clip_digest, _unpack)
        if band is None:
            return None
        n_frames, n_bins = band.values.shape
        limits = (band.first_bin, band.first_bin + n_bins)
        is_level = math.isfinite(band.median) and band.median >= 0
        fits = n_frames and limits == tuple(self._band) and band.n_stft_bins == self._n_stft_bins
        return band if fits and is_level else None

    def put(self, clip_digest: str, band: PowerBand) -> None:
        """Keep a band."""
        self._write(clip_digest, _pack(band.encode()))


class EmbeddingCache(_FileCache):
    """Keeps embeddings as float32.

    Args:
        folder: Made if it is missing.
        settings: What an embedding depends on, besides the clip.
    """

    suffix = "embedding"

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        common = {"format": FORMAT_VERSION, "resampler": RESAMPLER}
        super().__init__(folder, common | dict(settings))

    def get(self, clip_digest: str) -> np.ndarray | None:
        """Return a kept embedding ``(dim,)``; None if there is none or its file is damaged."""
        found = self._read(
            clip_digest, lambda content: np.frombuffer(_checked(content), "<f4").copy()
        )
        return found if found is not None and np.isfinite(found).all() else None

    def put(self, clip_digest: str, embedding: np.ndarray) -> None:
        """Keep an embedding."""
        self._write(clip_digest, _with_checksum(np.asarray(embedding, "<f4").tobytes()))


def _pack(band: PowerBand) -> bytes:
    shape = _SHAPE.pack(*band.values.shape, band.first_bin, band.n_stft_bins, band.median)
    return _with_checksum(shape + np.ascontiguousarray(band.values, dtype="<u2").tobytes())


def _unpack(content: bytes) -> PowerBand:
    checked = _checked(content)
    n_frames, n_bins, first_bin, n_stft_bins, median = _SHAPE.unpack_from(checked)
    values = np.frombuffer(checked[_SHAPE.size :], dtype="<u2").reshape(n_frames, n_bins)
    return PowerBand(values, first_bin, n_stft_bins, median)


def _with_checksum(content: bytes) -> bytes:
    return MAGIC + _CHECKSUM.pack(zlib.crc32(content)) + content


def _checked(content: bytes) -> memoryview:
    (checksum,) = _CHECKSUM.unpack_from(content, len(MAGIC))
    checked = memoryview(content)[len(MAGIC) + _CHECKSUM.size :]
    if not content.startswith(MAGIC) or zlib.crc32(checked) != checksum:
        raise ValueError("not a whole file of this format")
    return checked
