"""Look at every clip once before training: is it whole, and what does it hold?"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.channels import ChannelError, ChannelLevels, pick
from animal_spot.audio.clip_files import LONGEST_CLIP_S, ClipError, read_bytes, samples_of
from animal_spot.audio.sound_file import (
    MemoryFile,
    SoundError,
    SoundFile,
    check_magnitude,
    scale_note,
)
from animal_spot.data.labels import Clip
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import digest_of
from animal_spot.utils.interrupt import leave_to_main_process

log = logging.getLogger(__name__)

Item = TypeVar("Item")

SILENCE_PEAK = 1e-3  # of full scale
_CHUNK = 32  # clips handed to a process at a time
_PARTS = 8  # of a recording that are looked at in one go
_OVERSHOOT_S = 0.1
_NO_MEMORY = "too long: there is not enough memory to read it"
_POOL_FROM = 200  # clips; below, starting processes costs more than it saves


@dataclass(frozen=True)
class ClipInfo:
    """What an intact clip holds.

    Attributes:
        digest: Hash of the file's bytes, or of a part's samples; keys cached features and finds
            copies.
        duration_s: Length in seconds.
        peak: Largest absolute sample of what is heard, of full scale 1.
        notes: What is probably not as it was meant.
        span: First sample and number of samples of a part of a file; None: all of it.
    """

    digest: str
    duration_s: float
    peak: float
    notes: tuple[str, ...] = ()
    span: tuple[int, int] | None = None


def inspect_clip(path: Path, channel: str = MIX) -> ClipInfo:
    """Decode a clip.

    Args:
        path: The file.
        channel: What is heard of a file with several, see ``audio.channels``.

    Raises:
        ClipError: If it is unreadable, truncated or empty, does not have that channel, or holds
            what no recorder writes: NaN, infinity, absurd numbers or an absurd sampling rate.
    """
    content = read_bytes(path)
    try:
        with contextlib.closing(SoundFile(MemoryFile(content))) as file:
            samples = samples_of(file)
        return _info_of(samples, file, digest_of(content), channel)
    except (SoundError, ChannelError) as error:
        raise ClipError(str(error)) from error
    except MemoryError as error:
        raise ClipError(_NO_MEMORY) from error


def inspect_parts(
    path: Path, spans_s: Sequence[tuple[float, float]], channel: str = MIX
) -> list[ClipInfo | str]:
    """Decode parts of a recording, and nothing else of it.

    A part that ends up to ``_OVERSHOOT_S`` after the recording, as tables round, ends with it.

    Args:
        path: The file.
        spans_s: Start and end of each part, in seconds.
        channel: What is heard of a file with several, see ``audio.channels``.

    Returns:
        What each part holds, or why it cannot be used.
    """
    try:
        with contextlib.closing(SoundFile(path)) as file:
            return [_part_or_reason(file, start_s, end_s, channel) for start_s, end_s in spans_s]
    except SoundError as error:
        return [str(error)] * len(spans_s)
    except OSError as error:
        return [f"unreadable: {error.strerror or error}"] * len(spans_s)


def _part_or_reason(file: SoundFile, start_s: float, end_s: float, channel: str) -> ClipInfo | str:
    rate, length = file.rate, file.n_frames
    if start_s < 0 or end_s > length / rate + _OVERSHOOT_S or start_s * rate >= length:
        return (
            f"{start_s:g} s to {end_s:g} s is not within the recording, which lasts "
            f"{length / rate:.3f} s"
        )
    if end_s - start_s > LONGEST_CLIP_S:
        return (
            f"too long: {(end_s - start_s) / 3600:.1f} hours, and clips may last "
            f"{LONGEST_CLIP_S // 3600}"
        )
    first = round(start_s * rate)
    n_samples = min(round(end_s * rate), length) - first
    if n_samples < 1:
        return f"{start_s:g} s to {end_s:g} s holds no sample"
    try:
        samples = samples_of(file, (first, n_samples))
        if not len(samples):
            return f"nothing can be read from {start_s:g} s on"
        digest = digest_of(f"{rate} {samples.shape}".encode() + samples.tobytes())
        return dataclasses.replace(
            _info_of(samples, file, digest, channel), span=(first, len(samples))
        )
    except (SoundError, ChannelError) as error:
        return str(error)
    except MemoryError:
        return _NO_MEMORY


def _info_of(samples: np.ndarray, file: SoundFile, digest: str, channel: str) -> ClipInfo:
    """Return what samples ``(samples, channel)`` of a file hold.

    Raises:
        SoundError: If they are what no recorder writes.
        ChannelError: If there is no such channel.
    """
    notes = list(file.notes)
    peak = check_magnitude(pick(samples, channel))
    if channel == MIX and samples.shape[1] > 1:
        notes += ChannelLevels.of(samples).problems(file.rate)
    if file.is_float and (note := scale_note(peak)):
        notes.append(note)
    return ClipInfo(digest, len(samples) / file.rate, peak, tuple(notes))


def inspect_labelled(
    folder: Path,
    clips: Sequence[Clip],
    *,
    exclude_silent: bool,
    n_processes: int,
    channel: str = MIX,
) -> tuple[dict[str, ClipInfo], dict[str, str]]:
    """Decode labelled clips, files and parts of files; see ``inspect_clips``.

    Args:
        folder: What ``Clip.file`` is relative to.
        clips: To look at.
        exclude_silent: Count silent clips as unusable.
        n_processes: At least 1.
        channel: What is heard of clips with several.

    Returns:
        As ``inspect_clips``, keyed by ``Clip.path``.
    """
    usable, reasons = inspect_clips(
        folder,
        [clip.path for clip in clips if clip.span_s is None],
        exclude_silent=exclude_silent,
        n_processes=n_processes,
        channel=channel,
    )
    by_file: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.span_s is not None:
            by_file[clip.file].append(clip)
    groups = [
        tuple(found[i : i + _PARTS])
        for found in by_file.values()
        for i in range(0, len(found), _PARTS)
    ]
    inspect = functools.partial(_inspect_group, folder, channel)
    if n_processes > 1 and sum(map(len, groups)) >= _POOL_FROM:
        results = map_in_processes(inspect, groups, n_processes)
    else:
        results = [inspect(group) for group in groups]
    for group, found in zip(groups, results, strict=True):
        each = [found] * len(group) if isinstance(found, str) else found
        for clip, result in zip(group, each, strict=True):
            _sort_in(clip.path, result, usable, reasons, exclude_silent=exclude_silent)
    return usable, reasons


def _inspect_group(folder: Path, channel: str, group: Sequence[Clip]) -> list[ClipInfo | str]:
    return inspect_parts(folder / group[0].file, [clip.span_s for clip in group], channel)


def inspect_clips(
    data_dir: Path,
    paths: Sequence[str],
    *,
    exclude_silent: bool,
    n_processes: int,
    channel: str = MIX,
) -> tuple[dict[str, ClipInfo], dict[str, str]]:
    """Decode clips, in several processes when there are many.

    Args:
        data_dir: Folder that the paths are relative to.
        paths: Clips to look at.
        exclude_silent: Count a clip whose peak is below ``SILENCE_PEAK`` as unusable.
        n_processes: At least 1.
        channel: What is heard of clips with several, see ``audio.channels``.

    Returns:
        What each usable clip holds, and for each other one the reason; both keyed by path.
    """
    full_paths = [data_dir / path for path in paths]
    inspect = functools.partial(_inspect_or_reason, channel=channel)
    if n_processes > 1 and len(paths) >= _POOL_FROM:
        results = map_in_processes(inspect, full_paths, n_processes)
    else:
        results = [inspect(path) for path in full_paths]
    usable: dict[str, ClipInfo] = {}
    reasons: dict[str, str] = {}
    for path, result in zip(paths, results, strict=True):
        _sort_in(path, result, usable, reasons, exclude_silent=exclude_silent)
    return usable, reasons


def _sort_in(
    path: str,
    result: ClipInfo | str,
    usable: dict[str, ClipInfo],
    reasons: dict[str, str],
    *,
    exclude_silent: bool,
) -> None:
    """Put what was found of a clip where it belongs."""
    if isinstance(result, str):
        reasons[path] = result
    elif exclude_silent and result.peak < SILENCE_PEAK:
        reasons[path] = f"silent: peak {result.peak:.2g} of full scale < {SILENCE_PEAK:g}"
    else:
        usable[path] = result


def _inspect_or_reason(path: Path, channel: str) -> ClipInfo | str:
    try:
        return inspect_clip(path, channel)
    except ClipError as error:
        return str(error)


def map_in_processes(
    function: Callable[[Item], Any], items: Sequence[Item], n_processes: int
) -> list[Any]:
    """Apply a function to files, or parts of them, in several processes that may be killed.

    When that happens, as where memory is short, the files that were in hand then are taken one at
    a time; the one at which a process ends once more gets a reason in place of a result.
    """
    results: list[Any] = [None] * len(items)
    todo = list(range(len(items)))
    while todo:
        try:
            with ProcessPoolExecutor(n_processes, initializer=leave_to_main_process) as pool:
                chunks = [todo[i : i + _CHUNK] for i in range(0, len(todo), _CHUNK)]
                futures = [pool.submit(_map, function, [items[i] for i in c]) for c in chunks]
                for chunk, future in zip(chunks, futures, strict=True):
                    with contextlib.suppress(BrokenProcessPool):
                        for i, result in zip(chunk, future.result(), strict=True):
                            results[i] = result
        except BrokenProcessPool:
            pass  # while files were handed out
        except (OSError, RuntimeError) as error:  # no more processes or threads can be had
            log.warning("one process looks into the clips: %s", one_line(error))
            return [results[i] or function(items[i]) for i in range(len(items))]
        todo = [i for i in todo if results[i] is None]
        n_in_hand = _CHUNK * (2 * n_processes + 1)
        in_hand, todo = todo[:n_in_hand], todo[n_in_hand:]
        found = _one_by_one(function, [items[i] for i in in_hand])
        for i, result in zip(in_hand, found, strict=True):
            results[i] = result
    return results


def _map(function: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
    return [function(item) for item in items]


def _one_by_one(function: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
    """Apply a function to files in a process that any of them may take down with it."""
    results: list[Any] = []
    while len(results) < len(items):
        with ProcessPoolExecutor(1, initializer=leave_to_main_process) as pool:
            try:
                for item in items[len(results) :]:
                    results.append(pool.submit(function, item).result())
            except BrokenProcessPool:
                results.append(
                    "cannot be looked into: the process was killed, probably for want of memory"
                )
    return results
