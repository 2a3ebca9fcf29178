"""``labels.csv`` is added to, and what people did to it stays."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.cutting.labels_file import (
    COLUMNS,
    LabelsFileError,
    add_labels,
    label_row,
    read_labels,
)
from animal_spot.cutting.plan import ClipPlan
from animal_spot.cutting.report import CorpusClip
from animal_spot.cutting.tapes import Tape
from animal_spot.metadata.recording_time import RecordingTime

ROW = {"file": "b.wav", "label": "Käuz;chen", "tape": "1950_R", "row": 7}


def test_rows_come_back(tmp_path):
    path = tmp_path / "labels.csv"
    add_labels(path, [ROW, {"file": "=c.wav", "label": 'a "quoted", one'}])
    with open(path, newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    assert read_labels(path) == [
        {"file": "b.wav", "label": "Käuz;chen", "tape": "1950_R", "row": "7"},
        {"file": "=c.wav", "label": 'a "quoted", one'},
    ]


@pytest.mark.parametrize(
    "before",
    [
        b"file,label\na.wav,x\n",
        b"label,note,file\r\nx,my note,a.wav",
        b"\xef\xbb\xbfnote;file;label\r\n;a.wav;x\r\n",
        b'file\tlabel\tnote\na.wav\tx\t"two\nlines"\n',
    ],
    ids=["shorter", "reordered", "excel", "tabs"],
)
def test_rows_are_added_to_what_a_person_made_of_it(tmp_path, before):
    path = tmp_path / "labels.csv"
    path.write_bytes(before)
    add_labels(path, [ROW])
    assert path.read_bytes().startswith(before)
    rows = read_labels(path)
    assert [(row["file"], row["label"]) for row in rows] == [("a.wav", "x"), ("b.wav", "Käuz;chen")]


@pytest.mark.parametrize("content", [b"my notes\n", "file,label\na,b\n".encode("utf-16")])
def test_what_is_no_such_table_is_left_alone(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    for use in (read_labels, lambda p: add_labels(p, [ROW])):
        with pytest.raises(LabelsFileError, match=r"labels\.csv has no columns file and label"):
            use(path)
    assert path.read_bytes() == content


@given(st.integers(100, 10_000_000), st.floats(0, 86_400), st.integers(1, 10**6))
def test_times_lead_back_to_their_samples(rate, begin_s, n_samples):
    start = int(begin_s * rate)
    plan = ClipPlan("A", Path("r.wav"), start, start + n_samples)
    clip = CorpusClip(plan, "a.wav", rate, is_new=True)
    row = label_row(clip, Tape("R", 1950, "/r.wav", ""), RecordingTime())
    assert round(float(row["source_start_s"]) * rate) == start
    assert round(float(row["source_end_s"]) * rate) == start + n_samples
