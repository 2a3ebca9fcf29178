import contextlib
import csv
import math
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from animal_spot.detections.annotations import Annotation
from animal_spot.reporting import pictures, prediction_part
from animal_spot.reporting import run as report_run
from animal_spot.reporting.found_examples import where_it_is
from animal_spot.reporting.found_recordings import shown_names
from animal_spot.reporting.found_settings import read_settings
from animal_spot.reporting.found_tables import ALL_RECORDINGS, read_found
from animal_spot.reporting.page import Facts, Note, Picture, Section, Sounds, Table, blocks_of
from animal_spot.reporting.page import Report as PageReport
from animal_spot.reporting.sources import SourceError
from animal_spot.reporting.wanted import Wanted
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Decision, Project
from tests.helpers.found_folder import FoundFolder, made
from tests.helpers.results import log_text

NO_SOUND = Wanted(examples=0)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Figures are made, but not drawn, which takes most of the time."""
    monkeypatch.setattr(pictures, "save", lambda *_: None)
    monkeypatch.setattr(pictures, "png_bytes", lambda *_: b"")
    monkeypatch.setattr(pictures, "svg_text", lambda *_: "<svg></svg>")


def blocks(folder: Path, kind: type, wanted: Wanted = NO_SOUND) -> list:
    sections = prediction_part.sections(folder, wanted)
    return [block for block in blocks_of(PageReport("", (), sections)) if isinstance(block, kind)]


def table(folder: Path, name: str) -> Table:
    return next(one for one in blocks(folder, Table) if one.name == name)


def values(rows) -> list[list]:
    return [[getattr(cell, "value", cell) for cell in row] for row in rows]


def raven_rows(folder: Path) -> list[dict]:
    with open(folder / ALL_RECORDINGS, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> FoundFolder:
    one = made(tmp_path_factory.mktemp("night"), 7, 9)
    one.failed = {"broken.wav": "truncated: 20 bytes are missing at the end"}
    names = list(one.rows)
    odd = "channels cancel each other: their mix is {} dB below one of them"
    one.odd = {names[0]: [odd.format(20)], names[1]: [odd.format(31), "a short header"]}
    one.write_tables()
    return one


def test_counts_are_those_of_the_tables(night):
    rows = raven_rows(night.found)
    for name, n, per_hour, n_with, *quantiles, _ in values(table(night.found, "classes").rows):
        its = [row for row in rows if row["Annotation"] == name]
        assert n == len(its)
        assert per_hour == pytest.approx(len(its) / (7 * 30 / 3600))
        assert n_with == len({row["Begin Path"] for row in its})
        scores = [float(row["Score"]) for row in its]
        assert quantiles == pytest.approx(np.quantile(scores, [0.1, 0.5, 0.9]).tolist())
    listed = values(table(night.found, "recordings").rows)
    by_file = Counter((row["Begin File"], row["Annotation"]) for row in rows)
    columns = table(night.found, "recordings").columns
    for row in listed[:7]:
        named = dict(zip(columns, row, strict=True))
        assert named["Minutes"] == 0.5
        for name in night.classes:
            assert named[name] == by_file[named["Recording"], name]
    assert listed[7][1] == "broken.wav"
    assert listed[7][-1] == "failed"


def test_facts_and_warnings_are_said(night):
    facts = dict(blocks(night.found, Facts)[0].rows)
    assert facts["Recordings listened to"].text == "7"
    assert facts["Recordings that failed"].text == "1"
    assert facts["Detections"].value == 63
    assert facts["First and last day"] == "2024-05-01 to 2024-05-02"
    warnings = [note.text for note in blocks(night.found, Note) if note.is_warning]
    # Alike but for a number: said once.
    assert sum("channels cancel each other" in text for text in warnings) == 1
    assert any(text.startswith("2 recordings, such as 20240501_200000.wav") for text in warnings)
    assert any("a short header" in text for text in warnings)
    assert any("time zone of 7 recordings is not known" in text for text in warnings)
    assert any("1 file could not be used" in text for text in warnings)
    (failed,) = table(night.found, "failed").rows
    assert failed[1] == "truncated: 20 bytes are missing at the end"


def test_a_prediction_that_was_stopped_is_said_to_be_a_part(tmp_path):
    one = made(tmp_path, 3, 5)
    one.write_tables()
    replace_in(one.found / "summary.csv", "20240501_205000.wav,complete", "b.wav,not reached")
    (text,) = (n.text for n in blocks(one.found, Note) if n.is_warning and "stopped" in n.text)
    assert "1 of 3 recordings" in text


def test_activity_is_per_recorded_hour_and_what_was_not_recorded_is_no_zero(tmp_path):
    """Against a count of each second and each detection by itself."""
    start = datetime(2024, 5, 1, 21, 40)
    calls = [Annotation(s, s + 1.0, "chirp", 0.9) for s in (10.0, 1199.9, 1200.0, 5000.0)]
    second = [Annotation(5.0, 6.0, "chirp", 0.9), Annotation(7.0, 8.0, "hum", 0.9)]
    one = FoundFolder(
        tmp_path,
        {"a.wav": calls, "b.wav": second, "c.wav": []},
        duration_s=5400.0,
        starts={"a.wav": start, "b.wav": start + timedelta(days=3)},
    )
    one.write_tables()
    effort, found = defaultdict(float), Counter()
    for begin in (start, start + timedelta(days=3)):
        for second_of in range(5400):
            effort[(begin + timedelta(seconds=second_of)).hour] += 1 / 3600
    for begin, rows in ((start, calls), (start + timedelta(days=3), second)):
        for row in rows:
            found[(begin + timedelta(seconds=row.begin_s)).hour, row.name] += 1
    by_hour = table(tmp_path / "found", "by_hour")
    assert by_hour.columns == ("Hour", "Hours recorded", "chirp", "hum")
    for hour, recorded, *rates in values(by_hour.rows):
        assert recorded == pytest.approx(effort[hour])
        for name, rate in zip(("chirp", "hum"), rates, strict=True):
            expected = found[hour, name] / effort[hour] if effort[hour] else None
            assert rate == (expected if expected is None else pytest.approx(expected))
    assert by_hour.rows[3][2].text == "–"
    assert "–: not recorded" in by_hour.note
    days = table(tmp_path / "found", "by_day")
    assert [row[0].text for row in days.rows] == ["2024-05-01", "2024-05-04"]
    assert "2 of 4" in days.note
    warnings = [note.text for note in blocks(tmp_path / "found", Note) if note.is_warning]
    assert any("when they were made: 1 recording." in text for text in warnings)


def test_without_times_a_note_says_what_to_do(tmp_path):
    made(tmp_path, 3, 4, with_times=False).write_tables()
    notes = [note.text for note in blocks(tmp_path / "found", Note)]
    assert any("--time_pattern" in text for text in notes)
    assert not any(one.name.startswith("by_") for one in blocks(tmp_path / "found", Table))


def test_sites_have_a_table_of_their_own(tmp_path):
    one = made(tmp_path, 4, 5)
    one.sites = {name: f"site {number % 2}" for number, name in enumerate(one.rows)}
    one.write_tables()
    rows = values(table(one.found, "by_site").rows)
    assert [row[:2] for row in rows] == [["site 0", 60 / 3600], ["site 1", 60 / 3600]]


def test_examples_are_drawn_by_the_seed_and_this_is_said(tmp_path):
    one = made(tmp_path, 2, 12)
    one.write_sounds()
    one.write_tables()

    def drawn(seed: int) -> list[list[str]]:
        sounds = blocks(one.found, Sounds, Wanted(examples=2, seed=seed))
        return [[" ".join((s.title, *s.lines)) for s in block.items] for block in sounds]

    sounds = blocks(one.found, Sounds, Wanted(examples=2))
    assert [
        re.fullmatch(r"(chirp|hum): 2 of \d+ detections, drawn at random", b.title) is not None
        for b in sounds
    ] == [True, True]
    assert all(s.png and s.audio for block in sounds for s in block.items)
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    few = blocks(one.found, Sounds, Wanted(examples=40))
    assert all("all detections" in block.title for block in few)


def test_recordings_that_are_gone_leave_words(tmp_path):
    one = made(tmp_path, 2, 3)
    one.write_tables()
    sounds = blocks(one.found, Sounds, Wanted(examples=2))
    items = [sound for block in sounds for sound in block.items]
    assert items
    assert all(sound.audio is None and "No such file" in sound.lines[-1] for sound in items)


def test_recordings_are_found_where_they_are_now(tmp_path):
    for name in ("x/a.wav", "y/a.wav", "b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert where_it_is("/old/disk/y/a.wav", tmp_path) == tmp_path / "y" / "a.wav"
    assert where_it_is(r"C:\old\b.wav", tmp_path) == tmp_path / "b.wav"
    assert where_it_is("/old/c.wav", tmp_path) == Path("/old/c.wav")
    assert where_it_is("/old/b.wav", None) == Path("/old/b.wav")


def test_many_recordings_are_summed_by_day(tmp_path):
    one = made(tmp_path, 520, 2)
    one.write_tables()
    summed = table(one.found, "recordings")
    assert summed.columns[:6] == (
        "Site",
        "Day",
        "Recordings",
        "Not complete",
        "Hours",
        "Detections",
    )
    rows = values(summed.rows)
    assert sum(row[2] for row in rows) == 520
    assert sum(row[5] for row in rows) == 1040
    days = Counter(start.date().isoformat() for start in one.starts.values())
    assert {row[1]: row[2] for row in rows} == days
    assert any("520 recordings, more than can be listed" in n.text for n in blocks(one.found, Note))


def test_the_table_of_detections_counts_where_it_was_edited(tmp_path):
    one = made(tmp_path, 2, 6)
    one.write_tables()
    lines = (one.found / ALL_RECORDINGS).read_text().splitlines(keepends=True)
    (one.found / ALL_RECORDINGS).write_text(
        "".join([*lines[:-2], lines[-1].replace(lines[-1].split("\t")[10], "buzz")])
    )
    rows = {row[0]: row[1] for row in values(table(one.found, "classes").rows)}
    assert sum(rows.values()) == 11
    assert rows["buzz"] == 1
    (warning,) = [n.text for n in blocks(one.found, Note) if "was edited" in n.text]
    assert "counts 12 detections" in warning
    assert "has 11" in warning


def test_an_old_folder_has_a_summary_alone(tmp_path):
    one = made(tmp_path, 3, 5)
    one.write_tables()
    (one.found / ALL_RECORDINGS).unlink()
    (one.found / "failed_files.csv").unlink()
    rows = values(table(one.found, "classes").rows)
    assert sum(row[1] for row in rows) == 15
    assert rows[0][4:7] == [None] * 3
    assert any(ALL_RECORDINGS in note.text for note in blocks(one.found, Note))


def test_nothing_found_is_no_fault(tmp_path):
    made(tmp_path, 2, 0).write_tables()
    names = [picture.name for picture in blocks(tmp_path / "found", Picture)]
    assert names == ["activity_by_hour", "activity_by_day", "recordings"]
    assert not blocks(tmp_path / "found", Sounds, Wanted())


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("summary.csv", ",30.0,", ",thirty,", "summary.csv is damaged, line 2"),
        ("summary.csv", ",30.0,", ",-3,", "summary.csv is damaged, line 2"),
        ("summary.csv", "2024-05-01T20", "yesterday", "is no time"),
        (ALL_RECORDINGS, "Begin Path", "Path", "no column 'Begin Path'"),
        (ALL_RECORDINGS, "\tSpectrogram 1\t1\t", "\tSpectrogram 1\t1\tx", "line 2: a number"),
        (ALL_RECORDINGS, "\tSpectrogram 1\t1\t", "\tSpectrogram 1\t1\tnan", "line 2"),
    ],
)
def test_a_damaged_table_is_named(tmp_path, name, old, new, said):
    one = made(tmp_path, 2, 3)
    one.write_tables()
    replace_in(one.found / name, old, new)
    with pytest.raises(SourceError, match=re.escape(name)) as error:
        prediction_part.sections(one.found, NO_SOUND)
    assert said in str(error.value)


def test_settings_are_those_of_the_log(tmp_path):
    one = made(tmp_path, 1, 3)
    one.write_tables()
    (stem,) = one.rows
    log = log_text(["chirp", "hum", "noise"], [[0.1, 0.2, 0.7]])
    (one.found / f"{stem}_predict_output.log").write_text(log)
    (one.found / "PREDICT.log").write_text(
        "10:00:00|I|start on 2024-01-01: predict\n"
        "10:00:01|I|thresholds of the model file: old 0.9 (found on 3 clips); all others 0.5\n"
        "11:00:00|I|start on 2024-01-02: predict\n"
        "11:00:01|I|thresholds of the model file: chirp 0.75 (found on 30 clips), x,y 0.2 (found "
        "on an unknown number of clips); all others 0.6\n"
        "11:00:02|W|recordings at 8000 Hz hold nothing above 4000 Hz, and the model listens up to "
        "10000 Hz\n"
    )
    found = read_settings(one.found, read_found(one.found).recordings)
    assert found.models == ("m.pk",)
    assert (found.length_s, found.hop_s, found.threshold) == (0.4, 0.1, 0.6)
    assert (found.fmin_hz, found.fmax_hz) == (500, 10_000)
    assert found.class_thresholds == {"chirp": 0.75, "x,y": 0.2}
    assert [found.threshold_of(name) for name in ("chirp", "hum")] == [0.75, 0.6]
    warnings = [note.text for note in blocks(one.found, Note) if note.is_warning]
    assert any("hold nothing above 4000 Hz" in text for text in warnings)


def test_a_review_beside_it_says_how_much_is_right(tmp_path):
    one = made(tmp_path, 2, 10)
    one.write_sounds()
    one.write_tables()
    assert "Review" not in titles(one.found)
    with contextlib.closing(Project(tmp_path / "review.sqlite")) as project:
        given = {"predictions": str(one.found), "recordings": (str(one.recordings),)}
        bring_in(project, ReviewConfig(**given))
        ids = [row[0] for row in project.db.execute("SELECT id FROM detections ORDER BY id")]
        project.decide([(i, Decision("wrong" if i == ids[0] else "right")) for i in ids], "Ann")
    assert "Review" in titles(one.found)
    verified = table(one.found, "verified")
    reviewed = {
        row[0]: dict(zip(verified.columns, row, strict=True)) for row in values(verified.rows)
    }
    n = Counter(row["Annotation"] for row in raven_rows(one.found))
    assert {name: row["Reviewed"] for name, row in reviewed.items()} == n
    (wrong,) = [name for name, row in reviewed.items() if row["Wrong"]]
    assert reviewed[wrong]["Precision"] == pytest.approx((n[wrong] - 1) / n[wrong])


def titles(folder: Path) -> list[str]:
    return [section.title for section in prediction_part.sections(folder, NO_SOUND)]


def test_names_have_folders_where_they_need_them():
    files = ["in/a/1.wav", "in/b/1.wav", "in/b/2.wav", r"C:\x\3.wav"]
    assert shown_names(files) == ["a/1.wav", "b/1.wav", "2.wav", "3.wav"]


def test_sections_have_titles_of_their_own(night):
    sections = prediction_part.sections(night.found, NO_SOUND)
    titles = [section.title for section in sections]
    assert len(set(titles)) == len(titles) == 5
    assert all(isinstance(section, Section) and section.blocks for section in sections)
    assert not any(
        math.isnan(v)
        for s in sections
        for b in s.blocks
        if isinstance(b, Table)
        for row in values(b.rows)
        for v in row
        if isinstance(v, float)
    )


def test_no_report_is_made_unasked_of_more_recordings_than_find_room(tmp_path, monkeypatch, caplog):
    folder = made(tmp_path, 3, 1)
    folder.write_tables()
    monkeypatch.setattr(report_run, "MOST_AFTER", 2)
    report_run.report_after(folder.found)
    assert "no report of 3 recordings" in caplog.text
    assert f"animal-spot report {folder.found} makes it" in caplog.text
    assert not (folder.found / report_run.FILE_NAME).exists()
    monkeypatch.setattr(report_run, "MOST_AFTER", 3)
    report_run.report_after(folder.found)
    assert (folder.found / report_run.FILE_NAME).exists()
