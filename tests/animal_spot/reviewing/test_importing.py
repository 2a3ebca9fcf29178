"""From what a prediction left, or from recordings alone, to rows to decide on."""

from __future__ import annotations

import json
import logging

import pytest

from animal_spot.detections.journal import FILE_NAME, Completed, Journal
from animal_spot.reviewing.project import Decision
from tests.helpers import reviewing

STEM = "pond_20260501_213000"
TABLE = f"{STEM}.Table.1.selections.txt"


def rows(project, columns="class, begin_s, end_s, score"):
    found = project.db.execute(
        f"SELECT {columns} FROM detections JOIN recordings ON recordings.id = recording_id "
        "ORDER BY path, begin_s"
    )
    return [tuple(row) for row in found]


EXPECTED = [row for rows_ in reviewing.ROWS.values() for row in rows_]


def as_rows(every):
    return [(name, begin_s, end_s, score) for name, begin_s, end_s, score in every]


def test_tables(project):
    assert rows(project) == as_rows(EXPECTED)
    assert set(rows(project, "low_hz, high_hz, source")) == {(2000.0, 4000.0, "prediction")}
    starts = [one.start for one in project.recordings()]
    assert starts[0] == "2026-05-01T21:30:00.000"


def test_nothing_in_the_folders_is_changed(folder, open_project):
    before = [reviewing.state_of(folder / name) for name in ("predictions", "recordings")]
    open_project().decide([(1, Decision("wrong"))], "Ann")
    assert [reviewing.state_of(folder / name) for name in ("predictions", "recordings")] == before


def test_times_with_a_zone_and_sites(folder, open_project):
    (folder / "sites.csv").write_text(
        "site,folder,zone\nmarsh,recordings,Europe/Berlin\n", encoding="utf-8"
    )
    project = open_project(deployments=str(folder / "sites.csv"))
    one = project.recordings()[0]
    assert (one.site, one.start) == ("marsh", "2026-05-01T21:30:00.000+02:00")


def journal(folder, entries):
    """Note what a prediction wrote, as it does."""
    opened = Journal(folder)
    for stem, noted in entries.items():
        name = f"{stem}.Table.1.selections.txt"
        content = (folder / name).read_text()
        opened.own.write_text(name, content)
        opened.add(
            Completed(
                path=str(folder.parent / "recordings" / f"{stem}.wav"),
                **{"stem": stem, "run": "r", "state": [1, 2, 3], "digest": "d"},
                **{"duration_s": 12.0, "n_windows": 3, "detections": {}, "seconds": 1.0},
                files={name: len(content)},
                annotations=noted,
            )
        )
    opened.close()


def test_what_the_prediction_noted_and_tables_that_were_edited(folder, open_project):
    """Scores of a journal have all digits; a table that somebody edited goes before it."""
    noted = {
        stem: [[begin_s, end_s, name, score + 1e-6] for name, begin_s, end_s, score in of]
        for stem, of in reviewing.ROWS.items()
    }
    predictions = folder / "predictions"
    journal(predictions, noted)
    edited = (predictions / TABLE).read_text().replace("\towl\t0.8\n", "\tnewt\t0.8\n")
    (predictions / TABLE).write_text(edited)
    project = open_project(recordings=())
    expected = as_rows(EXPECTED)
    expected[1] = ("newt", 4.0, 5.0, 0.8)
    expected[3:] = [(*row[:3], row[3] + 1e-6) for row in expected[3:]]
    assert rows(project) == expected
    assert set(rows(project, "low_hz, high_hz")) == {(2000.0, 4000.0)}


def windows(folder, stem, scores):
    """Write windows of a second as predict.py does with ``--format csv``."""
    lines = ["file,start_s,end_s,pred,pred_class,prob,fmin_hz,fmax_hz,p_noise,p_owl"]
    for number, score in enumerate(scores):
        lines.append(
            f"{folder.parent}/recordings/{stem}.wav,{number}.0,{number + 1}.0,1,owl,{score},"
            f"500,4000,{1 - score:.6f},{score}"
        )
    (folder / f"{stem}_predict_output.csv").write_text("\n".join(lines) + "\n")


def test_bands_that_the_prediction_measured(folder, open_project):
    predictions = folder / "predictions"
    journal(predictions, {STEM: [[1.0, 2.0, "owl", 0.9], [4.0, 5.0, "fox", 0.8]]})
    path = predictions / FILE_NAME
    bands = '"bands": [[900.0, 1500.0], [2000.5, 2500.0]]'
    assert '"bands": []' in path.read_text()
    path.write_text(path.read_text().replace('"bands": []', bands))
    project = open_project(recordings=())
    assert rows(project, "low_hz, high_hz")[:2] == [(900.0, 1500.0), (2000.5, 2500.0)]


def test_a_threshold_where_the_prediction_was_given_relative_paths(folder, open_project):
    predictions = folder / "predictions"
    journal(predictions, {STEM: [[1.0, 2.0, "owl", 0.9]]})
    windows(predictions, STEM, [0.1, 0.3, 0.9])
    result = predictions / f"{STEM}_predict_output.csv"
    result.write_text(result.read_text().replace(f"{folder}/", ""))
    project = open_project(recordings=(), threshold=0.2)
    assert rows(project) == [("owl", 1.0, 3.0, 0.9)]


def test_nothing_was_found(folder, open_project, caplog):
    for table in (folder / "predictions").iterdir():
        table.write_text(f"{reviewing.RAVEN}\n")
    project = open_project()
    assert "nothing was found" in caplog.text
    assert len(project.recordings()) == 3, "in which missed calls can be marked"


def test_windows_where_there_is_no_table_and_by_a_threshold(folder, open_project):
    predictions = folder / "predictions"
    (predictions / TABLE).unlink()
    windows(predictions, STEM, [0.1, 0.6, 0.9, 0.2, 0.8, 0.3])
    project = open_project()
    assert rows(project)[:2] == [("owl", 1.0, 3.0, 0.9), ("owl", 4.0, 5.0, 0.8)]
    assert len(rows(project)) == 2 + 3
    assert rows(project, "low_hz, high_hz")[0] == (500.0, 4000.0)
    again = open_project(threshold=0.85)
    assert rows(again) == [("owl", 2.0, 3.0, 0.9)]


def test_false_alarms_that_a_table_marks_are_wrong(folder, open_project):
    table = folder / "predictions" / TABLE
    lines = table.read_text().splitlines()
    marks = ("Review", "", "wrong", "right")
    text = "\n".join(f"{line}\t{mark}" for line, mark in zip(lines, marks, strict=True))
    table.write_text(text + "\n")
    project = open_project()
    said = [(row["detection_id"], row["reviewer"], row["verdict"]) for row in project.counting()]
    assert said == [(2, "table", "wrong")]


def test_a_second_prediction_keeps_what_was_decided(folder, open_project):
    """The same place and class is the same row; of what is gone only decided rows stay."""
    project = open_project()
    project.decide([(1, Decision("right")), (3, Decision("wrong"))], "Ann")
    table = folder / "predictions" / TABLE
    table.write_text(
        f"{reviewing.RAVEN}\n1\tS\t1\t1.000\t2.000\t2000.0\t4000.0\towl\t0.75\n"
        "2\tS\t1\t10.000\t11.000\t2000.0\t4000.0\tfox\t0.7\n"
    )
    again = open_project()
    found = rows(again, "detections.id, class, begin_s, score")[:3]
    assert found == [(1, "owl", 1.0, 0.75), (3, "fox", 7.0, 0.55), (7, "fox", 10.0, 0.7)]
    assert len(again.counting()) == 2


def test_what_has_not_changed_is_not_read_again(folder, open_project, caplog):
    caplog.set_level(logging.INFO, "REVIEW")
    open_project()
    assert "6 detections in 3 recordings, 6 of them new" in caplog.text
    caplog.clear()
    open_project()
    assert not caplog.text


def test_recordings_are_found_by_name(folder, open_project):
    """Of a prediction on another computer, whose recordings lie elsewhere now."""
    noted = {stem: [[1.0, 2.0, "owl", 0.9]] for stem in reviewing.ROWS}
    journal(folder / "predictions", noted)
    path = folder / "predictions" / FILE_NAME
    path.write_text(path.read_text().replace(json.dumps(str(folder))[1:-1], "/mnt/card"))
    with pytest.raises(ValueError, match=r"no recordings found: /mnt/card.* --recordings"):
        open_project(recordings=())
    project = open_project()
    assert not any(one.missing for one in project.recordings())
    assert project.recording(1).path == folder / "recordings" / f"{STEM}.wav"


def test_some_recordings_are_missing(folder, open_project, caplog):
    noted = {stem: [[1.0, 2.0, "owl", 0.9]] for stem in reviewing.ROWS}
    journal(folder / "predictions", noted)
    (folder / "recordings" / f"{STEM}.wav").unlink()
    project = open_project(recordings=())
    assert [one.missing for one in project.recordings()] == [True, False, False]
    assert "1 of 3 recordings are not there" in caplog.text


def test_windows_of_recordings_alone(open_project):
    project = open_project(predictions=None, window=5.0, step=2.5)
    found = rows(project, "class, begin_s, end_s, score, source")
    assert found[:5] == [
        *((None, begin_s, begin_s + 5, None, "window") for begin_s in (0.0, 2.5, 5.0)),
        *((None, begin_s, 12.0, None, "window") for begin_s in (7.5, 10.0)),
    ]
    assert len(found) == 15


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"predictions": "nowhere"}, "--predictions nowhere is no folder"),
        ({"recordings": ("nowhere",)}, "nowhere"),
    ],
    ids=["predictions", "recordings"],
)
def test_what_cannot_be_used_is_named(open_project, settings, says):
    with pytest.raises((ValueError, OSError), match=says):
        open_project(**settings)


def test_a_folder_without_results(folder, open_project, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no results of predict.py and no tables in .*empty"):
        open_project(predictions=str(tmp_path / "empty"))
