"""The table of scored events: by hand, and held against the scores."""

import csv
import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.event_scores import count_events, event_confusion
from animal_spot.evaluation.scored_events import COLUMNS, scored_events, scored_text
from animal_spot.utils.csv_cells import plain_cell
from tests.helpers.programs import run_here
from tests.helpers.results import log_text

NAN = float("nan")


def test_an_event_without_a_detection_of_its_name_is_kept_apart():
    truth = [Annotation(0, 2, "A", NAN), Annotation(10, 11, "B", NAN), Annotation(20, 24, "A", NAN)]
    found = [Annotation(1, 3, "A", 0.9), Annotation(30, 31, "B", 0.6), Annotation(21, 22, "B", 0.8)]
    rows = scored_events(truth, found)
    assert [(row.kind, row.event_found, row.detection_right) for row in rows] == [
        ("hit", True, True),
        ("missed", False, None),
        ("other name", False, False),
        ("false alarm", None, False),
    ]


def test_a_row_tells_of_the_matching_within_the_class_too():
    """Whatever the class there are two pairs; within the classes only B is found."""
    truth = [Annotation(0, 1, "A", NAN), Annotation(1, 2, "B", NAN)]
    found = [Annotation(0.5, 1.5, "B", 0.9), Annotation(1.6, 2.0, "A", 0.9)]
    rows = scored_events(truth, found)
    assert [(row.kind, row.event_found, row.detection_right) for row in rows] == [
        ("other name", False, True),
        ("other name", True, False),
    ]


ROWS = st.lists(
    st.builds(
        lambda begin, length, name: Annotation(begin, begin + length, name, 0.5),
        st.integers(0, 12),
        st.integers(1, 4),
        st.sampled_from("ABC"),
    ),
    max_size=8,
)


@given(ROWS, ROWS, st.sampled_from([0.0, 0.3]))
def test_rows_add_up_to_the_scores(truth, found, iou):
    rows = scored_events(truth, found, iou_threshold=iou)
    for name, counts in count_events(truth, found, "ABC", iou_threshold=iou).items():
        of_name = [row for row in rows if row.event and row.event.name == name]
        assert sum(row.event_found for row in of_name) == counts.tp
        assert len(of_name) == counts.tp + counts.fn
        detections = [row for row in rows if row.detection and row.detection.name == name]
        assert sum(not row.detection_right for row in detections) == counts.fp
    confusion = event_confusion(truth, found, "ABC", iou_threshold=iou)
    pairs = Counter(
        (row.event and row.event.name, row.detection and row.detection.name) for row in rows
    )
    names = [*"ABC", None]
    assert [[pairs[a, b] for b in names] for a in names] == confusion.tolist()


def test_the_table_can_be_read_back():
    rows = scored_events([Annotation(0, 1, "=A,b", float("nan"))], [])
    lines = list(csv.DictReader(scored_text({"r": ("C:\\\udce9 r.wav", rows)}).splitlines()))
    assert tuple(lines[0]) == COLUMNS
    assert plain_cell(lines[0]["class"]) == "=A,b"
    assert lines[0]["file"] == "C:\\\udce9 r.wav"
    assert [lines[0][key] for key in ("begin_s", "end_s", "found_class", "score")] == (
        ["0", "1", "", ""]
    )


def test_the_file_of_an_evaluation_agrees_with_its_scores(tmp_path):
    call = {"A": [0.9, 0.05, 0.05], "B": [0.1, 0.8, 0.1], "-": [0.05, 0.05, 0.9]}
    for name, windows in (("one", "A-------BB--A"), ("two", "A---B--------")):
        text = log_text(["A", "B", "noise"], [call[w] for w in windows], f"/r/{name}.wav")
        (tmp_path / f"{name}_predict_output.log").write_text(text)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "one.txt").write_text("0\t0.4\tA\n0.8\t1.2\tA\n")
    (tmp_path / "truth" / "two.txt").write_text("0.4\t0.8\tB\n1.0\t1.2\tB\n")
    arguments = ("--prediction_dir", tmp_path, "--output_dir", tmp_path / "out", "--no_report")
    result = run_here("evaluate", *arguments, "--truth_dir", tmp_path / "truth")
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "out" / "report.html").exists()
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    with open(tmp_path / "out" / "scored_events.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["kind"] for row in rows) == (
        {"hit": 2, "other name": 1, "false alarm": 2, "missed": 1}
    )
    assert {(row["recording"], row["file"]) for row in rows} == (
        {("one", "/r/one.wav"), ("two", "/r/two.wav")}
    )
    for name, entry in scores["all_recordings"]["events"]["classes"].items():
        found = Counter(row["event_found"] for row in rows if row["class"] == name)
        right = Counter(row["detection_right"] for row in rows if row["found_class"] == name)
        assert (found["yes"], right["no"], found["no"]) == (entry["tp"], entry["fp"], entry["fn"])
    confusion = scores["all_recordings"]["events"]["confusion"]
    names = [*confusion["names"][:-1], ""]
    pairs = Counter((row["class"], row["found_class"]) for row in rows)
    assert [[pairs[a, b] for b in names] for a in names] == confusion["counts"]
    assert "no_report" not in scores["settings"]
