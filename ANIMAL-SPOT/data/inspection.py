"""Look at every clip once before training: is it whole, and what does it hold?"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.audio_io import ClipError, decode, missing_bytes, read_bytes
from utils.interrupt import leave_to_main_process

SILENCE_PEAK = 1e-3  # of full scale
_CHUNK = 32  # clips handed to a process at a time
_POOL_FROM = 200  # clips; below, starting processes costs more than it saves


@dataclass(frozen=True)
class ClipInfo:
    """What an intact clip holds.

    Attributes:
        digest: Hash of the file's bytes; keys cached features and finds copies.
        duration_s: Length in seconds.
        peak: Largest absolute sample, of full scale 1.
    """

    digest: str
    duration_s: float
    peak: float


def inspect_clip(path: Path) -> ClipInfo:
    """Decode a clip.

    Raises:
        ClipError: If it is unreadable, truncated, empty or holds NaN or infinite samples.
    """
    content = read_bytes(path)
    if not content:
        raise ClipError("empty: the file has 0 bytes")
    samples, rate = decode(io.BytesIO(content))
    missing = missing_bytes(io.BytesIO(content))
    if missing:
        raise ClipError(f"truncated: {missing} bytes are missing at the end")
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise ClipError("damaged: holds samples that are not a number or infinite")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return ClipInfo(digest, len(samples) / rate, peak)


def inspect_clips(
    data_dir: Path, paths: Sequence[str], *, exclude_silent: bool, n_processes: int
) -> tuple[dict[str, ClipInfo], dict[str, str]]:
    """Decode clips, in several processes when there are many.

    Args:
        data_dir: Folder that the paths are relative to.
        paths: Clips to look at.
        exclude_silent: Count a clip whose peak is below ``SILENCE_PEAK`` as unusable.
        n_processes: At least 1.

    Returns:
        What each usable clip holds, and for each other one the reason; both keyed by path.
    """
    full_paths = [data_dir / path for path in paths]
    if n_processes > 1 and len(paths) >= _POOL_FROM:
        with ProcessPoolExecutor(n_processes, initializer=leave_to_main_process) as pool:
            results = list(pool.map(_inspect_or_reason, full_paths, chunksize=_CHUNK))
    else:
        results = [_inspect_or_reason(path) for path in full_paths]
    usable: dict[str, ClipInfo] = {}
    reasons: dict[str, str] = {}
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, str):
            reasons[path] = result
        elif exclude_silent and result.peak < SILENCE_PEAK:
            reasons[path] = f"silent: peak {result.peak:.2g} of full scale < {SILENCE_PEAK:g}"
        else:
            usable[path] = result
    return usable, reasons


def _inspect_or_reason(path: Path) -> ClipInfo | str:
    try:
        return inspect_clip(path)
    except ClipError as error:
        return str(error)
