"""Look at every clip once before training: is it whole, and what does it hold?"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.channels import ChannelError, ChannelLevels, pick
from animal_spot.audio.clip_files import ClipError, read_bytes, samples_of
from animal_spot.audio.sound_file import (
    MemoryFile,
    SoundError,
    SoundFile,
    check_magnitude,
    scale_note,
)
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import digest_of
from animal_spot.utils.interrupt import leave_to_main_process

log = logging.getLogger(__name__)

SILENCE_PEAK = 1e-3  # of full scale
_CHUNK = 32  # clips handed to a process at a time
_POOL_FROM = 200  # clips; below, starting processes costs more than it saves


@dataclass(frozen=True)
class ClipInfo:
    """What an intact clip holds.

    Attributes:
        digest: Hash of the file's bytes; keys cached features and finds copies.
        duration_s: Length in seconds.
        peak: Largest absolute sample of what is heard, of full scale 1.
        notes: What is probably not as it was meant.
    """

    digest: str
    duration_s: float
    peak: float
    notes: tuple[str, ...] = ()


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
            samples, rate, is_float = samples_of(file), file.rate, file.is_float
            notes = list(file.notes)
        heard = pick(samples, channel)
        peak = check_magnitude(heard)
    except (SoundError, ChannelError) as error:
        raise ClipError(str(error)) from error
    except MemoryError as error:
        raise ClipError("too long: there is not enough memory to read it") from error
    if channel == MIX and samples.shape[1] > 1:
        notes += ChannelLevels.of(samples).problems(rate)
    if is_float and (note := scale_note(peak)):
        notes.append(note)
    return ClipInfo(digest_of(content), len(samples) / rate, peak, tuple(notes))


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
        if isinstance(result, str):
            reasons[path] = result
        elif exclude_silent and result.peak < SILENCE_PEAK:
            reasons[path] = f"silent: peak {result.peak:.2g} of full scale < {SILENCE_PEAK:g}"
        else:
            usable[path] = result
    return usable, reasons


def _inspect_or_reason(path: Path, channel: str) -> ClipInfo | str:
    try:
        return inspect_clip(path, channel)
    except ClipError as error:
        return str(error)


def map_in_processes(
    function: Callable[[Path], ClipInfo | str], paths: Sequence[Path], n_processes: int
) -> list[ClipInfo | str]:
    """Apply a function to files in several processes, one of which may be killed.

    When that happens, as where memory is short, the files that were in hand then are taken one at
    a time; the one at which a process ends once more gets a reason in place of a result.
    """
    results: list[ClipInfo | str | None] = [None] * len(paths)
    todo = list(range(len(paths)))
    while todo:
        try:
            with ProcessPoolExecutor(n_processes, initializer=leave_to_main_process) as pool:
                chunks = [todo[i : i + _CHUNK] for i in range(0, len(todo), _CHUNK)]
                futures = [pool.submit(_map, function, [paths[i] for i in c]) for c in chunks]
                for chunk, future in zip(chunks, futures, strict=True):
                    with contextlib.suppress(BrokenProcessPool):
                        for i, result in zip(chunk, future.result(), strict=True):
                            results[i] = result
        except BrokenProcessPool:
            pass  # while files were handed out
        except (OSError, RuntimeError) as error:  # no more processes or threads can be had
            log.warning("one process looks into the clips: %s", one_line(error))
            return [results[i] or function(paths[i]) for i in range(len(paths))]
        todo = [i for i in todo if results[i] is None]
        n_in_hand = _CHUNK * (2 * n_processes + 1)
        in_hand, todo = todo[:n_in_hand], todo[n_in_hand:]
        found = _one_by_one(function, [paths[i] for i in in_hand])
        for i, result in zip(in_hand, found, strict=True):
            results[i] = result
    return results


def _map(function: Callable[[Path], ClipInfo | str], paths: Sequence[Path]) -> list:
    return [function(path) for path in paths]


def _one_by_one(
    function: Callable[[Path], ClipInfo | str], paths: Sequence[Path]
) -> list[ClipInfo | str]:
    """Apply a function to files in a process that any of them may take down with it."""
    results: list[ClipInfo | str] = []
    while len(results) < len(paths):
        with ProcessPoolExecutor(1, initializer=leave_to_main_process) as pool:
            try:
                for path in paths[len(results) :]:
                    results.append(pool.submit(function, path).result())
            except BrokenProcessPool:
                results.append(
                    "cannot be looked into: the process was killed, probably for want of memory"
                )
    return results
