"""The part of a report that tells of review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.figures.score_curves import ScoreCurvePanel, score_curves_figure
from animal_spot.reporting import review_tables
from animal_spot.reporting.drawing_lots import drawn, most_sounds, none_there
from animal_spot.reporting.examples import LOUDNESS_NOTE, Examples
from animal_spot.reporting.found_examples import where_it_is
from animal_spot.reporting.page import Block, Note, Section, Sound, Sounds, Text
from animal_spot.reporting.pictures import picture
from animal_spot.reporting.review_rounds import rounds_sections
from animal_spot.reporting.reviewed import Reviewed, read_review, review_of
from animal_spot.reporting.wanted import Wanted
from animal_spot.reviewing.judged import Judged
from animal_spot.utils.errors import one_line
from animal_spot.utils.intervals import wilson_interval

_MOST_PANELS = 12  # of a figure
_ABOVE = 1.15  # of the highest box, so far the pictures reach
_GROUPS = {
    "wrong": "Detections that are no call",
    "other": "Calls that have another class",
    "right": "Detections that are right",
}


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say.

    Raises:
        SourceError: If what the files hold cannot be used.
        OSError: If something cannot be read.
    """
    review = read_review(path)
    made = [
        Section("State of the review", _state(review)),
        Section("How much of it is right", _trust(review)),
    ]
    corrections: list[Block] = [
        *filter(None, [review_tables.other_names_table(review)]),
        *review_tables.missed_blocks(review),
    ]
    if corrections:
        made.append(Section("Corrections", corrections))
    if wanted.examples and (examples := _examples(review, wanted)):
        made.append(Section("Reviewed examples", examples))
    if rounds := rounds_sections(path):
        made.append(Section("Retraining", rounds))
    return made


def review_state(folder: Path) -> list[Block]:
    """Return what reviewers said of a prediction; nothing without a review of it.

    Args:
        folder: Of the prediction.
    """
    path = review_of(folder)
    if path is None:
        return []
    try:
        review = read_review(path)
    except (OSError, ValueError) as error:
        return [Note(f"Its review is left out: {one_line(error)}.", is_warning=True)]
    return [
        Text((f"By {path.name}.",)),
        review_tables.state_facts(review),
        *review_tables.precision_blocks(review),
    ]


def _state(review: Reviewed) -> list[Block]:
    blocks: list[Block] = [review_tables.state_facts(review)]
    gone = sum(one.missing for one in review.recordings)
    if gone:
        text = f"{gone} of {len(review.recordings)} recordings were not where they had been."
        blocks.append(Note(text, is_warning=True))
    if review.reviewers:
        blocks.append(review_tables.reviewers_table(review))
    else:
        blocks.append(Note("Nothing has been decided yet."))
    return [*blocks, *filter(None, [review_tables.agreement_table(review)])]


def _trust(review: Reviewed) -> list[Block]:
    blocks = review_tables.precision_blocks(review)
    classes = [one for one in review.summary["classes"] if one["reviewed"]]
    shown = sorted(classes, key=lambda one: -one["detections"])[:_MOST_PANELS]
    if shown:
        figure = score_curves_figure(
            [_panel(one) for one in shown], title="How often detections of a score are right"
        )
        blocks.append(
            picture(
                figure,
                "score_curves",
                "How often detections of a score are right",
                "Points: reviewed detections of a score bin with 95 % intervals. Line and band: "
                "the curve fitted to them. Dashed: from there on the detections are as often right "
                "as it says.",
                is_wide=len(shown) > 2,
            )
        )
    return [*blocks, *filter(None, [review_tables.thresholds_table(classes)])]


def _panel(one: dict[str, Any]) -> ScoreCurvePanel:
    curve = [[at[key] for key in ("score", "value", "low", "high")] for at in one["logistic"]]
    bins = [
        (
            *(bin_["low"], bin_["high"], bin_["right"] / bin_["reviewed"]),
            *wilson_interval(bin_["right"], bin_["reviewed"]),
            bin_["reviewed"],
        )
        for bin_ in one["bins"]
        if bin_["reviewed"]
    ]
    return ScoreCurvePanel(
        one["class"],
        np.array(curve).reshape(-1, 4),
        np.array(bins).reshape(-1, 6),
        [
            (wanted["precision"], wanted["threshold"])
            for wanted in one["wanted"]
            if wanted["threshold"] is not None
        ],
    )


# --- to look at and hear --------------------------------------------------------------------------


def _examples(review: Reviewed, wanted: Wanted) -> list[Block]:
    places = (str(row.recording.path) for row in review.judged)
    if note := none_there(places, wanted.recordings):
        return [note]
    heights = [row.high_hz for row in review.judged if row.high_hz]
    band_hz = (0.0, max(heights) * _ABOVE if heights else None)
    n = -(-wanted.examples // len(_GROUPS))
    blocks: list[Block] = []
    with Examples(wanted) as examples:
        for verdict, title in _GROUPS.items():
            of_class: dict[str, list[Judged]] = {}
            for row in review.judged:
                if row.verdict == verdict and row.source == "prediction":
                    of_class.setdefault(row.predicted or "", []).append(row)
            chosen = [
                row
                for name in sorted(of_class)
                for row in drawn(of_class[name], n, f"{wanted.seed}|{verdict}|{name}")
            ]
            chosen = drawn(chosen, most_sounds(wanted, len(_GROUPS)), f"{wanted.seed}|{verdict}")
            if chosen:
                sounds = [_sound(examples, row, wanted, band_hz) for row in chosen]
                note = f"Up to {n} of each class that was found, drawn at random. {LOUDNESS_NOTE}"
                blocks.append(Sounds(title, sounds, note))
    return blocks


def _sound(
    examples: Examples, row: Judged, wanted: Wanted, band_hz: tuple[float, float | None]
) -> Sound:
    path = where_it_is(str(row.recording.path), wanted.recordings)
    found = row.predicted or "nothing"
    title = f"{found}, in truth {row.class_name}" if row.verdict == "other" else found
    lines = [f"{row.recording.path.name}, at {row.begin_s:.2f} s"]
    if row.score is not None:
        lines.append(f"Score {row.score:.2f}")
    lines.append(f"Reviewed by {row.reviewer}")
    if row.note:
        lines.append(f"Note: {row.note}")
    box = None if row.low_hz is None and row.high_hz is None else (row.low_hz or 0.0, row.high_hz)
    return examples.sound(
        *(path, row.begin_s, row.end_s), title=title, lines=lines, band_hz=band_hz, box=box
    )
