"""Raven's selection tables, with all that people and Raven put into them."""

import crowsetta
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.detections.annotation_tables import raven_lines
from animal_spot.detections.annotations import Annotation
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import TableError
from animal_spot.tables.reading import read_events
from tests.helpers.tables import RAVEN, brief, raven_text, write


def read(tmp_path, text, **options):
    return read_events(write(tmp_path / "rec1.Table.1.selections.txt", text), **options)


def test_a_table_is_read_as_crowsetta_reads_it(tmp_path):
    rows = [Annotation(0.1, 1.25, "K1", 0.9), Annotation(3.0, 7200.5, "big, grey-whale", 0.8)]
    path = write(tmp_path / "a.txt", "".join(raven_lines(rows, 500, 10000)))
    boxes = crowsetta.formats.bbox.Raven.from_file(path).to_bbox()
    table = read_events(path)
    assert table.format == "Raven selection table"
    assert [(e.start_s, e.end_s, e.low_hz, e.high_hz, e.label) for e in table.events] == [
        (b.onset, b.offset, b.low_freq, b.high_freq, b.label) for b in boxes
    ]
    assert [(e.row, e.channel, e.recording, e.extra["Score"]) for e in table.events] == [
        (1, 1, None, "0.9000"),
        (2, 1, None, "0.8000"),
    ]
    assert (table.left_out, table.notes) == ((), ())


@pytest.mark.parametrize(
    "column",
    ["Annotation", "Species", "sound type", "Label", "Call Type", "CLASS", "Type", "Common Name"],
)
def test_column_of_labels_is_found_by_its_name(column, tmp_path):
    table = read(tmp_path, raven_text((1, 2, "K1"), columns=(column,)))
    assert brief(table) == [("K1", 1, 2)]
    assert table.notes == ()


def test_the_one_column_of_words_is_that_of_labels(tmp_path):
    columns = ("Delta Time (s)", "Was ist das", "Peak Freq Contour (Hz)", "Comments", "Score")
    text = raven_text((1, 2, 1.0, "Wal", "5;6", "a remark", 0.5), columns=columns)
    table = read(tmp_path, text)
    assert brief(table) == [("Wal", 1, 2)]
    assert table.notes == ("labels are those of column Was ist das",)


def test_an_empty_annotation_column_gives_way_to_a_filled_one(tmp_path):
    """Raven adds a column Annotation to every new table."""
    text = raven_text((1, 2, "", "orca"), (3, 4, "", ""), columns=("Annotation", "Ruftyp"))
    table = read(tmp_path, text)
    assert brief(table) == [("orca", 1, 2)]
    assert table.left_out == ((2, "has no name; give it one or take out the row"),)


def test_several_columns_of_words_are_refused_by_name(tmp_path):
    text = raven_text((1, 2, "orca", "N9"), columns=("Tier", "Ruf"))
    with pytest.raises(TableError, match=r"Tier, Ruf; say which with --label_column"):
        read(tmp_path, text)
    assert brief(read(tmp_path, text, columns=Columns(label="ruf"))) == [("N9", 1, 2)]
    with pytest.raises(TableError, match=r"no column 'Which' \(columns: Selection, .*Ruf\)"):
        read(tmp_path, text, columns=Columns(label="Which"))


def test_of_two_columns_of_labels_the_likelier_counts_and_it_is_said(tmp_path):
    text = raven_text((1, 2, "orca", "N9"), columns=("Species", "Call type"))
    table = read(tmp_path, text)
    assert brief(table) == [("orca", 1, 2)]
    assert table.notes == ("labels are those of column Species, not of Call type",)


def test_no_column_of_labels(tmp_path):
    with pytest.raises(TableError, match=r"say which with --truth_column \(columns: .*Score\)"):
        read(tmp_path, raven_text((1, 2, 0.5), columns=("Score",)), label_flag="--truth_column")


def test_a_selection_in_two_views_is_one_event_with_the_box_of_the_spectrogram(tmp_path):
    rows = [
        "2\tWaveform 1\t1\t5\t6\t0\t22050\tK1",
        "2\tSpectrogram 1\t1\t5\t6\t700\t900\tK1",
        "1\tSpectrogram 1\t2\t1\t2\t300\t400\tK1",
        "1\tWaveform 1\t2\t1\t2\t0\t22050\tK1",
        "3\tSpectrogram 1\t1\t1\t2\t300\t400\tK1",
    ]
    table = read(tmp_path, "\n".join((f"{RAVEN}\tAnnotation", *rows)))
    assert [(e.start_s, e.low_hz, e.high_hz, e.channel, e.row) for e in table.events] == [
        (1, 300, 400, 2, 3),
        (1, 300, 400, 1, 5),
        (5, 700, 900, 1, 2),
    ]


def test_times_in_files_opened_as_one_count_from_the_file_s_own_start(tmp_path):
    columns = ("Begin Path", "File Offset (s)", "Begin File", "Annotation")
    text = raven_text(
        (2, 3.5, "D:\\survey\\a.wav", 2, "a.wav", "K1"),
        (31, 32.25, "D:\\survey\\b.wav", 1, "b.wav", "K2"),
        columns=columns,
    )
    table = read(tmp_path, text)
    assert brief(table) == [("K1", 2, 3.5), ("K2", 1, 2.25)]
    assert [e.recording for e in table.events] == ["D:\\survey\\a.wav", "D:\\survey\\b.wav"]


def test_a_begin_path_that_is_a_folder(tmp_path):
    columns = ("Begin Path", "Begin File", "Annotation")
    table = read(tmp_path, raven_text((2, 3, "/x/A/", "a.wav", "K1"), columns=columns))
    assert table.events[0].recording == "/x/A/a.wav"


@pytest.mark.parametrize("form", ["{}", '"{}"', "\n{}"], ids=["plain", "quoted", "blank line"])
@pytest.mark.parametrize("between", ["\t", ",", ";"])
def test_a_table_of_raven_that_a_spreadsheet_saved(form, between, tmp_path):
    """Views and offsets count as in the original."""
    names = ("Selection", "View", "Begin Time (s)", "End Time (s)", "File Offset (s)", "Call")
    rows = [
        names,
        (1, "Waveform 1", 31, 32, 1, "K"),
        (1, "Spectrogram 1", 31, 32, 1, "K"),
    ]
    text = "\n".join(between.join(form.strip().format(c) for c in row) for row in rows)
    table = read(tmp_path, "\n" * form.count("\n") + text + "\n")
    assert brief(table) == [("K", 1, 2)]
    assert table.format == "Raven selection table"


def test_times_that_run_over_several_recordings_need_an_offset(tmp_path):
    text = raven_text(
        (2, 3, "a.wav", "K"), (31, 32, "b.wav", "K"), columns=("Begin File", "Annotation")
    )
    with pytest.raises(TableError, match=r"'a\.wav' and 'b\.wav'.*File Offset \(s\)"):
        read(tmp_path, text)


def test_tables_of_several_recordings_put_together_by_hand(tmp_path):
    text = raven_text(
        (2, 3, "a.wav", "K"), (1, 2, "b.wav", "K"), columns=("Begin File", "Annotation")
    )
    table = read(tmp_path, text)
    assert [(e.recording, e.start_s) for e in table.events] == [("a.wav", 2), ("b.wav", 1)]
    assert "count from the start of each" in table.notes[0]


def test_a_row_without_offset_among_several_recordings_is_left_out(tmp_path):
    columns = ("File Offset (s)", "Begin File", "Annotation")
    text = raven_text((2, 3, 2, "a.wav", "K"), (31, 32, "", "b.wav", "K"), columns=columns)
    table = read(tmp_path, text)
    assert [row for row, _ in table.left_out] == [2]
    assert "no file offset" in table.left_out[0][1]


def test_rows_over_the_end_of_a_file_are_named(tmp_path):
    columns = ("Begin File", "End File", "Annotation")
    table = read(tmp_path, raven_text((2, 3, "a.wav", "b.wav", "K"), columns=columns))
    assert table.notes == ("1 rows go on into the next recording",)


@pytest.mark.parametrize(
    ("column", "word", "is_wrong"),
    [
        *(("Review", word, True) for word in ("wrong", "No", "FALSE", "n", "0")),
        *(("Correct", word, False) for word in ("yes", "", "TRUE", "1", "correct")),
        ("False alarm", "yes", True),
        ("False alarm", "", False),
        ("is_wrong", "0", False),
        ("Verified", "no", False),  # not looked at yet
        ("Verified", "incorrect", True),
    ],
)
def test_rows_that_were_reviewed(column, word, is_wrong, tmp_path):
    text = raven_text((1, 2, "K", 0.5, word), columns=("Annotation", "Score", column))
    (event,) = read(tmp_path, text).events
    assert event.is_wrong is is_wrong


def test_a_review_that_is_not_clear_is_named(tmp_path):
    text = raven_text((1, 2, "K", "hm"), columns=("Annotation", "Review"))
    table = read(tmp_path, text)
    assert not table.events[0].is_wrong
    assert table.notes == ("column Review: 'hm' count as not wrong",)


def test_decimal_commas(tmp_path):
    text = raven_text(("1,5", "2,25", "K"), ("3", "4", "K")).replace("100.0", "100,5")
    table = read(tmp_path, text.replace("200.0", "200"))
    assert brief(table) == [("K", 1.5, 2.25), ("K", 3, 4)]
    assert table.events[0].low_hz == 100.5


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("9\tSpectrogram 1\t1\t5", "too few columns"),
        ("9\tSpectrogram 1\t1\tx\t6\t\t\tK", "'x' is not a number"),
        ("9\tSpectrogram 1\t1\t5\tnan\t\t\tK", "'nan' is not a number"),
        ("9\tSpectrogram 1\t1\t5\tinf\t\t\tK", "'inf' is not a number"),
        ("9\tSpectrogram 1\t1\t=1+4\t6\t\t\tK", "'=1\\+4' is not a number"),
        ("9\tSpectrogram 1\t1\t1_0\t20\t\t\tK", "'1_0' is not a number"),
        ("9\tSpectrogram 1\t1\t-1\t6\t\t\tK", "got -1 to 6 s"),
        ("9\tSpectrogram 1\t1\t6\t5\t\t\tK", "got 6 to 5 s"),
        ("9\tSpectrogram 1\t1\t5\t5\t\t\tK", "a point without a duration"),
        ("9\tSpectrogram 1\t1\t5\t6\t\t\t", "has no name"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_named(row, reason, tmp_path):
    text = raven_text((1, 2, "K")) + row + "\n"
    table = read(tmp_path, text)
    assert brief(table) == [("K", 1, 2)]
    ((number, why),) = table.left_out
    assert number == 2
    with pytest.raises(TableError, match=f"none of its 1 rows .*{reason}") as error:
        read(tmp_path, text.replace("1\tSpectrogram 1\t1\t1\t2\t100.0\t200.0\tK\n", ""))
    assert why in str(error.value)


def test_boxes_and_channels_that_make_no_sense_do_not_cost_the_row(tmp_path):
    text = f"{RAVEN}\tAnnotation\n1\tSpectrogram 1\tmono\t1\t2\t-1\tx\tK\n"
    (event,) = read(tmp_path, text).events
    assert (event.low_hz, event.high_hz, event.channel) == (None, None, None)


times = st.floats(0, 90_000, allow_nan=False).map(lambda t: round(t, 3))


@given(st.lists(st.tuples(times, st.floats(0.001, 60)), min_size=1, max_size=20))
def test_times_come_back_as_they_were_written(tmp_path_factory, rows):
    """In our own table, and in one over all recordings, to the millisecond that they hold."""
    folder = tmp_path_factory.mktemp("raven")
    written = sorted((start, round(start + length, 3)) for start, length in rows)
    annotations = [Annotation(*row, f"K{i}", 0.5) for i, row in enumerate(written)]
    path = write(folder / "a.txt", "".join(raven_lines(annotations, 0, 1)))
    assert sorted((e.start_s, e.end_s) for e in read_events(path).events) == written
    offset = 86_400.123
    text = raven_text(
        *((f"{a + offset:.6f}", f"{b + offset:.6f}", "a.wav", a, "K") for a, b in written),
        columns=("Begin File", "File Offset (s)", "Annotation"),
    )
    found = sorted((e.start_s, e.end_s) for e in read(folder, text).events)
    assert [start for start, _ in found] == [start for start, _ in written]
    assert [end for _, end in found] == pytest.approx([end for _, end in written], abs=1e-6)
