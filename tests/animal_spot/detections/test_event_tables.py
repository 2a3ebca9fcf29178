"""Events are read from whatever prediction writes, and are the same in all of it."""

import math

import pytest

from animal_spot.detections.annotation_tables import read_table
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.event_tables import read_any
from animal_spot.tables.event import TableError, WindowTableError
from animal_spot.tables.reading import is_table_name, read_events
from tests.helpers.prediction import predict_here, write_sound
from tests.helpers.results import write_csv, write_parquet
from tests.helpers.tables import brief, raven_text, write

NAMES = ["A", "B", "noise"]
P = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]]


@pytest.mark.parametrize("write_result", [write_csv, write_parquet])
def test_windows_become_events(write_result, tmp_path):
    """Windows of 0.5 s every 0.25 s."""
    path = write_result(tmp_path / f"r{write_result.__name__[5:].replace('_', '.')}", NAMES, P)
    table = read_any(path)
    assert brief(table) == [("A", 0, 0.75), ("B", 0.75, 1.25)]
    first = table.events[0]
    assert (first.low_hz, first.high_hz, first.recording) == (500, 10000, "a/rec.wav")
    assert first.extra == {"Score": "0.7000"}
    assert brief(read_any(path, thresholds=Thresholds(0.65))) == [
        *[("A", 0, 0.5), ("B", 0.75, 1.25)]
    ]


def test_a_table_of_windows_is_not_taken_for_one_of_events(tmp_path):
    with pytest.raises(WindowTableError, match="a row for each window"):
        read_events(write_csv(tmp_path / "r.csv", NAMES, P))


def test_what_prediction_writes_says_one_thing_in_all_formats(models, tmp_path):
    write_sound(tmp_path / "rec.wav", 20, seed=1)
    arguments = ("--model_path", models("multi"), "--input_file", tmp_path / "rec.wav")
    formats = ("log", "csv", "parquet", "raven", "audacity")
    out = tmp_path / "out"
    assert predict_here(*arguments, "--output_dir", out, "--format", *formats) == 0
    tables = [
        "rec_predict_output.log",
        "rec_predict_output.csv",
        "rec_predict_output.parquet",
        "rec.Table.1.selections.txt",
        "rec.audacity.txt",
        "all_recordings.Table.1.selections.txt",
    ]
    by_name = {path.name for path in out.iterdir() if is_table_name(path.name)}
    assert by_name == set(tables[3:])
    found = [brief(read_any(out / name)) for name in tables]
    assert found[0]
    for one in found[1:]:
        assert [label for label, *_ in one] == [label for label, *_ in found[0]]
        times = [time for _, *both in one for time in both]
        assert times == pytest.approx([t for _, *both in found[0] for t in both], abs=0.0015)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.log"])
def test_results_that_cannot_be_used(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"12:00:00|I|cut off\n" if name == "a.log" else b"PAR1")
    with pytest.raises(TableError, match=name):
        read_any(path)


def test_annotations_have_scores_and_no_false_alarms(tmp_path):
    text = raven_text(
        *((3, 4, "K", 0.25, ""), (1, 2, "L", "sure", "yes"), (5, 6, "M", 0.5, "no")),
        columns=("Annotation", "Confidence", "Correct"),
    )
    first, second = read_table(write(tmp_path / "a.txt", text))
    assert second == Annotation(3, 4, "K", 0.25)
    assert first[:3] == (1, 2, "L")
    assert math.isnan(first.score)
    assert [row.name for row in read_table(tmp_path / "a.txt", "confidence")] == ["sure", "0.25"]
