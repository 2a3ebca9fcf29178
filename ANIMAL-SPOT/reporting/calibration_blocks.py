"""Whether a network's confidence can be believed, and how its windows become events, as blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from animal_spot.detections.calibration import expected_calibration_error, reliability
from animal_spot.detections.event_settings import EventSettings
from animal_spot.figures.reliability import reliability_figure
from animal_spot.reporting.page import (
    Block,
    Cell,
    Facts,
    Note,
    Table,
    Text,
    count,
    decimal,
    share,
)
from animal_spot.reporting.pictures import picture
from animal_spot.reporting.training_results import PARTS, JudgedClip
from animal_spot.utils.typed import number, typed

_WHEN = ("before", "after")
_BIN = {"low": 0.0, "high": 0.0, "clips": 0, "confidence": 0.0, "accuracy": 0.0}


def calibration_blocks(said: Mapping[str, Any], where: str) -> list[Block]:
    """Return what is said of a calibration.

    Args:
        said: ``calibration`` of ``results.json``, or the file of ``calibrate``.
        where: What an error calls it.

    Raises:
        ValueError: If it is damaged.
    """
    temperature = number(said.get("temperature"), f"{where}.temperature", least=0)
    partitions = {
        PARTS.get(part, part): {when: _judged(entry, when, f"{where}.{part}") for when in _WHEN}
        for part, entry in typed(
            dict[str, dict[str, Any]], said.get("partitions", {}), f"{where}.partitions"
        ).items()
    }
    blocks: list[Block] = [
        Text(
            (
                "A calibrated network says 80 % where it is right 8 times of 10. Its answers were "
                f"divided by a temperature of {temperature:.3f}, found on validation clips; above "
                "1 it was too sure of itself. The calibration error is how far, on the average, "
                "confidence and share of right answers are apart.",
            )
        )
    ]
    if not partitions:
        return [*blocks, *_thresholds(said, where)]
    rows: list[list[Cell]] = [
        [
            part,
            *(share(entry[when]["expected_calibration_error"]) for when in _WHEN),
            *(decimal(entry[when]["loss"], 3) for when in _WHEN),
        ]
        for part, entry in partitions.items()
    ]
    blocks.append(
        Table(
            "calibration",
            "Calibration error",
            ("clips", "before", "after", "loss before", "loss after"),
            rows,
        )
    )
    drawn = {part: e for part, e in partitions.items() if all(e[when]["bins"] for when in _WHEN)}
    if drawn:
        blocks.append(
            picture(
                reliability_figure(drawn),
                "reliability",
                "Is its confidence to be believed?",
                "Points on the diagonal are perfect; below it the network is too sure.",
                is_wide=len(drawn) > 1,
            )
        )
    return [*blocks, *_thresholds(said, where)]


def confidence_blocks(clips: Sequence[JudgedClip]) -> list[Block]:
    """Return how often answers of each confidence are right.

    Args:
        clips: All that were judged; those whose probability is not known are left out.
    """
    known = [clip for clip in clips if clip.probability is not None]
    if not known:
        return []
    # What is not the answer has the rest, in a column that no clip is of.
    said = np.array([[clip.probability, 0.0] for clip in known])
    bins = reliability(said, np.array([0 if clip.is_right else 1 for clip in known]))
    entry = {"bins": bins, "expected_calibration_error": expected_calibration_error(bins)}
    return [
        Text(
            (
                "A calibrated network says 80 % where it is right 8 times of 10. The calibration "
                "error is how far, on the average, confidence and share of right answers are "
                f"apart: {share(entry['expected_calibration_error']).text}.",
            )
        ),
        picture(
            reliability_figure({"all networks": {"as_it_is": entry}}),
            "reliability",
            "Is their confidence to be believed?",
            "Points on the diagonal are perfect; below it the networks are too sure.",
        ),
    ]


def _judged(entry: Mapping[str, Any], when: str, where: str) -> dict[str, Any]:
    said = typed(dict[str, Any], entry.get(when), f"{where}.{when}")
    bins = typed(list[dict[str, Any]], said.get("bins", []), f"{where}.bins")
    return {
        "loss": typed(float, said.get("loss"), f"{where}.loss"),
        "expected_calibration_error": number(
            said.get("expected_calibration_error"), f"{where}.error", least=0, most=1
        ),
        "bins": [_bin(row, f"{where}.bins[{i}]") for i, row in enumerate(bins)],
    }


def _bin(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a bin; what is unknown of one without clips is 0."""
    clips = typed(int, row.get("clips"), f"{where}.clips")
    if not clips:
        row = {**row, "confidence": 0.0, "accuracy": 0.0}
    return {key: typed(type(kind), row.get(key), f"{where}.{key}") for key, kind in _BIN.items()}


def _thresholds(said: Mapping[str, Any], where: str) -> list[Block]:
    rows = typed(dict[str, dict[str, Any]], said.get("thresholds", {}), f"{where}.thresholds")
    if not rows:
        return []
    precision = typed(float | None, said.get("precision"), f"{where}.precision")
    cells: list[list[Cell]] = []
    for label, row in rows.items():
        number_of = {
            key: typed(float | None, row.get(key), f"{where}.{label}.{key}")
            for key in ("threshold", "precision", "recall")
        }
        cells.append(
            [
                label,
                decimal(number_of["threshold"], 3),
                share(number_of["precision"]),
                share(number_of["recall"]),
                count(typed(int | None, row.get("clips"), f"{where}.{label}.clips")),
                count(typed(int | None, row.get("detections"), f"{where}.{label}.detections")),
                typed(str | None, row.get("reason"), f"{where}.{label}.reason") or "",
            ]
        )
    note = "Found on validation clips. Where there is none, the usual one counts."
    if precision is not None:
        note = f"So that {100 * precision:g} % of detections are right. {note}"
    return [
        Table(
            "thresholds",
            "Threshold of each class",
            ("class", "threshold", "precision", "recall", "clips", "detections", "why none"),
            cells,
            note=note,
        )
    ]


def decoder_blocks(said: Mapping[str, Any]) -> list[Block]:
    """Return how windows become events, and how well that went where it was tuned.

    Args:
        said: ``decoder`` of ``results.json``.

    Raises:
        ValueError: If it is damaged.
    """
    settings = EventSettings.from_entries(said)
    blocks: list[Block] = [
        Text(
            (
                "In recordings the network hears overlapping windows. How these become one row for "
                "each call was found on recordings that were mixed from validation clips and "
                "background.",
            )
        ),
        Facts(tuple(_facts(settings))),
    ]
    found = settings.found
    rows: list[list[Cell]] = []
    for title, values in (("tuned", found), ("original rule", found.get("original"))):
        if isinstance(values, Mapping) and "f1" in values:
            rows.append([title, *_figures(values)])
    if rows:
        blocks.append(
            Table(
                "decoder",
                "Calls found in the mixed recordings",
                (
                    "rule",
                    "F1, mean of classes",
                    "F1, whatever class",
                    "found, whatever class",
                    "false an hour",
                    "begin off by",
                    "end off by",
                ),
                rows,
                note=_of_what(found),
            )
        )
    else:
        blocks.append(Note("The file does not say how well that went."))
    return blocks


def _figures(values: Mapping[str, Any]) -> list[Cell]:
    def get(key: str) -> float | None:
        value = values.get(key)
        if isinstance(value, float) and math.isnan(value):
            return None  # how far ends are off, of a rule that finds no call
        return typed(float | None, value, f"decoder.found.{key}")

    return [
        decimal(get("f1")),
        decimal(get("f1_whatever_class")),
        share(get("recall_whatever_class")),
        decimal(get("false_per_hour"), 1),
        decimal(get("begin_error_s"), 2, " s"),
        decimal(get("end_error_s"), 2, " s"),
    ]


def _of_what(found: Mapping[str, Any]) -> str:
    calls, minutes, background = (
        found.get(key) for key in ("mixed_calls", "minutes", "background")
    )
    parts = [f"{calls} calls" if isinstance(calls, int) else ""]
    if isinstance(minutes, (int, float)):
        parts.append(f"{minutes:g} minutes")
    if isinstance(background, str):
        parts.append(background)
    of = f"Of {', '.join(part for part in parts if part)}. " if any(parts) else ""
    return (
        f"{of}F1 is 1 if all calls are found and nothing else. The rule was chosen on these "
        "recordings, so real ones will be harder."
    )


def _facts(settings: EventSettings) -> list[tuple[str, Cell]]:
    rows: list[tuple[str, Cell]] = [
        ("An event begins where evidence reaches", decimal(settings.start, 2)),
        ("It goes on while evidence is above", decimal(settings.stay, 2)),
        ("Windows are averaged over", decimal(settings.smoothing_s, 2, " s")),
        ("An event is cut in two where evidence falls by", decimal(settings.valley, 2)),
        ("Another class counts as a call of its own from", decimal(settings.second, 2)),
        ("Events count from a confidence of", decimal(settings.threshold, 2)),
    ]
    if settings.apart_s:
        rows.append(("Such calls have quiet between them of", decimal(settings.apart_s, 2, " s")))
    if settings.slack_s != float("inf"):
        rows.append(("Calls may end before they begin by", decimal(settings.slack_s, 2, " s")))
    if settings.min_duration_s:
        rows.append(("Shorter events are dropped", decimal(settings.min_duration_s, 2, " s")))
    if settings.max_duration_s != float("inf"):
        rows.append(("Longer events are cut", decimal(settings.max_duration_s, 2, " s")))
    if settings.together:
        rows.append(("Classes that call at the same time as others", ", ".join(settings.together)))
    return rows
