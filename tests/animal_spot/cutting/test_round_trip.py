"""Predict, correct the table in Raven, cut: the corrected truth comes back."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from tests.helpers.annotated import assert_is_of_its_source, rows_of
from tests.helpers.prediction import RATE, Models, predict_into, write_sound
from tests.helpers.programs import run_here

BEGIN, END, LOW, HIGH = "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"
# As Raven Pro saves it: own order, measurements and a column of the annotator's.
SAVED = ("Selection", "View", "Channel", BEGIN, END, LOW, HIGH, "Delta Time (s)")
ADDED = ("Occurrence", "Review")


def read_rows(path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def correct(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Correct what was found as a person would: every kind of change once."""
    deleted, renamed, moved, wrong, *others = rows
    renamed = renamed | {"Annotation": "owl"}
    moved = moved | {BEGIN: f"{float(moved[BEGIN]) + 0.0123456:.9f}", END: moved[END]}
    moved |= {LOW: "812.5", HIGH: "2345.6"}
    added = deleted | {BEGIN: "19.100031", END: "19.400062", "Annotation": "fox", "Score": ""}
    return [renamed, moved, wrong | {"Review": "wrong"}, *others, added]


def save_as_raven(path, rows: list[dict[str, str]]) -> None:
    """Number selections anew, show each in two views, and let CRLF end the lines."""
    others = [name for name in rows[0] if name not in (*SAVED, "Score")]
    columns = [*SAVED, "Score", *others, *ADDED]
    lines = ["\t".join(columns)]
    for number, row in enumerate(sorted(rows, key=lambda row: float(row[BEGIN])), 1):
        saved = row | {
            "Selection": str(number),
            "Delta Time (s)": f"{float(row[END]) - float(row[BEGIN]):.4f}",
        }
        waveform = saved | {"View": "Waveform 1", LOW: "0.000", HIGH: str(RATE / 2)}
        for view in (waveform, saved):
            lines.append("\t".join(view.get(name, "") for name in columns))
    path.write_bytes("\r\n".join([*lines, ""]).encode())


@pytest.mark.parametrize("formats", [("raven",), ("csv", "audacity", "raven", "log")])
def test_what_a_person_corrected_in_the_table_is_what_is_cut(tmp_path, formats):
    write_sound(tmp_path / "in" / "night.wav", 20, seed=3)
    found = tmp_path / "found"
    model = Models(tmp_path)("multi")
    predict_into(model, tmp_path / "in", found, "--threshold", 0.6, "--format", *formats)
    table = found / "night.Table.1.selections.txt"
    before = read_rows(table)
    assert len(before) > 6
    rows = correct(before)
    save_as_raven(table, rows)
    calls = sorted((row for row in rows if "Review" not in row), key=lambda r: float(r[BEGIN]))
    (wrong,) = (row for row in rows if "Review" in row)

    corpus = tmp_path / "corpus"
    ended = run_here(
        *("clips", "--recordings", tmp_path / "in", "--tables", found, "--negatives", table),
        *("--output_dir", corpus, "--margin", 0, "--keep_overlapping", "--contact_sheets", 0),
        *("--background", 0),
    )
    assert ended.returncode == 0, ended.stderr

    cut = rows_of(corpus)
    for clip in cut:
        assert_is_of_its_source(corpus, clip)
    positives = [clip for clip in cut if clip["label"] != "noise"]
    positives.sort(key=lambda clip: float(clip["source_start_s"]))
    assert [clip["label"] for clip in positives] == [row["Annotation"] for row in calls]
    for clip, row in zip(positives, calls, strict=True):
        assert float(clip["source_start_s"]) == pytest.approx(float(row[BEGIN]), abs=1 / RATE)
        assert float(clip["source_end_s"]) == pytest.approx(float(row[END]), abs=1 / RATE)
        assert [float(clip[name]) for name in ("low_hz", "high_hz")] == [
            float(row[name]) for name in (LOW, HIGH)
        ]
    (negative,) = (clip for clip in cut if clip["label"] == "noise")
    assert float(negative["source_start_s"]) == float(wrong[BEGIN])
    assert Counter(clip["table"] for clip in cut) == {str(table): len(rows)}
    deleted = float(before[0][BEGIN])
    assert all(float(clip["source_start_s"]) != deleted for clip in cut)
