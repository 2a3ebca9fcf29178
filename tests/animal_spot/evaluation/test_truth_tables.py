"""Tables of the truth: in every format, of one recording or of many."""

import logging
import math
from pathlib import Path

import pytest

from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.annotated import Evaluated
from animal_spot.evaluation.truth_tables import TruthTables
from animal_spot.tables.event import TableError
from tests.helpers.tables import raven_text, write


def tables(folder, *recordings, own=lambda path: False, label_column=None) -> TruthTables:
    """Return the tables of the truth of results that are called after their recordings."""
    evaluated = {
        Path(f"{n}_predict_output.log"): Evaluated(Path(text).stem, text, Path(text).stem)
        for n, text in enumerate(recordings)
    }
    return TruthTables(folder, evaluated, own=own, label_column=label_column)


def of(truth: TruthTables) -> list[list[str]]:
    return [[table.name for table in found] for found in truth.by_result.values()]


def rows(truth: TruthTables, n: int, recording: str) -> list[tuple[float, float, str]]:
    (table,) = truth.by_result[Path(f"{n}_predict_output.log")]
    return [row[:3] for row in truth.rows(table, recording)]


TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n9\n<exists>\n1\n'
    '"IntervalTier"\n"calls"\n0\n9\n2\n0\n1\n""\n1\n2\n"K"\n'
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rec.txt", "1\t2\tK\n"),
        ("rec.Table.1.selections.txt", raven_text((1, 2, "K"))),
        ("rec.csv", "start;stop;species\n1,0;2,0;K\n"),
        ("rec_annotations.tsv", "onset\tduration\tlabel\n1\t1\tK\n"),
        ("rec.TextGrid", TEXTGRID),
        ("REC.TXT", "1\t2\tK\n"),
    ],
)
def test_truth_in_every_format(name, text, tmp_path):
    write(tmp_path / "sub" / name, text)
    assert rows(tables(tmp_path, "a/rec.wav"), 0, "a/rec.wav") == [(1, 2, "K")]


def test_tables_called_after_the_recording_go_before_those_called_after_the_result(tmp_path):
    evaluated = {Path("1.log"): Evaluated("x", "a/rec.wav", "rec-8f")}
    write(tmp_path / "rec-8f.txt", "")
    truth = TruthTables(tmp_path, evaluated, own=lambda path: False)
    assert of(truth) == [["rec-8f.txt"]]
    write(tmp_path / "rec.txt", "")
    assert of(TruthTables(tmp_path, evaluated, own=lambda path: False)) == [["rec.txt"]]


def test_one_table_of_many_recordings(tmp_path, caplog):
    """It counts where no table is called after the recording."""
    columns = ("Begin Path", "File Offset (s)", "Annotation")
    text = raven_text(
        (1, 2, "D:\\x\\a.wav", 1, "K"),
        (31, 32, "D:\\x\\b.wav", 1.5, "L"),
        (41, 42, "D:\\y\\b.wav", 2.5, "M"),
        (51, 52, "D:\\x\\c.wav", 3, "N"),
        columns=columns,
    )
    write(tmp_path / "all.txt", text)
    write(tmp_path / "c.txt", "7\t8\tZ\n")
    write(tmp_path / "notes.txt", "some text")
    recordings = ["/r/x/a.wav", "/r/x/b.wav", "/r/y/b.wav", "/r/x/c.wav", "/r/x/d.wav"]
    truth = tables(tmp_path, *recordings)
    assert len(truth.by_result) == 4, "none for d"
    found = [rows(truth, n, recording) for n, recording in enumerate(recordings[:4])]
    assert found == [[(1, 2, "K")], [(1.5, 2.5, "L")], [(2.5, 3.5, "M")], [(7, 8, "Z")]]
    assert truth.owners(tmp_path / "all.txt") == []
    assert caplog.records == []


def test_a_table_that_says_it_is_of_another_recording(tmp_path):
    text = raven_text((1, 2, "/data/rec2.wav", "K"), columns=("Begin Path", "Annotation"))
    table = write(tmp_path / "rec1.txt", text)
    truth = tables(tmp_path, "/data/rec1.wav")
    with pytest.raises(TableError, match=r"is of /data/rec2\.wav, not of /data/rec1\.wav"):
        truth.rows(table, "/data/rec1.wav")


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
    text = raven_text((1, 2, named, "K"), columns=(column, "Annotation"))
    table = write(tmp_path / f"{Path(recording).stem}.txt", text)
    assert len(tables(tmp_path, recording).rows(table, recording)) == 1


def test_false_alarms_of_a_review_are_no_truth(tmp_path):
    text = raven_text((1, 2, "K", "wrong"), (3, 4, "L", "ok"), columns=("Annotation", "Review"))
    table = write(tmp_path / "rec.txt", text)
    (row,) = tables(tmp_path, "rec.wav").rows(table, "rec.wav")
    assert row[:3] == (3, 4, "L")
    assert isinstance(row, Annotation)
    assert math.isnan(row.score)


def test_rows_that_are_left_out_and_what_was_guessed_are_said(tmp_path, caplog):
    table = write(tmp_path / "rec.csv", "begin,end,species\n1,2,K\n3,3,K\n")
    with caplog.at_level(logging.INFO):
        tables(tmp_path, "rec.wav").rows(table, "rec.wav")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"{table}: columns: begin is begin, end is end, label is species",
        f"{table}: left out 1 of 2 rows: row 2: a point without a duration, got 3 to 3 s",
    ]


def test_tables_of_a_program_and_a_named_column(tmp_path):
    write(tmp_path / "rec.txt", raven_text((1, 2, "K", "x"), columns=("Species", "Was")))
    truth = tables(tmp_path, "rec.wav", label_column="was")
    assert rows(truth, 0, "rec.wav") == [(1, 2, "x")]
    assert tables(tmp_path, "rec.wav", own=lambda path: True).by_result == {}
