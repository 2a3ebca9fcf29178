"""Names of clips, held against the reader of the convention."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.cutting.clip_names import (
    class_part,
    clip_stem,
    refuse_confusable,
    tape_part,
    year_of,
)
from animal_spot.cutting.plan import ClipPlan
from animal_spot.cutting.tapes import TapeBook
from animal_spot.data.labels import parse_clip
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.tables.event import LabelledEvent
from animal_spot.utils.names import composed
from animal_spot.utils.own_files import JsonLines

NAMES = st.text(min_size=1, max_size=120).map(str.strip).filter(bool)


def stem_for(class_name: str, label: str, tape: str, channel: str = "mix") -> str:
    event = LabelledEvent(label, 1.0, 2.0)
    plan = ClipPlan(class_name, Path("r.wav"), 4410, 8820, event, channel=channel)
    return clip_stem(plan, 4410, 2024, tape)


@given(NAMES, NAMES, NAMES)
def test_a_name_is_read_back_as_class_and_tape_whatever_they_hold(class_name, label, recording):
    tape = tape_part(recording)
    clip = parse_clip(f"{stem_for(class_name, label, tape)}.wav")
    assert clip.class_name == class_part(class_name)
    assert clip.tape == f"2024_{composed(tape.upper())}"
    assert len(f"{stem_for(class_name, label, tape)}.flac".encode()) <= 255


@pytest.mark.parametrize(
    "name",
    ["S02", "Roe deer", "a_b__c", "Fringílla cœlebs", "noise", "Ruf 1.2 (laut)", "カラス", "a+b"],
)
def test_classes_without_dash_survive(name):
    assert parse_clip(f"{stem_for(name, name, 'T1')}.wav").class_name == composed(name)


@pytest.mark.parametrize(
    ("name", "written"), [("Roe-deer", "Roe_deer"), ("a/b:c", "a_b_c"), (".x", "_x"), ("=x", "_x")]
)
def test_what_a_name_cannot_hold_is_an_underscore(name, written):
    assert class_part(name) == written


def test_a_name_says_label_channel_and_milliseconds():
    stem = stem_for("Roe-deer", "bark_long-2", "rec-1", channel="2")
    assert stem == "Roe_deer-bark.long.2_4410c2_2024_rec-1_1000_2000"


@pytest.mark.parametrize("pair", [("Roe-deer", "Roe_deer"), ("owl", "Owl"), ("a b", "a  b")])
def test_classes_that_cannot_be_told_apart_are_refused(pair):
    with pytest.raises(ValueError, match=r"cannot be told apart.*--label_map"):
        refuse_confusable(["x", *pair])


@pytest.mark.parametrize(
    ("start", "year"),
    [(None, 1950), (datetime(2024, 12, 31, 23), 2024), (datetime(1900, 1, 1), 1950)],
)
def test_year(start, year):
    assert year_of(RecordingTime(start=start)) == year


@pytest.fixture
def book_of(tmp_path):
    """Return a function that opens the book of tapes as a new run does."""

    def opened() -> TapeBook:
        lines = JsonLines(tmp_path / "journal")
        book = TapeBook(lines)
        lines.read(book.read)
        return book

    return opened


def test_tapes_differ_whatever_the_case_and_stay_what_they_are(tmp_path, book_of):
    names = ["a/rec_1.wav", "b/REC-1.wav", "c/rec_1.flac", "d/x.wav"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(bytes([number]) * 100)
    unknown = RecordingTime()
    tapes = [book_of().tape_of(tmp_path / name, unknown).name for name in names]
    assert len({tape.upper() for tape in tapes}) == 4
    assert tapes[0] == "rec-1"
    assert tapes[3] == "x"
    again = book_of()  # in another order, one moved, one changed, time known meanwhile
    (tmp_path / "b/REC-1.wav").rename(tmp_path / "REC-1.wav")
    (tmp_path / "d/x.wav").write_bytes(b"other")
    moved = ["d/x.wav", "c/rec_1.flac", "REC-1.wav", "a/rec_1.wav"]
    known = RecordingTime(start=datetime(2024, 1, 1))
    found = [again.tape_of(tmp_path / name, known) for name in moved]
    assert [tape.name for tape in found] == tapes[::-1]
    assert {tape.year for tape in found} == {1950}


def test_the_same_sound_under_two_names_is_noticed(tmp_path, book_of):
    book = book_of()
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"sound")
    first, second = (book.tape_of(tmp_path / n, RecordingTime()) for n in ("a.wav", "b.wav"))
    assert book.twin_of(second) == first
