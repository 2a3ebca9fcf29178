"""Divide recordings in time where there are too few of them for a split by tape. Pure functions.

Such a split flatters: what sounds alike all through a recording, its noise and its animals, is
then heard in training too.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from animal_spot.data.labels import Clip, ClipNameError, parse_clip
from animal_spot.data.splits import (
    MISSING_COST,
    PARTITIONS,
    Split,
    leaking_tapes,
    misplaced,
    split_by_tape,
    split_in_groups,
)

FLATTERS = "split by time within recordings: figures flatter"
IN_A_GAP = "lies between blocks of its recording that are in different parts of the split by time"
KNOWN_RECORDING = "its recording is divided by time, and the stored split does not list it"

# Blocks of each recording, the fewest that suffice: they have the fewest neighbours elsewhere.
_N_BLOCKS = (3, 4, 5, 6, 8, 10, 13, 16, 20, 26, 32, 40)
_MOST_BLOCKS = 300  # of all recordings, where more than three of each are tried
_SUFFICES = 0.1  # share of clips left out, and of a class, on average, in another part than wanted
_ROUNDING_S = 1e-6
_CHOSEN_FIRST = ("test", "val", "train")  # those before keep their clips at a border


@dataclass(frozen=True)
class Place:
    """Where a clip was cut.

    Attributes:
        clock: What its times are relative to: a file, what a table calls its source, or its tape.
        recording: Name of that.
        start_s: Start, in seconds.
        end_s: End, in seconds.
    """

    clock: str
    recording: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TimeSplit:
    """A split by time.

    Attributes:
        split: Its clips.
        left_out: Clips between blocks of different partitions.
        undivided: Tapes that would have been divided, if all their clips said when they begin.
    """

    split: Split
    left_out: tuple[Clip, ...] = ()
    undivided: tuple[str, ...] = ()

    @property
    def divides(self) -> bool:
        """Whether a recording is in several partitions."""
        return bool(self.left_out or leaking_tapes(self.split))


def place_of(clip: Clip, source: tuple[str, float] | None, duration_s: float) -> Place | None:
    """Return where a clip was cut; None if nothing says it.

    Args:
        clip: The clip.
        source: Its recording and start in seconds, if a table says them.
        duration_s: Its length in seconds.
    """
    if clip.span_s is not None:
        return Place("file", clip.file, *clip.span_s)
    if source is not None:
        return Place("source", source[0], source[1], source[1] + duration_s)
    try:
        parse_clip(clip.path)
        start_s, end_s = (float(ms) / 1000 for ms in PurePosixPath(clip.path).stem.split("_")[-2:])
    except (ClipNameError, ValueError):
        return None
    if clip.tape is None or not math.isfinite(start_s) or not math.isfinite(end_s):
        return None
    return Place("tape", clip.tape, start_s, max(end_s, start_s + duration_s))


def split_by_time(
    clips: Sequence[Clip], places: Mapping[str, Place | None], seed: int = 0
) -> TimeSplit:
    """Split by tape, or where a class lacks tapes for that, its recordings by time.

    Recordings with clips of such classes are divided into blocks of consecutive clips, which are
    dealt as tapes are; all others stay whole. Between clips of different partitions in a recording
    lies more than the longest clip of these recordings: those in between are left out.

    Args:
        clips: Each with a tape. Their order does not matter.
        places: Of each clip by its path; a tape with a clip that has none is not divided.
        seed: Same seed, clips and places, same split.
    """
    clips = sorted(clips)
    whole = split_by_tape(clips, seed)
    lacking = lacking_classes(whole)
    wanted = {clip.tape for clip in clips if clip.class_name in lacking}
    whole_tapes = _whole_tapes(clips, places, wanted)
    undivided = tuple(sorted(wanted & whole_tapes))
    tracks: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.tape not in whole_tapes:
            place = places[clip.path]
            tracks[place.clock, place.recording].append(clip)
    if not tracks:
        return TimeSplit(whole, undivided=undivided)
    for track in tracks.values():
        track.sort(key=lambda clip: (places[clip.path].start_s, places[clip.path].end_s, clip))
    found = []
    for n_blocks in _N_BLOCKS:
        if n_blocks > _N_BLOCKS[0] and n_blocks * len(tracks) > _MOST_BLOCKS:
            break
        split = _dealt(clips, list(tracks.values()), places, n_blocks, seed)
        n_kept = sum(len(split[partition]) for partition in PARTITIONS)
        cost = (_missing_cost(split, clips), _deviation(split, clips), 1 - n_kept / len(clips))
        found.append(((cost[0], sum(cost[1:])), n_blocks, split))
        if cost[0] == 0 and max(cost[1:]) <= _SUFFICES:
            break
        if n_blocks >= max(map(len, tracks.values())):
            break
    _, _, split = min(found, key=lambda one: one[:2])
    kept = {clip.path for partition in PARTITIONS for clip in split[partition]}
    left_out = tuple(clip for clip in clips if clip.path not in kept)
    return TimeSplit(split, left_out, undivided)


def lacking_classes(split: Split) -> set[str]:
    """Return the classes that are not in every partition."""
    found = [{clip.class_name for clip in split[partition]} for partition in PARTITIONS]
    return set().union(*found) - set.intersection(*found)


def _whole_tapes(
    clips: Sequence[Clip], places: Mapping[str, Place | None], wanted: set[str | None]
) -> set[str | None]:
    """Return the tapes that stay whole: those that need not be divided, or cannot.

    A recording in which there is a tape that cannot be divided is not divided either; one with a
    tape that is divided is divided for all its tapes.
    """
    clocks: dict[str | None, set[str | None]] = defaultdict(set)
    together: dict[tuple[str, str], set[str | None]] = defaultdict(set)
    for clip in clips:
        place = places[clip.path]
        clocks[clip.tape].add(None if place is None else place.clock)
        if place is not None:
            together[place.clock, place.recording].add(clip.tape)
    divided = _with_neighbours(wanted, together)
    fixed = {tape for tape, found in clocks.items() if None in found or len(found) > 1}
    return (clocks.keys() - divided) | _with_neighbours(fixed, together)


def _with_neighbours(
    tapes: set[str | None], together: Mapping[tuple[str, str], set[str | None]]
) -> set[str | None]:
    """Add the tapes that share a recording with one of them, until there are no more."""
    found = set(tapes)
    while more := {t for group in together.values() if group & found for t in group} - found:
        found |= more
    return found


def _dealt(
    clips: Sequence[Clip],
    tracks: Sequence[Sequence[Clip]],
    places: Mapping[str, Place | None],
    n_blocks: int,
    seed: int,
) -> Split:
    """Deal so many blocks of each recording, and what is whole, and make the gaps.

    Args:
        clips: All clips.
        tracks: Clips of each recording that is divided, by their start.
        places: Of each clip by its path.
        n_blocks: Of each recording.
        seed: As in ``split_by_time``.
    """
    groups = {clip.path: (clip.tape, -1, -1) for clip in clips}
    for number, track in enumerate(tracks):
        borders = _borders([places[clip.path] for clip in track], n_blocks)
        for i, clip in enumerate(track):
            groups[clip.path] = ("", number, bisect.bisect_right(borders, i))
    split = split_in_groups(clips, groups, seed)
    partition_of = {clip.path: name for name in PARTITIONS for clip in split[name]}
    gap_s = _ROUNDING_S + max(
        places[clip.path].end_s - places[clip.path].start_s for track in tracks for clip in track
    )
    left_out = set()
    for track in tracks:
        left_out |= _too_near(
            [(clip.path, places[clip.path]) for clip in track], partition_of, gap_s
        )
    return Split(
        **{name: tuple(c for c in split[name] if c.path not in left_out) for name in PARTITIONS}
    )


def _borders(places: Sequence[Place], n_blocks: int) -> list[int]:
    """Return the first clip of each block but the first: near an equal share, at a wide gap."""
    ends = list(itertools.accumulate((place.end_s for place in places), max))
    size = len(places) / n_blocks
    borders: set[int] = set()
    for number in range(1, n_blocks):
        middle, reach = round(number * size), int(size / 4)
        near = range(max(1, middle - reach), min(len(places), middle + reach + 1))
        if near:
            gaps = {i: round(places[i].start_s - ends[i - 1], 3) for i in near}
            borders.add(max(near, key=lambda i: (gaps[i], -abs(i - middle))))
    return sorted(borders)


def _too_near(
    track: Sequence[tuple[str, Place]], partition_of: Mapping[str, str], gap_s: float
) -> set[str]:
    """Return the clips of a recording that are not farther than ``gap_s`` from another partition.

    Those of test stay, those of val give way to them, and those of train to both.
    """
    left_out: set[str] = set()
    kept: list[tuple[float, float]] = []  # starts and ends of the partitions before, by start
    for partition in _CHOSEN_FIRST:
        starts = [start for start, _ in kept]
        ends = list(itertools.accumulate((end for _, end in kept), max))
        of_this = [(path, place) for path, place in track if partition_of[path] == partition]
        for path, place in of_this:
            n_before = bisect.bisect_right(starts, place.end_s + gap_s)
            if n_before and ends[n_before - 1] >= place.start_s - gap_s:
                left_out.add(path)
        kept += [(p.start_s, p.end_s) for path, p in of_this if path not in left_out]
        kept.sort()
    return left_out


def _missing_cost(split: Split, clips: Sequence[Clip]) -> float:
    """Return what classes cost that are missing from partitions."""
    n_classes = len({clip.class_name for clip in clips})
    found = [len({clip.class_name for clip in split[partition]}) for partition in PARTITIONS]
    return sum(c * (n_classes - n) for c, n in zip(MISSING_COST.tolist(), found, strict=True))


def _deviation(split: Split, clips: Sequence[Clip]) -> float:
    """Return which share of a class is in another partition than wanted, on average."""
    names = sorted({clip.class_name for clip in clips})
    return sum(misplaced(split, name) for name in names) / len(names)


def flatters_warning(split: Split, n_left_out: int = 0) -> str:
    """Say that figures flatter, and why.

    Args:
        split: A split by time.
        n_left_out: Clips that were left out when it was made, if it was now.
    """
    gaps = f"; {n_left_out} clips between them are left out" if n_left_out else ""
    return (
        f"{FLATTERS}: {len(leaking_tapes(split))} recordings (tapes) lie in several parts of the "
        f"split, in blocks{gaps}; expect less of recordings that the network has not heard"
    )


def of_new_recordings(split: Split, clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips whose tape and file a split does not have; no others may join it."""
    listed = [clip for partition in PARTITIONS for clip in split[partition]]
    tapes = {clip.tape for clip in listed}
    files = {clip.file for clip in listed}
    return [clip for clip in clips if clip.tape not in tapes and clip.file not in files]
