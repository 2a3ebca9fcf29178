"""Some detections of each class, drawn at random, to look at and to listen to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from animal_spot.reporting.examples import LOUDNESS_NOTE, Examples
from animal_spot.reporting.found_recordings import shown_names
from animal_spot.reporting.found_settings import Settings
from animal_spot.reporting.found_tables import Found
from animal_spot.reporting.page import Note, Section, Sound, Sounds, Text
from animal_spot.reporting.wanted import Wanted

_MOST_SOUNDS = 60  # of a prediction
_HIGH_BAND_HZ = 10_000.0  # of bands that begin higher, what is below is not shown
_ABOVE = 1.15  # times the band is shown


def examples_section(
    found: Found, settings: Settings, calls: Sequence[int], wanted: Wanted
) -> Section | None:
    """Return examples of each class; None: none are wanted, or there are none.

    Args:
        found: What was found.
        settings: Of the prediction.
        calls: Indexes of the classes that are calls, the most frequent first.
        wanted: How many, and the seed of the drawing.
    """
    its = found.detections
    if its is None or not wanted.examples or not len(its):
        return None
    classes = [c for c in calls if (its.label == c).any()]
    n_each = max(1, min(wanted.examples, _MOST_SOUNDS // max(1, len(classes))))
    left_out = classes[_MOST_SOUNDS:]
    names = shown_names([one.file for one in found.recordings])
    blocks: list[Note | Sounds | Text] = [Text((f"The frame is the detection. {LOUDNESS_NOTE}",))]
    with Examples(wanted) as examples:
        for label in classes[:_MOST_SOUNDS]:
            among = np.flatnonzero(its.label == label)
            n = min(n_each, len(among))
            rng = np.random.default_rng([wanted.seed, label])
            drawn = np.sort(rng.choice(among, n, replace=False))
            items = [_sound(examples, found, settings, int(i), names, wanted) for i in drawn]
            which = f"{n} of {len(among):,} detections" if n < len(among) else "all detections"
            title = f"{found.classes[label]}: {which}" + (", drawn at random" * (n < len(among)))
            blocks.append(Sounds(title, items))
    if left_out:
        blocks.append(Note(f"{len(left_out)} more classes have no examples here."))
    return Section("Examples", blocks)


def _sound(
    examples: Examples,
    found: Found,
    settings: Settings,
    index: int,
    names: Sequence[str],
    wanted: Wanted,
) -> Sound:
    its = found.detections
    number = int(its.recording[index])
    recording = found.recordings[number]
    begin_s, end_s = float(its.begin_s[index]), float(its.end_s[index])
    score = float(its.score[index])
    title = found.classes[int(its.label[index])]
    if np.isfinite(score):
        title += f", score {score:.2f}"
    lines = [names[number], f"at {_clock(begin_s)} of the recording"]
    low_hz, high_hz = float(its.low_hz[index]), float(its.high_hz[index])
    box = (low_hz, high_hz) if 0 <= low_hz < high_hz else None
    return examples.sound(
        where_it_is(its.paths.get(number, recording.file), wanted.recordings),
        begin_s,
        end_s,
        title=title,
        lines=lines,
        band_hz=_shown_band(settings, box),
        box=box,
    )


def _shown_band(settings: Settings, box: tuple[float, float] | None) -> tuple[float, float | None]:
    low_hz, high_hz = settings.fmin_hz, settings.fmax_hz
    if low_hz is None or high_hz is None:
        if box is None:
            return 0.0, None
        low_hz, high_hz = box
    return (low_hz / _ABOVE if low_hz > _HIGH_BAND_HZ else 0.0), high_hz * _ABOVE


def where_it_is(path: str, folder: Path | None) -> Path:
    """Return where a recording is now.

    Args:
        path: Where it was.
        folder: Where recordings are now; the most of the old folders that is there too counts.
    """
    if folder is not None:
        parts = [part for part in re.split(r"[/\\]", path) if part and part != ".."]
        for first in range(len(parts)):
            moved = folder.joinpath(*parts[first:])
            if moved.is_file():
                return moved
    return Path(path)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
