"""Raven tables and Audacity labels: what we write others can open, what others write we read."""

import math
import os

import crowsetta
import pytest

from animal_spot.detections.annotation_tables import (
    TableError,
    audacity_lines,
    raven_lines,
    read_table,
    tables_by_recording,
)
from animal_spot.detections.annotations import Annotation
from tests.helpers.places import SHARED

ROWS = [Annotation(0.1, 1.25, "K1", 0.98765), Annotation(3.0, 7200.5, "big, grey-whale", math.nan)]


def write(path, text: str, encoding: str = "utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


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
        assert [row[:3] for row in read_table(path)] == [row[:3] for row in ROWS]
    scores = [row.score for row in read_table(raven)]
    assert scores[0] == 0.9877
    assert math.isnan(scores[1])


@pytest.mark.parametrize(
    "column",
    ["Annotation", "Species", "sound type", "Label", "Call Type", "CLASS"],
)
def test_column_of_names_is_found(column, tmp_path):
    path = write(tmp_path / "a.txt", f"Begin Time (s)\tEnd Time (s)\t{column}\n1\t2\tK1\n")
    assert [row.name for row in read_table(path)] == ["K1"]


def test_column_of_names_can_be_chosen(tmp_path):
    path = write(tmp_path / "a.txt", "Begin Time (s)\tEnd Time (s)\tSpecies\tWhat\n1\t2\tX\tK1\n")
    assert [row.name for row in read_table(path, "what")] == ["K1"]
    with pytest.raises(TableError, match="no column 'which'"):
        read_table(path, "Which")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8-sig", "Wal ä"), ("latin-1", "Wal ä"), ("utf-16", "Wal ä")],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_encodings_and_line_ends(encoding, name, end, tmp_path):
    lines = ["Begin Time (s)\tEnd Time (s)\tAnnotation", f"1.5\t2\t{name}", ""]
    path = write(tmp_path / "a.txt", end.join(lines), encoding)
    assert [row[:3] for row in read_table(path)] == [(1.5, 2.0, name)]


def test_a_selection_in_two_views_is_one_event(tmp_path):
    path = write(
        tmp_path / "a.txt",
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"
        "2\tWaveform 1\t1\t5\t6\tK1\n2\tSpectrogram 1\t1\t5\t6\tK1\n"
        "1\tWaveform 1\t1\t1\t2\tK1\n1\tSpectrogram 1\t1\t1\t2\tK1\n"
        "3\tSpectrogram 1\t1\t1\t2\tK1\n",
    )
    assert [row[:3] for row in read_table(path)] == [(1, 2, "K1"), (1, 2, "K1"), (5, 6, "K1")]


def test_tables_without_rows(tmp_path):
    assert read_table(write(tmp_path / "a.txt", "")) == []
    header = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"
    assert read_table(write(tmp_path / "b.txt", header)) == []


def test_audacity_lines_of_frequencies_are_passed_over(tmp_path):
    text = "0.5\t0.75\tSP\n\\\t6441.06\t12296.57\n0.1\t3\tCRER\n\\\t2593.15\t8866.92\n"
    rows = read_table(write(tmp_path / "a.txt", text))
    assert [row[:3] for row in rows] == [(0.1, 3.0, "CRER"), (0.5, 0.75, "SP")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("1\t2\t\n", "line 1: has no name", id="label-without-name"),
        pytest.param("some text\n", "neither the header of a Raven table", id="other-text"),
        pytest.param("1\tx\tA\n", "line 1: 'x' is not a number", id="no-number"),
        pytest.param("1\tnan\tA\n", "line 1: 'nan' is not a number", id="nan"),
        pytest.param("2\t1\tA\n", "got 2 to 1 s", id="backwards"),
        pytest.param("1\t1\tA\n", "got 1 to 1 s", id="no-length"),
        pytest.param("-1\t1\tA\n", "got -1 to 1 s", id="negative"),
        pytest.param("Begin Time (s)\tAnnotation\n1\tA\n", r"no column 'end time", id="no-end"),
        pytest.param(
            "Begin Time (s)\tEnd Time (s)\tFoo\n1\t2\tA\n", "--truth_column .*foo", id="no-names"
        ),
        pytest.param(
            "Begin Time (s)\tEnd Time (s)\tLabel\n1\t2\n", "line 2: too few", id="short-row"
        ),
        pytest.param(
            "Begin Time (s)\tEnd Time (s)\tLabel\tBegin File\n1\t2\tA\tx.wav\n1\t2\tA\ty.wav\n",
            "rows of 2 recordings",
            id="several-recordings",
        ),
    ],
)
def test_bad_tables_are_explained(text, message, tmp_path):
    path = write(tmp_path / "bad.txt", text)
    with pytest.raises(TableError, match=message) as error:
        read_table(path)
    assert str(path) in str(error.value)


def test_real_tables(shared_data):
    calls = read_table(shared_data / "recordings" / "mixed1.Table.1.selections.txt")
    assert calls[:2] == sorted(calls)[:2]
    assert calls[0][:3] == (3.0, 6.0, "S02")
    birds = read_table(shared_data / "recordings" / "spinetail.audacity.txt")
    assert birds[0][:3] == (0.101385, 0.36752, "SP")
    assert {row.name for row in birds} >= {"SP", "CRER"}


def test_tables_go_to_the_recording_with_the_longest_name(tmp_path):
    names = ["a.txt", "a.1.Table.1.selections.txt", "ab.audacity.txt", "a.wav.txt", "c.txt"]
    tables = [tmp_path / name for name in names]
    found = tables_by_recording(tables, ["a", "a.1", "ab", "d"])
    assert {key: [p.name for p in paths] for key, paths in found.items()} == {
        "a": ["a.txt", "a.wav.txt"],
        "a.1": ["a.1.Table.1.selections.txt"],
        "ab": ["ab.audacity.txt"],
    }


# -- rows and tables that cannot be used ----------------------------------------------------------

HEADER = "Begin Time (s)\tEnd Time (s)\tAnnotation\tScore\n"


@pytest.mark.parametrize(
    ("text", "kept", "named"),
    [
        pytest.param("1\t2\tA\n12\t12\tboat\n", ["A"], "line 2: a point", id="audacity-point"),
        pytest.param("1\t2\tA\n1\t2\t\n", ["A"], "line 2: has no name", id="audacity-no-name"),
        pytest.param("1\t2\n1\t2\tA\n", ["A"], "line 1: has no name", id="audacity-two-columns"),
        pytest.param("1\t2\tA\nremark\n", ["A"], "line 2: neither", id="audacity-remark"),
        pytest.param("1\t2\tA\n-1\t2\tA\n", ["A"], "got -1 to 2 s", id="audacity-negative"),
        pytest.param(HEADER + "1\t2\tA\t1\n1\tx\tA\t1\n", ["A"], "'x' is not", id="raven-number"),
        pytest.param(HEADER + "1\tinf\tA\t1\n1\t2\tA\t1\n", ["A"], "line 2", id="raven-infinite"),
        pytest.param(HEADER + "3\t2\tA\t1\n1\t2\tA\t1\n", ["A"], "got 3 to 2 s", id="raven-back"),
        pytest.param(HEADER + "1\t2\n1\t2\tA\t1\n", ["A"], "line 2: too few", id="raven-short"),
    ],
)
def test_a_bad_row_is_left_out_and_named(text, kept, named, tmp_path, caplog):
    path = write(tmp_path / "a.txt", text)
    assert [row.name for row in read_table(path)] == kept
    (record,) = caplog.records
    assert f"{path}: left out 1 of 2 rows: " in record.getMessage()
    assert named in record.getMessage()


def test_a_table_of_bad_rows_only_is_no_empty_table(tmp_path):
    """It does not say that nothing is there."""
    path = write(tmp_path / "a.txt", "1\t1\tA\n2\t2\tA\n3\t3\tA\n4\t4\tA\n")
    with pytest.raises(TableError, match=r"none of its 4 rows .* a point .*\.\.\.") as error:
        read_table(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "named", "recording"),
    [
        ("Begin File", "rec1.wav", "/data/rec1.wav"),
        ("Begin File", "REC1.WAV", "rec1.flac"),
        ("Begin Path", "D:\\survey 7\\rec1.wav", "/data/rec1.wav"),
        ("Begin Path", "/x/re\u0301c.wav", "r\u00e9c.wav"),
        ("Begin File", "a.b.wav", "/data/a.b.wav"),
        ("Begin File", "", "/data/rec1.wav"),
    ],
)
def test_a_table_that_says_it_is_of_the_recording(column, named, recording, tmp_path):
    text = f"Begin Time (s)\tEnd Time (s)\tLabel\t{column}\n1\t2\tA\t{named}\n"
    path = write(tmp_path / "a.txt", text)
    assert len(read_table(path, recording=recording)) == 1


@pytest.mark.parametrize("column", ["Begin File", "Begin Path"])
def test_a_table_that_says_it_is_of_another_recording(column, tmp_path):
    text = f"Begin Time (s)\tEnd Time (s)\tLabel\t{column}\n1\t2\tA\t/data/rec2.wav\n"
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(TableError, match=r"is of /data/rec2\.wav, not of /data/rec1\.wav"):
        read_table(path, recording="/data/rec1.wav")
    assert len(read_table(path)) == 1


def test_no_name_ends_a_cell_or_a_line(tmp_path):
    rows = [Annotation(0.1, 1.25, "a\tb\nc\r\x85", 0.5), Annotation(2.0, 3.0, "d", math.nan)]
    for lines in (
        raven_lines(rows, 0, 1),
        raven_lines(rows, 0, 1, legacy=True),
        audacity_lines(rows),
    ):
        path = write(tmp_path / "a.txt", "".join(lines))
        assert [row.name for row in read_table(path)] == ["a\\tb\\nc\\r\\x85", "d"]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_no_score_that_is_no_number_is_written(score):
    (_, line) = raven_lines([Annotation(0, 1, "A", score)], 0, 1)
    assert line.endswith("\tA\t\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(TableError, match="not a regular file"):
        read_table(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "n", "left_out"),
    [
        ("00_ref.rec1.Table.1.selections.txt", 8, 0),
        ("24_one_point.rec1.txt", 8, 1),
        ("24_one_point.rec2.txt", 11, 0),
    ],
)
def test_cases_from_the_field(name, n, left_out, caplog):
    path = SHARED / "cases" / "tables" / name
    if not path.is_file():
        pytest.skip("the shared cases are not here")
    assert len(read_table(path)) == n
    assert len(caplog.records) == left_out
