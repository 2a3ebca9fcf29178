"""Tables say when and where something was, from the recording's name to evaluation."""

from __future__ import annotations

import csv
import json
import shutil

import crowsetta
import pyarrow.parquet as pq
import pytest

from animal_spot import activity, evaluate
from animal_spot.detections.journal import FILE_NAME
from animal_spot.tables.reading import read_events
from tests.helpers.prediction import predict_here, write_sound

# Clocks in Berlin were put forward at 2:00 on that day; the other one goes over midnight.
SPRING, MIDNIGHT, PLAIN = "20240331_015959", "20231231_235959", "plain"
ZONE = ("--timezone", "Europe/Berlin")
TIMES = ["recording_start", "begin_time", "end_time"]
FORMATS = ("log", "csv", "parquet", "raven", "audacity")


def predict_into(out, models, recordings, *options, formats=FORMATS) -> int:
    return predict_here(
        *("--model_path", models("multi"), "--input_file", *recordings, "--output_dir", out),
        *("--latent_extract", "--format", *formats, *options),
    )


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    stems = (SPRING, MIDNIGHT, PLAIN)
    return [write_sound(folder / f"{stem}.wav", 2, i) for i, stem in enumerate(stems)]


@pytest.fixture(scope="module")
def dated(sounds, models, tmp_path_factory):
    """The results of a run with a time zone."""
    out = tmp_path_factory.mktemp("dated")
    assert predict_into(out, models, sounds, *ZONE) == 0
    return out


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".txt" else ","))


def runs(folder):
    """Return the hash by which each recording is known as complete, by its stem."""
    entries = [json.loads(line) for line in (folder / FILE_NAME).read_text().splitlines() if line]
    return {entry["stem"]: entry["run"] for entry in entries if "run" in entry}


def shown(seconds: float) -> tuple[str, str]:
    """Return by hand what clocks show so long after the begin of the two recordings."""
    ms = round(1000 * seconds)
    if ms < 1000:
        return f"2024-03-31T01:59:59.{ms:03}+01:00", f"2023-12-31T23:59:59.{ms:03}+01:00"
    clock = f"00:{ms // 1000 - 1:02}.{ms % 1000:03}"
    return f"2024-03-31T03:{clock}+02:00", f"2024-01-01T00:{clock}+01:00"


@pytest.mark.parametrize("kind", ["csv", "parquet", "latent"])
def test_windows_have_their_times_over_midnight_and_changed_clocks(dated, kind):
    for number, stem in enumerate((SPRING, MIDNIGHT)):
        name = "_latent.parquet" if kind == "latent" else f"_predict_output.{kind}"
        path = dated / f"{stem}{name}"
        found = rows(path) if kind == "csv" else pq.read_table(path).to_pylist()
        assert list(found[0])[-3:] == TIMES
        assert len(found) > 10
        for row in found:
            assert row["recording_start"] == shown(0)[number]
            assert row["begin_time"] == shown(float(row["start_s"]))[number]
            assert row["end_time"] == shown(float(row["end_s"]))[number]


def test_raven_tables_have_them_last_and_others_read_them(dated):
    for number, stem in enumerate((SPRING, MIDNIGHT)):
        path = dated / f"{stem}.Table.1.selections.txt"
        found = rows(path)
        assert list(found[0])[-5:] == ["Annotation", "Score", *TIMES]
        assert {row["recording_start"] for row in found} == {shown(0)[number]}
        for row in found:
            assert row["begin_time"] == shown(float(row["Begin Time (s)"]))[number]
            assert row["end_time"] == shown(float(row["End Time (s)"]))[number]
        wanted = [
            (float(row["Begin Time (s)"]), float(row["End Time (s)"]), row["Annotation"])
            for row in found
        ]
        boxes = crowsetta.formats.bbox.Raven.from_file(path, annot_col="Annotation").to_bbox()
        assert [(box.onset, box.offset, box.label) for box in boxes] == wanted
        events = read_events(path).events
        assert [(event.start_s, event.end_s, event.label) for event in events] == wanted


def test_tables_over_all_recordings_leave_out_what_is_not_known(dated):
    summary = {row["results"]: row for row in rows(dated / "summary.csv")}
    assert list(summary[SPRING])[-4:] == ["reason", *TIMES]
    assert [summary[SPRING][name] for name in TIMES] == [shown(s)[0] for s in (0, 0, 2)]
    assert [summary[PLAIN][name] for name in TIMES] == ["", "", ""]
    combined = rows(dated / "all_recordings.Table.1.selections.txt")
    assert list(combined[0])[-4:] == ["Score", *TIMES]
    for row in combined:
        offset = float(row["File Offset (s)"])
        wanted = {SPRING: shown(offset)[0], MIDNIGHT: shown(offset)[1], PLAIN: ""}
        assert row["begin_time"] == wanted[row["Begin File"].removesuffix(".wav")]


def test_what_has_no_time_is_as_it_was(dated, sounds, models, tmp_path):
    assert predict_into(tmp_path, models, sounds[2:]) == 0
    for path in tmp_path.glob(f"{PLAIN}*"):
        if path.suffix != ".log":  # which tells the time of day
            assert path.read_bytes() == (dated / path.name).read_bytes(), path.name
    assert runs(tmp_path)[PLAIN] == runs(dated)[PLAIN]
    header = (tmp_path / "summary.csv").read_text().splitlines()[0]
    assert header.endswith(",seconds,results,reason")
    header = (tmp_path / "all_recordings.Table.1.selections.txt").read_text().splitlines()[0]
    assert header.endswith("\tAnnotation\tScore")


def test_another_zone_predicts_only_what_says_it_again(dated, sounds, models, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(dated, out)
    assert predict_into(out, models, sounds) == 0
    status = {row["results"]: row["status"] for row in rows(out / "summary.csv")}
    assert status == {SPRING: "complete", MIDNIGHT: "complete", PLAIN: "complete before"}
    assert rows(out / "summary.csv")[0]["end_time"] == "2024-03-31T02:00:01.000"
    said = capsys.readouterr().err
    assert "recording times: 2 by file name; 1 have none" in said
    assert said.count("local time, zone unknown") == 1


def test_logs_say_no_times_and_stay_complete(sounds, models, tmp_path):
    def logs(*options):
        argv = ("--model_path", models("multi"), "--input_file", sounds[0])
        assert predict_here(*argv, "--output_dir", tmp_path, *options) == 0
        return runs(tmp_path), rows(tmp_path / "summary.csv")[0]["status"]

    first, _ = logs()
    assert logs(*ZONE) == (first, "complete before")


def test_site_of_a_deployment(sounds, models, tmp_path):
    table = tmp_path / "deployments.csv"
    table.write_text("site,folder,zone\n=pond,2024*,Europe/Berlin\n")
    out = tmp_path / "out"
    argv = (sounds[0], sounds[2]), "--deployments", table
    assert predict_into(out, models, *argv, formats=("csv", "raven")) == 0
    assert rows(out / "summary.csv")[0]["site"] == "'=pond"
    assert rows(out / "summary.csv")[1]["site"] == ""
    assert rows(out / f"{SPRING}_predict_output.csv")[0]["site"] == "'=pond"
    raven = rows(out / f"{SPRING}.Table.1.selections.txt")[0]
    assert (raven["site"], raven["begin_time"][-6:]) == ("=pond", "+01:00")


def test_flags_need_a_folder(sounds, models, capsys):
    with pytest.raises(SystemExit, match="2"):
        predict_here("--model_path", models("multi"), "--input_file", sounds[0], *ZONE)
    assert "--timezone needs --output_dir" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "parquet", "log"])
def test_evaluation_takes_times_from_results_or_names(dated, tmp_path, kind):
    results = tmp_path / "in"
    results.mkdir()
    for path in dated.glob(f"*_predict_output.{kind}"):
        shutil.copy(path, results)
    options = ZONE if kind == "log" else ()
    argv = ["--prediction_dir", results, "--output_dir", tmp_path / "out", *options]
    assert evaluate.main([str(word) for word in argv]) == 0
    for stem in (SPRING, MIDNIGHT, PLAIN):
        name = f"{stem}.Table.1.selections.txt"
        assert (tmp_path / "out" / name).read_text() == (dated / name).read_text()


@pytest.mark.parametrize("flag", ["--legacy_header", "--legacy_names"])
def test_tables_of_the_original_have_no_times(dated, tmp_path, flag):
    argv = ["--prediction_dir", dated, "--output_dir", tmp_path, *ZONE, flag]
    assert evaluate.main([str(word) for word in argv]) == 0
    tables = list(tmp_path.glob("*.annotation.result.txt"))
    assert len(tables) == 3
    headers = {path.read_text().splitlines()[0].split("\t")[-1] for path in tables}
    assert headers == {"Comments" if flag == "--legacy_header" else "Score"}


def test_activity_says_which_tables_were_edited_and_counts_them_if_named(dated, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(dated, out)
    argv = ["--prediction_dir", str(out), "--output_dir", str(tmp_path / "activity"), *ZONE]

    def counted(*options):
        assert activity.main([*argv, *options]) == 0
        found = sum(int(row["detections"]) for row in rows(tmp_path / "activity/activity.csv"))
        return found, "1 tables in" in capsys.readouterr().err

    n_found, is_said = counted()
    assert not is_said
    table = out / f"{SPRING}.Table.1.selections.txt"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    assert counted() == (n_found, True)
    assert counted("--tables", str(out)) == (n_found - 1, False)


def test_activity_of_a_prediction(dated, tmp_path):
    argv = ["--prediction_dir", dated, "--output_dir", tmp_path, *ZONE]
    assert activity.main([str(word) for word in argv]) == 0
    expected: dict[tuple[str, str, str], int] = {}
    for row in rows(dated / "all_recordings.Table.1.selections.txt"):
        if row["begin_time"]:
            key = (row["begin_time"][:10], row["begin_time"][11:13], row["Annotation"])
            expected[key] = expected.get(key, 0) + 1
    found = {
        (row["date"], f"{int(row['hour']):02}", row["class"]): int(row["detections"])
        for row in rows(tmp_path / "activity.csv")
    }
    assert {key: n for key, n in found.items() if n} == expected
    assert {key[:2] for key in found} == {
        *(("2023-12-31", "23"), ("2024-01-01", "00"), ("2024-03-31", "01"), ("2024-03-31", "03"))
    }
