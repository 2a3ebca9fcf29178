"""Scored events to look at and hear: mistakes and hits, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from animal_spot.evaluation.scored_events import FALSE, HIT, MISSED, OTHER_NAME
from animal_spot.reporting.drawing_lots import drawn, most_sounds, none_there
from animal_spot.reporting.examples import LOUDNESS_NOTE, Examples
from animal_spot.reporting.found_examples import where_it_is
from animal_spot.reporting.page import Block, Sound, Sounds
from animal_spot.reporting.scored import ScoredRow, band_hz
from animal_spot.reporting.wanted import Wanted

_ABOVE = 1.15  # times the band is shown
_FRAME = "The frame is the call; of a false alarm it is what was found."
_TITLES = {
    FALSE: "False alarms",
    MISSED: "Missed calls",
    OTHER_NAME: "Calls found under another name",
    HIT: "Calls found rightly",
}


def example_blocks(folder: Path, rows: Sequence[ScoredRow], wanted: Wanted) -> list[Block]:
    """Return examples of each kind.

    Args:
        folder: Of the evaluation.
        rows: Of its table of scored events.
        wanted: How many, and the seed of the drawing.
    """
    if note := none_there((row.file for row in rows), wanted.recordings):
        return [note]
    blocks: list[Block] = []
    n_each = -(-wanted.examples // len(_TITLES))
    with Examples(wanted) as examples:
        for kind, title in _TITLES.items():
            of_class: dict[str, list[ScoredRow]] = {}
            for row in rows:
                if row.kind == kind:
                    of_class.setdefault(row.true_class or row.found_class or "", []).append(row)
            n_all = sum(map(len, of_class.values()))
            chosen = [
                row
                for name in sorted(of_class)
                for row in drawn(of_class[name], n_each, f"{wanted.seed}|{kind}|{name}")
            ]
            chosen = drawn(chosen, most_sounds(wanted, len(_TITLES)), f"{wanted.seed}|{kind}")
            if chosen:
                sounds = [_sound(examples, folder, row, wanted) for row in chosen]
                which = (
                    "All of them."
                    if len(chosen) == n_all
                    else f"Up to {n_each} of each class, drawn at random."
                )
                title = f"{title}: {len(chosen)} of {n_all:,}"
                blocks.append(Sounds(title, sounds, f"{which} {_FRAME} {LOUDNESS_NOTE}"))
    return blocks


def _sound(examples: Examples, folder: Path, row: ScoredRow, wanted: Wanted) -> Sound:
    low_hz, high_hz = band_hz(folder, row.recording)
    titles = {
        FALSE: f"{row.found_class}: nothing is there",
        MISSED: f"{row.true_class}, missed",
        OTHER_NAME: f"{row.true_class}, found as {row.found_class}",
        HIT: f"{row.true_class}",
    }
    lines = [f"{row.recording}, at {row.begin_s:.2f} s"]
    if row.score is not None:
        lines.append(f"Score {row.score:.2f}")
    return examples.sound(
        *(where_it_is(row.file, wanted.recordings), row.begin_s, row.end_s),
        title=titles[row.kind],
        lines=lines,
        band_hz=(0.0 if low_hz < 1000 else low_hz / _ABOVE, high_hz and high_hz * _ABOVE),
    )
