"""Clips of background: stretches of recordings in which nothing is annotated.

Recordings get equal shares, as far as they have room. In a recording clips are spread over blocks
of time, and in a block from quiet to loud. What was cut in earlier runs counts: a further run adds
what is missing, and where nothing is, nothing.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.cutting.plan import NOISE_CLASS, AnnotatedRecording, ClipPlan

Thing = TypeVar("Thing")
BLOCK_S = 3600.0
_MOST_PLACES = 512  # in a recording, or more where many clips are wanted of it
_PLACES_PER_CLIP = 4  # that are measured, so that there is a choice of levels


@dataclass(frozen=True)
class Place:
    """Where a clip of background can be cut.

    Attributes:
        start: First sample.
        end: Sample after its last.
    """

    start: int
    end: int


Levels = Callable[[AnnotatedRecording, Sequence[Place]], np.ndarray]


@dataclass(frozen=True)
class QuietRecording:
    """A recording of which it is known where nothing is to be heard.

    Attributes:
        recording: The recording; all its events are kept away from, whatever their label.
        key: What it is called in a corpus, the same from run to run.
        earlier: Places of background that was cut before, also of such that was removed since.
        channels: What is heard of several channels, in turn.
        clock_s: Seconds from a full hour to its begin, where that is known.
    """

    recording: AnnotatedRecording
    key: str
    earlier: tuple[Place, ...] = ()
    channels: tuple[str, ...] = (MIX,)
    clock_s: float = 0.0


@dataclass(frozen=True)
class BackgroundRules:
    """What background is.

    Attributes:
        margin_s: Seconds between background and every event.
        lengths_s: Lengths of the clips of calls: those of background are drawn from them.
        class_name: Class of the clips.
        seed: Other numbers, other clips.
    """

    margin_s: float
    lengths_s: tuple[float, ...]
    class_name: str = NOISE_CLASS
    seed: int = 0


def plan_background(
    recordings: Sequence[QuietRecording], n_wanted: int, rules: BackgroundRules, levels: Levels
) -> list[ClipPlan]:
    """Plan clips of background.

    Args:
        recordings: Where they may come from.
        n_wanted: Clips that there shall be, those of earlier runs among them.
        rules: What background is.
        levels: Measures root mean squares at places in the order of time, shape ``(places,)``; NaN
            where nothing can be heard. It is called for recordings of which clips are missing.

    Returns:
        The clips that are missing; fewer than wanted where there is no room for more.
    """
    known = [len(_untouched(quiet, rules)) for quiet in recordings]
    n_missing = n_wanted - sum(known)
    if n_missing <= 0 or not rules.lengths_s:
        return []
    share = math.ceil(n_wanted / len(recordings)) if recordings else 0
    queues = [_Queue(quiet, rules, share) for quiet in recordings]
    turn = _shuffled(range(len(queues)), rules.seed, "recordings")
    while True:
        shares = _share_out(n_missing, known, [len(queue.places) for queue in queues], turn)
        unheard = [q for q, n in zip(queues, shares, strict=True) if n and not q.is_heard]
        if not unheard:
            break
        for queue in unheard:
            queue.hear(levels)
    plans = [plan for q, n in zip(queues, shares, strict=True) for plan in q.plans(n)]
    return sorted(plans, key=lambda plan: (str(plan.source), plan.start))


def free_stretches(
    recording: AnnotatedRecording, margin_s: float, taken: Iterable[Place] = ()
) -> list[Place]:
    """Return where no event with its margin is, and nothing that is taken, in the order of time."""
    rate = recording.rate
    busy = [
        (math.floor((e.start_s - margin_s) * rate), math.ceil((e.end_s + margin_s) * rate))
        for e in recording.events
    ]
    busy += [(place.start, place.end) for place in taken]
    free, position = [], 0
    for start, end in sorted([*busy, (recording.n_samples, recording.n_samples)]):
        start = min(start, recording.n_samples)
        if start > position:
            free.append(Place(position, start))
        position = max(position, end)
    return free


def events_at(recording: AnnotatedRecording, place: Place) -> list:
    """Return the events that are heard at a place; what was marked as wrong is none."""
    start_s, end_s = place.start / recording.rate, place.end / recording.rate
    return [
        e for e in recording.events if e.start_s < end_s and e.end_s > start_s and not e.is_wrong
    ]


def _untouched(quiet: QuietRecording, rules: BackgroundRules) -> list[Place]:
    """Return the places of earlier runs at which still nothing is annotated."""
    return [place for place in quiet.earlier if not events_at(quiet.recording, place)]


def _share_out(
    n_missing: int, known: Sequence[int], room: Sequence[int], turn: Sequence[int]
) -> list[int]:
    """Deal clips out so that recordings come to equal numbers, as far as they have room.

    Args:
        n_missing: Clips to deal out.
        known: Clips that each has.
        room: Clips that each can be given.
        turn: Order in which those that are equal have their turn.
    """

    def dealt(level: int) -> list[int]:
        return [min(r, max(0, level - k)) for k, r in zip(known, room, strict=True)]

    low, high = 0, max((k + r for k, r in zip(known, room, strict=True)), default=0)
    while low < high:  # the highest level that all can be brought to
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(dealt(middle)) <= n_missing else (low, middle - 1)
    shares, more = dealt(low), dealt(low + 1)
    n_left = n_missing - sum(shares)
    for i in turn:
        if n_left > 0 and more[i] > shares[i]:
            shares[i] += 1
            n_left -= 1
    return shares


class _Queue:
    """Places of a recording in the order in which clips are taken from them.

    The order does not depend on what was cut before, so that a run that goes on after another was
    killed ends where that would have ended.

    Args:
        quiet: The recording.
        rules: What background is.
        share: Clips that are about wanted of it.

    Attributes:
        places: In their order once it ``is_heard``; without what overlaps earlier clips.
    """

    def __init__(self, quiet: QuietRecording, rules: BackgroundRules, share: int) -> None:
        self._quiet, self._rules = quiet, rules
        free = free_stretches(quiet.recording, rules.margin_s)
        # A power of two, so that the places stay the same while corpora grow a little.
        most = max(_MOST_PLACES, 2 ** math.ceil(math.log2(_PLACES_PER_CLIP * max(1, share))))
        rng = _generator(rules.seed, quiet.key)
        rate = quiet.recording.rate
        self._every = _places(free, sorted(rules.lengths_s), rate, most, rng)
        self.places = _apart(self._every, quiet.earlier)
        self.is_heard = False

    def hear(self, levels: Levels) -> None:
        """Put the places in their order; those of silence and of broken sound are dropped."""
        recording = self._quiet.recording
        blocks: dict[int, list[tuple[float, Place]]] = {}
        block_s = BLOCK_S if recording.duration_s > 2 * BLOCK_S else BLOCK_S / 60
        heard = levels(recording, self._every)
        for place, level in zip(self._every, heard, strict=True):
            if level > 0:
                time_s = self._quiet.clock_s + place.start / recording.rate
                blocks.setdefault(int(time_s // block_s), []).append((float(level), place))
        rng = _generator(self._rules.seed, f"order of {self._quiet.key}")
        queues = [
            spread_evenly(sorted(blocks[block], key=lambda entry: entry[0]), rng.random())
            for block in spread_evenly(sorted(blocks), rng.random())
        ]
        rounds = itertools.zip_longest(*queues)  # one of each block, then another of each
        ordered = [entry[1] for one_of_each in rounds for entry in one_of_each if entry]
        allowed = set(self.places)
        self.places = [place for place in ordered if place in allowed]
        self.is_heard = True

    def plans(self, n: int) -> list[ClipPlan]:
        """Return the first clips."""
        path, channels = self._quiet.recording.path, self._quiet.channels
        return [
            ClipPlan(
                self._rules.class_name,
                path,
                place.start,
                place.end,
                channel=channels[place.start % len(channels)],
            )
            for place in self.places[:n]
        ]


def _places(
    free: Sequence[Place],
    lengths_s: Sequence[float],
    rate: int,
    most: int,
    rng: np.random.Generator,
) -> list[Place]:
    """Return places that do not overlap, of random lengths, spread over the free stretches.

    Args:
        free: Stretches in the order of time.
        lengths_s: Lengths to draw from, ascending.
        rate: Samples a second.
        most: Places that are about wanted; there may be a few more.
        rng: For the draws.
    """
    lengths = [max(1, round(length * rate)) for length in lengths_s]
    step = sum(place.end - place.start for place in free) // most
    places = []
    for stretch in free:
        start = stretch.start
        while stretch.end - start >= lengths[0]:
            length = lengths[int(rng.random() * len(lengths))]
            room = stretch.end - start
            if length > room:
                length = lengths[bisect_right(lengths, room) - 1]
            slack = min(max(step, length), room) - length
            start += int(rng.random() * (slack + 1))
            places.append(Place(start, start + length))
            start += length + slack // 2
    return places


def _apart(places: Sequence[Place], earlier: Iterable[Place]) -> list[Place]:
    """Return the places that overlap none of earlier ones."""
    known = sorted((place.start, place.end) for place in earlier)
    apart, i, reach = [], 0, 0
    for place in places:
        while i < len(known) and known[i][0] < place.end:
            reach = max(reach, known[i][1])
            i += 1
        if reach <= place.start:
            apart.append(place)
    return apart


def spread_evenly(items: Sequence[Thing], shift: float = 0.0) -> list[Thing]:
    """Return items in an order of which every beginning is spread evenly over all of them.

    The places are those of van der Corput's sequence, moved by ``shift``, 0 to 1.
    """
    n_items = len(items)
    n_bits = max(1, (n_items - 1).bit_length())
    ranks = sorted(range(n_items), key=lambda i: f"{i:0{n_bits}b}"[::-1])
    first = int(shift * n_items)
    return [items[(rank + first) % n_items] for rank in ranks]


def _shuffled(items: Iterable[int], seed: int, what: str) -> list[int]:
    return [int(i) for i in _generator(seed, what).permutation(list(items))]


def _generator(seed: int, what: str) -> np.random.Generator:
    """Return random numbers of their own for each purpose."""
    return np.random.default_rng([seed, *what.encode(errors="surrogateescape")])
