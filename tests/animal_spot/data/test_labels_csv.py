"""Tables of clips, as people save them."""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path

import pytest

from animal_spot.data.corpus import CorpusError, load_corpus
from animal_spot.data.labels import named_part
from animal_spot.data.sources import SourceError, find_source
from animal_spot.data.splits import PARTITIONS
from tests.helpers.clips import make_corpus
from tests.helpers.corpora import as_one_recording, write_table

NAMES = ("file", "label", "start_s", "end_s", "tape", "site", "split")


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.wav", "sub/b.wav", "c.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def table(folder: Path, *rows: tuple, names: tuple[str, ...] = NAMES, **how: str) -> Path:
    return write_table(folder / "labels.csv", list(rows), names[: len(rows[0])], **how)


def told(folder: Path) -> set[tuple]:
    return {(c.path, c.class_name, c.tape, c.span_s) for c in find_source(folder).clips}


def test_rows_are_files_or_parts_of_them(folder):
    table(
        folder,
        ("a.wav", "Fox", "", "", "T1"),
        ("sub/b.wav", "Fox", "1.5", "3", ""),
        ("sub/b.wav", "Roe-deer", "3", "1:04.25", ""),
        ("c.flac", "noise", "", "", ""),
    )
    assert told(folder) == {
        ("a.wav", "Fox", "T1", None),
        ("sub/b.wav#1.5-3", "Fox", "b", (1.5, 3.0)),
        ("sub/b.wav#3-64.25", "Roe-deer", "b", (3.0, 64.25)),
        ("c.flac", "noise", "c", None),
    }
    assert find_source(folder).excluded == {}


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"encoding": "utf-8-sig"}, id="byte-order-mark"),
        pytest.param({"delimiter": ";"}, id="semicolons-and-decimal-commas"),
        pytest.param({"delimiter": "\t", "encoding": "utf-16"}, id="tabs-utf-16"),
        pytest.param({"encoding": "cp1252"}, id="windows"),
    ],
)
def test_tables_are_read_as_spreadsheets_save_them(folder, how):
    start = "1,5" if "delimiter" in how else "1.5"
    names = ("Note", "FILE", " Label ", "start_s", "End_s")
    table(folder, ("é, x", "a.wav", "Käuzchen", start, "3"), names=names, **how)
    assert told(folder) == {("a.wav#1.5-3", "Käuzchen", "a", (1.5, 3.0))}


def test_names_are_found_in_another_unicode_form_and_with_backslashes(folder):
    (folder / unicodedata.normalize("NFD", "é.wav")).touch()
    table(folder, ("é.wav", "A"), ("sub\\b.wav", "B"))
    found = find_source(folder).clips
    assert all((folder / clip.file).is_file() for clip in found)
    assert len(found) == 2


def test_rows_that_cannot_be_used_are_named_with_the_reason(folder):
    table(
        folder,
        ("a.wav", "A", "1", "2", "", "", ""),
        ("gone.wav", "A", "", "", "", "", ""),
        ("", "A", "", "", "", "", ""),
        ("a.wav", "", "3", "4", "", "", ""),
        ("a.wav", "A", "5", "", "", "", ""),
        ("a.wav", "A", "7", "6", "", "", ""),
        ("a.wav", "A", "soon", "6", "", "", ""),
        ("a.wav", "A", "8", "9", "", "", "both"),
        ("labels.csv", "A", "", "", "", "", ""),
    )
    source = find_source(folder)
    assert [clip.path for clip in source.clips] == ["a.wav#1-2"]
    reasons = {
        name: why.split(" in /")[0].split("; it")[0] for name, why in source.excluded.items()
    }
    assert reasons == {
        "gone.wav (labels.csv, row 2)": "there is no such file",
        "(labels.csv, row 3)": "names no file",
        "a.wav (labels.csv, row 4)": "has no label",
        "a.wav (labels.csv, row 5)": "has only one of start_s and end_s",
        "a.wav (labels.csv, row 6)": "start_s is '7' and end_s '6'",
        "a.wav (labels.csv, row 7)": "'soon' is not a number",
        "a.wav (labels.csv, row 8)": "split is 'both'",
        "labels.csv (labels.csv, row 9)": "is no sound file",
    }


def test_twice_the_same_counts_once_and_two_labels_not_at_all(folder):
    table(folder, *[("a.wav", "A")] * 2, ("sub/b.wav", "A"), ("sub/b.wav", "B"))
    source = find_source(folder)
    assert [clip.path for clip in source.clips] == ["a.wav"]
    assert source.excluded == {"sub/b.wav": "labelled as A and as B in labels.csv"}
    assert "1 rows" in source.warnings[-1]
    assert "such as c.flac" in source.warnings[0]


def test_table_may_lie_elsewhere(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    rows = [("a.wav", "A"), ("c.flac", "B")]
    by_data = write_table(other / "meta.csv", rows, NAMES[:2])
    assert {c.file for c in find_source(folder, labels=by_data).clips} == {"a.wav", "c.flac"}
    beside = write_table(folder / "meta.csv", rows, NAMES[:2])
    source = find_source(other, labels=beside)
    assert {c.file for c in source.clips} == {"a.wav", "c.flac"}
    assert source.folder == folder


def test_a_name_without_folders_is_enough_where_one_file_has_it(folder):
    table(folder, ("b.wav", "A"), ("a.wav", "B"))
    assert {c.file for c in find_source(folder).clips} == {"a.wav", "sub/b.wav"}
    (folder / "more").mkdir()
    (folder / "more" / "b.wav").touch()
    source = find_source(folder)
    assert [clip.file for clip in source.clips] == ["a.wav"]
    assert "or several" in source.excluded["b.wav (labels.csv, row 1)"]


def test_table_of_other_files_does_not_hide_named_clips(folder):
    path = table(folder, ("gone.wav", "A"), ("gone2.wav", "B"))
    source = find_source(folder)
    assert source.kind == "names"
    assert "no row of" in source.warnings[0]
    assert find_source(folder, labels=path).clips == ()


def test_classes_that_look_alike_are_refused_with_what_to_rename(folder):
    table(folder, ("a.wav", "Fox"), ("c.flac", "fox"))
    with pytest.raises(CorpusError, match="rename the labels of one"):
        load_corpus(folder)


def test_table_of_something_else_is_no_table_of_labels(folder):
    path = write_table(folder / "labels.csv", [("x", 1)], ("species", "count"))
    source = find_source(folder)
    assert source.kind == "names"
    assert "no columns file and label" in source.warnings[0]
    with pytest.raises(SourceError, match=r"--labels.*no columns file and label"):
        find_source(folder, labels=path)
    with pytest.raises(SourceError, match="cannot be read"):
        find_source(folder, labels=folder / "gone.csv")


@pytest.mark.parametrize(
    ("start_s", "end_s", "name"),
    [
        pytest.param(0, 3, "x.wav#0-3", id="whole-seconds"),
        pytest.param(86399.1234564, 86400.5, "x.wav#86399.123456-86400.5", id="microseconds"),
        pytest.param(100, 120, "x.wav#100-120", id="zeros-before-the-point-stay"),
    ],
)
def test_parts_have_one_name(start_s, end_s, name):
    assert named_part("x.wav", start_s, end_s) == name


# -- one's own split -------------------------------------------------------------------------------


@pytest.fixture
def day(tmp_path) -> Path:
    tapes = [f"T{i}" for i in range(4)]
    named = make_corpus(tmp_path / "named", dict.fromkeys("ABC", tapes), seconds=0.2)
    return as_one_recording(named, tmp_path / "day", "flac")


def give_split(day: Path, part_of) -> None:
    lines = (day / "labels.csv").read_text().splitlines()
    rows = [line.rpartition('"a note')[0] for line in lines[1:]]
    given = [f"{row}{part_of(row)}" for row in rows]
    (day / "labels.csv").write_text("\n".join(["file,label,start_s,end_s,tape,split", *given]))


def own_part(row: str) -> str:
    return {"T2": "validation", "T3": "Test"}.get(row.rstrip(",")[-2:], "train")


def test_own_split_is_used_and_nothing_stored(day, caplog):
    caplog.set_level(logging.INFO)
    give_split(day, own_part)
    corpus = load_corpus(day)
    tapes = [{s.tape for s in corpus.samples[p]} for p in PARTITIONS]
    assert tapes == [{"2020_T0", "2020_T1"}, {"2020_T2"}, {"2020_T3"}]
    assert {p.name for p in day.iterdir()} == {"labels.csv", "day1.flac"}
    assert "column split" in caplog.text
    assert "leaks" not in caplog.text


def test_own_split_is_checked_for_leaks(day, caplog):
    give_split(day, lambda row: own_part(row) if ",A," in row else "train")
    load_corpus(day)
    assert "the split leaks: 2 tapes" in caplog.text
    with pytest.raises(CorpusError, match=r"leaks.*change the column split"):
        load_corpus(day, strict_split=True)


def test_rows_without_a_part_are_said(day, caplog):
    give_split(day, lambda row: own_part(row) if "T0" not in row else "")
    corpus = load_corpus(day)
    assert "3 clips are in no partition of the column split" in caplog.text
    assert sum(map(len, corpus.samples.values())) == 9


def test_parts_that_overlap_across_partitions_are_told(day, caplog):
    rows = [("day1.flac", n, i / 10, i / 10 + 0.2, f"{n}{i}") for n in "ABC" for i in range(3)]
    given = [(*row, part) for row, part in zip(rows, [*PARTITIONS] * 3, strict=True)]
    shifted = [(f, n, s + "ABC".index(n), e + "ABC".index(n), t, p) for f, n, s, e, t, p in given]
    write_table(day / "labels.csv", shifted, (*NAMES[:5], "split"))
    load_corpus(day)
    assert "6 parts of recordings overlap one in another partition" in caplog.text
