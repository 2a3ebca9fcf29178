"""Raven tables and Audacity labels: what we write, others and we can open."""

import math

import crowsetta
import pytest

from animal_spot.detections.annotation_tables import (
    audacity_lines,
    raven_lines,
)
from animal_spot.detections.annotations import Annotation
from animal_spot.tables.reading import read_events
from tests.helpers.tables import write

ROWS = [Annotation(0.1, 1.25, "K1", 0.98765), Annotation(3.0, 7200.5, "big, grey-whale", math.nan)]


def test_raven_table():
    assert list(raven_lines(ROWS, 500, 10000.5)) == [
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
        "\tAnnotation\tScore\n",
        "1\tSpectrogram 1\t1\t0.100\t1.250\t500.0\t10000.5\tK1\t0.9877\n",
        "2\tSpectrogram 1\t1\t3.000\t7200.500\t500.0\t10000.5\tbig, grey-whale\t\n",
    ]


def test_legacy_table_is_the_original_s_to_the_byte(golden):
    path = golden / "prediction" / "crafted_multi_threshold0.75_noisefalse.annotation.result.txt"
    times = [(0.1, 0.5, "K1"), (1.0, 1.4, "K7"), (1.4, 1.5, "K5"), (1.7, 2.3, "K1")]
    lines = raven_lines([Annotation(*row, 0.9) for row in times], 500, 10000, legacy=True)
    assert "".join(lines).encode() == path.read_bytes()


def test_crowsetta_opens_the_table(tmp_path):
    path = write(tmp_path / "a.txt", "".join(raven_lines(ROWS, 500, 10000)))
    boxes = crowsetta.formats.bbox.Raven.from_file(path).to_bbox()
    assert [(b.onset, b.offset, b.low_freq, b.high_freq, b.label) for b in boxes] == [
        (0.1, 1.25, 500.0, 10000.0, "K1"),
        (3.0, 7200.5, 500.0, 10000.0, "big, grey-whale"),
    ]


def test_audacity_labels():
    assert list(audacity_lines(ROWS)) == [
        "0.100000\t1.250000\tK1\n",
        "3.000000\t7200.500000\tbig, grey-whale\n",
    ]


def test_what_is_written_is_read(tmp_path):
    raven = write(tmp_path / "a.txt", "".join(raven_lines(ROWS, 500, 10000)))
    legacy = write(tmp_path / "b.txt", "".join(raven_lines(ROWS, 500, 10000, legacy=True)))
    labels = write(tmp_path / "c.txt", "".join(audacity_lines(ROWS)))
    for path in (raven, legacy, labels):
        read = read_events(path).events
        assert [(e.start_s, e.end_s, e.label) for e in read] == [row[:3] for row in ROWS]
    assert [event.extra.get("Score") for event in read_events(raven).events] == ["0.9877", None]


def test_no_name_ends_a_cell_or_a_line(tmp_path):
    rows = [Annotation(0.1, 1.25, "a\tb\nc\r\x85", 0.5), Annotation(2.0, 3.0, "d", math.nan)]
    for lines in (
        raven_lines(rows, 0, 1),
        raven_lines(rows, 0, 1, legacy=True),
        audacity_lines(rows),
    ):
        path = write(tmp_path / "a.txt", "".join(lines))
        assert [event.label for event in read_events(path).events] == ["a\\tb\\nc\\r\\x85", "d"]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_no_score_that_is_no_number_is_written(score):
    (_, line) = raven_lines([Annotation(0, 1, "A", score)], 0, 1)
    assert line.endswith("\tA\t\n")
