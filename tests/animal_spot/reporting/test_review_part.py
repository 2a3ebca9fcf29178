"""The report of a review, held against what was decided."""

import json
import shutil
import sqlite3
from datetime import datetime, timedelta

import pytest

from animal_spot.reporting.page import Note, Sounds, Table
from animal_spot.reporting.review_part import review_state, sections
from animal_spot.reporting.review_rounds import rounds_sections
from animal_spot.reporting.reviewed import read_review, work_s
from animal_spot.reporting.sources import SourceError
from animal_spot.reporting.wanted import Wanted
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Decision, Project
from tests.helpers.report_contents import facts_in, table_in
from tests.helpers.reviewing import write_recordings, write_tables


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A prediction, and a review of it by two, who differ in one detection.

    Of six detections the fifth is unsure and the sixth open; a missed call was added.
    """
    folder = tmp_path_factory.mktemp("pond")
    write_recordings(folder / "recordings")
    write_tables(folder / "found")
    project = Project(folder / "review.sqlite")
    recordings = (str(folder / "recordings"),)
    bring_in(project, ReviewConfig(predictions=str(folder / "found"), recordings=recordings))
    for number, verdict in enumerate(("right", "wrong", "other", "right", "unsure"), 1):
        heard = "owl" if verdict == "other" else None
        project.decide([(number, Decision(verdict, heard, note="a <b>note</b>"))], "Ida")
    project.decide([(number, Decision("right")) for number in (1, 2, 4)], "Jon")
    project.add(3, (3.0, 4.0), "fox", "Ida")
    project.close()
    return folder


@pytest.fixture(scope="module")
def made(place):
    return sections(place / "review.sqlite", Wanted())


def test_state_worked_by_hand(made):
    facts = facts_in(made[0])
    expected = {
        **{"Recordings": "3", "Detections": "7", "Decided": "6 (85.7 %)", "Right": "3"},
        **{"No call": "0", "Another class": "1", "Unsure, or reviewers differ": "2"},
        **{"Not decided yet": "1", "Reviewers": "2"},
    }
    assert {key: facts[key] for key in expected} == expected
    ida, jon = table_in(made, "reviewers").rows
    # Decided, right (with the call that was added), wrong, other, unsure, skipped.
    assert [cell.value for cell in ida[1:7]] == [6, 3, 1, 1, 1, 0]
    assert [cell.value for cell in jon[1:7]] == [3, 3, 0, 0, 0, 0]


def test_agreement_worked_by_hand(made):
    """Owl, no call, fox against owl, owl, fox: by chance 2/9 + 1/9 of them are the same."""
    (row,) = table_in(made, "agreement").rows
    assert row[0] == "Ida and Jon"
    assert row[1].value == 3
    assert row[3].value == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))
    assert row[5].value == 1


def test_precision_worked_by_hand(made):
    """Both detections of fox are decided: one of two is right, and there is no doubt."""
    fox, owl = table_in(made, "verified").rows
    assert [cell.value for cell in fox[1:6]] == [2, 2, 1, 1, 0]
    assert [cell.text for cell in fox[6:10]] == ["50.0 %", "50.0 to 50.0 %", "1", "1 to 1"]
    assert [cell.value for cell in owl[1:6]] == [4, 1, 1, 0, 2]
    assert owl[6].value == 1  # all four are of one score bin
    assert owl[7].text.endswith("to 100.0 %")
    (missed,) = table_in(made, "missed").rows
    assert (missed[0], missed[1].value, missed[2].value) == ("fox", 1, 0)
    (renamed,) = table_in(made, "other_names").rows
    assert (*renamed[:2], renamed[2].value) == ("fox", "owl", 1)


def test_reviewed_examples_can_be_heard(made):
    groups = [block for one in made for block in one.blocks if isinstance(block, Sounds)]
    assert [block.title for block in groups] == (
        ["Calls that have another class", "Detections that are right"]
    )
    (renamed,) = groups[0].items
    assert renamed.title == "fox, in truth owl"
    assert renamed.lines[0] == "pond_20260501_213000.wav, at 7.00 s"
    assert "Note: a <b>note</b>" in renamed.lines
    assert all(item.audio and item.png for block in groups for item in block.items)


def test_pauses_are_no_work():
    start = datetime(2026, 5, 1, 12)
    moments = [start + timedelta(seconds=s) for s in (30, 0, 10, 200, 210)]
    assert work_s(moments) == 10 + 20 + 10
    assert work_s([start]) == 0


def test_a_prediction_finds_its_review(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = review_state(place / "found")
    (table,) = (block for block in blocks if isinstance(block, Table))
    assert [row[0] for row in table.rows] == ["fox", "owl"]
    assert review_state(place / "recordings") == []
    shutil.copytree(place, tmp_path / "moved")
    assert review_state(tmp_path / "moved" / "found") == []  # that of the old place is there
    shutil.move(place / "found", place / "away")
    try:
        assert len(review_state(tmp_path / "moved" / "found")) == len(blocks)
    finally:
        shutil.move(place / "away", place / "found")
    monkeypatch.chdir(place)
    shutil.move(tmp_path / "moved" / "review.sqlite", tmp_path / "another.sqlite")
    assert review_state(tmp_path / "moved" / "found") == []


def figure(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


ROUND = {
    "model": {"before": "old.pk", "after": "new.pk"},
    "sets": [
        {
            "name": "reviewed sample",
            "rows": [
                {
                    "measure": "precision",
                    "before": figure(0.5, 0.251, 0.749),
                    "after": figure(None, 0.8, 1.0),
                },
                {
                    "measure": "false alarms per hour",
                    "before": figure(12.345, 1.0, 20.0),
                    "after": figure(1234.5),
                },
                {"measure": "detections", "before": figure(1200), "after": figure(7)},
            ],
        }
    ],
    "gone": [
        {
            **{"id": 1, "recording": "/r/pond.wav", "begin_s": 1.5, "end_s": 2.0},
            **{"class": "owl", "label": None, "score": 0.987},
        }
    ],
    "still": [],
    "notes": ["there are no test clips"],
}


def test_rounds_of_retraining(tmp_path):
    rounds = tmp_path / "my_retrained"
    for number in (1, 2, 10):
        (rounds / f"round_{number}").mkdir(parents=True)
    (rounds / "round_2" / "retrained.json").write_text(json.dumps(ROUND))
    damaged = ROUND | {"gone": [{"recording": 7}]}
    (rounds / "round_10" / "retrained.json").write_text(json.dumps(damaged))
    last, middle, first = rounds_sections(tmp_path / "my.sqlite")
    assert (last.title, middle.title, first.title) == ("Round 10", "Round 2", "Round 1")
    (note,) = last.blocks
    assert note.is_warning
    assert "retrained.json" in note.text
    assert isinstance(first.blocks[0], Note)
    assert "has not ended" in first.blocks[0].text
    rows = [
        [getattr(cell, "text", cell) for cell in row]
        for row in table_in([middle], "round2_set0").rows
    ]
    assert rows == [
        ["Precision", "50.0 %", "25.1 to 74.9 %", "–", "80.0 to 100.0 %"],
        ["False alarms per hour", "12.35", "1.00 to 20.00", "1234.50", "–"],
        ["Detections", "1,200", "–", "7", "–"],
    ]
    assert facts_in(middle)["Reviewed mistakes that are gone"] == "1"
    (gone,) = table_in([middle], "round2_gone").rows
    assert gone[0] == "pond.wav"
    assert gone[3:5] == ("owl", "no call")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE settings SET value = '\"high\"' WHERE key = 'threshold'",
        "UPDATE settings SET value = '{' WHERE key = 'predictions'",
        "UPDATE decisions SET at = 'yesterday'",
        "UPDATE decisions SET reviewer = CAST(x'ff' AS TEXT)",
        "UPDATE detections SET recording_id = 99",
        "DELETE FROM detections WHERE id = 1",
    ],
)
def test_a_damaged_review_is_named(place, tmp_path, statement):
    path = tmp_path / "review.sqlite"
    shutil.copy(place / "review.sqlite", path)
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()
    with pytest.raises(SourceError) as caught:
        read_review(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
