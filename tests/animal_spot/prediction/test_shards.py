"""predict.py --shard and merge.py: shards of one folder are what one process writes."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import shutil
import zoneinfo
from pathlib import Path

import pytest
from filelock import FileLock

from animal_spot import merge
from animal_spot.audio.recordings import find_sounds, listed_names
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_json import NotedTime, noted_time, time_of
from animal_spot.prediction.shard import Shard
from animal_spot.prediction.shard_folder import LOCK
from animal_spot.utils.typed import typed
from tests.helpers.places import ROOT
from tests.helpers.prediction import (
    body,
    only_error,
    predict_here,
    run_predict,
    visible,
    write_sound,
)
from tests.helpers.programs import run_process, run_program

# In OpenVINO a window's numbers do not depend on what else is in its batch.
EXACT = ("--no_cuda", "--engine", "openvino", "--precision", "fp32")


def contents(folder: Path) -> dict[str, bytes]:
    """Return each file that is seen; without the time of day of logs and the seconds it took."""
    found = {}
    for name in [name for name in visible(folder) if not name.startswith("report")]:
        path = folder / name
        found[name] = body(path) if name.endswith(".log") else path.read_bytes()
    with open(folder / "summary.csv", encoding="utf-8", newline="") as file:
        found["summary.csv"] = [
            row | {"seconds": "", "status": row["status"].removesuffix(" before")}
            for row in csv.DictReader(file)
        ]
    return found


def arguments(model: Path, source: Path, output: Path, *further) -> list[str]:
    folders = ("--model_path", model, "--input_file", source, "--output_dir", output)
    return list(
        map(str, (*folders, "--format", "csv", "log", "raven", "--no_report", *EXACT, *further))
    )


def predict_shard(model, source, output, shard, *further) -> int:
    return predict_here(*arguments(model, source, output, "--shard", shard, *further), plain=False)


def merge_here(output: Path, *further) -> int:
    return merge.main([str(output), "--no_report", *further])


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Recordings with times, two of one name, one that is none, and one of an unknown kind."""
    folder = tmp_path_factory.mktemp("archive") / "in"
    for i in range(6):
        write_sound(folder / f"a{i % 2}" / f"R_20240331_0{i}3000.wav", 0.6 + 0.13 * i, i)
    write_sound(folder / "a0" / "x.wav", 0.5, 10)
    write_sound(folder / "a1" / "x.wav", 0.7, 11)
    (folder / "a1" / "broken.wav").write_bytes(b"RIFF")
    (folder / "call.m4a").write_bytes(b"?")
    return folder


@pytest.fixture(scope="module")
def whole(archive, models, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "out"
    flags = arguments(models("multi"), archive, output, "--timezone", "Europe/Berlin")
    assert predict_here(*flags, plain=False) == 3
    return output


@pytest.fixture(scope="module")
def sharded(archive, models, tmp_path_factory) -> Path:
    """Three shards, out of order, one of them as a process; not merged."""
    output = tmp_path_factory.mktemp("sharded") / "out"
    statuses = set()
    for shard in ("3/3", "1/3"):
        zone = ("--timezone", "Europe/Berlin")
        statuses.add(predict_shard(models("multi"), archive, output, shard, *zone))
    flags = arguments(models("multi"), archive, output, "--shard", "2/3", *zone)
    done = run_predict(*flags)
    statuses.add(done.returncode)
    assert "when all 3 shards are done: animal-spot merge" in done.stderr
    assert statuses <= {0, 3}, "one holds the broken file"
    return output


@pytest.fixture
def output(sharded, tmp_path) -> Path:
    return shutil.copytree(sharded, tmp_path / "out", copy_function=shutil.copy2)


def test_three_shards_merged_are_what_one_process_writes(output, whole, archive, models):
    assert not (output / "summary.csv").exists()
    done = run_program("merge", output)
    assert done.returncode == 3, done.stderr  # as the whole: one recording is broken
    assert (output / "report.html").is_file()
    wanted = contents(whole)
    assert contents(output) == wanted
    assert {row["file"]: row["status"] for row in wanted["summary.csv"]}[
        str(archive / "a1" / "broken.wav")
    ] == "failed"
    assert "begin_time" in wanted["summary.csv"][0]

    before = {name: (output / name).stat().st_mtime_ns for name in visible(output)}
    assert merge_here(output) == 3, "once more"
    flags = arguments(models("multi"), archive, output, "--timezone", "Europe/Berlin")
    assert predict_here(*flags, plain=False) == 3
    assert contents(output) == wanted
    changed = {n for n, ns in before.items() if (output / n).stat().st_mtime_ns != ns}
    assert changed <= {"summary.csv"}, "one process takes all for complete"


def test_a_run_of_one_process_takes_in_what_shards_did(output, whole, archive, models):
    before = {name: (output / name).stat().st_mtime_ns for name in visible(output)}
    flags = arguments(models("multi"), archive, output, "--timezone", "Europe/Berlin")
    assert predict_here(*flags, plain=False) == 3
    assert contents(output) == contents(whole)
    assert before.items() <= {n: (output / n).stat().st_mtime_ns for n in visible(output)}.items()


def test_a_shard_goes_on_where_it_was(output, archive, models, capsys):
    before = {name: (output / name).stat().st_mtime_ns for name in visible(output)}
    (output / Shard(1, 3).note).unlink()
    assert merge_here(output) == 1
    assert "1 of 3 shards are missing: 1/3 not finished; run" in only_error(capsys.readouterr().err)
    zone = ("--timezone", "Europe/Berlin")
    assert predict_shard(models("multi"), archive, output, "1/3", *zone) in (0, 3)
    assert before == {name: (output / name).stat().st_mtime_ns for name in visible(output)}
    assert merge_here(output) == 3


def test_edited_tables_stay(output):
    name = "x.Table.1.selections.txt"
    (output / name).write_text("mine")
    (output / "summary.csv").write_text("mine too")
    assert merge_here(output) == 3
    assert (output / name).read_text() == "mine"
    assert (output / "summary.csv.bak").read_text() == "mine too"


def altered(output: Path, number: int, **changes) -> None:
    path = output / Shard(number, 3).note
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_not_of_one_run_is_refused(output, capsys):
    altered(output, 2, run="f" * 32)
    assert merge_here(output) == 1
    said = only_error(capsys.readouterr().err)
    assert "shards 1/3 and 2/3 were run with another model or other settings" in said
    assert not (output / "summary.csv").exists()


def test_another_list_is_refused(output, capsys):
    altered(output, 2, n_listed=99)
    assert merge_here(output) == 1
    assert "listed other recordings (10 and 99)" in only_error(capsys.readouterr().err)


def test_a_damaged_note_is_refused_by_name(output, capsys):
    altered(output, 3, recordings=[{"at": -1.5}])
    assert merge_here(output) == 1
    assert ".shard.3-of-3.json" in only_error(capsys.readouterr().err)


def test_what_was_done_again_otherwise_is_refused(output, archive, models, capsys):
    """The tables would be of two models."""
    flags = arguments(models("multi"), archive, output, "--threshold", "0.9")
    assert predict_here(*flags, plain=False) == 3
    capsys.readouterr()
    assert merge_here(output) == 1
    assert "is not complete any more: run --shard" in only_error(capsys.readouterr().err)


def test_folders_whose_recordings_have_the_same_names_are_told_apart(models, tmp_path, capsys):
    """The tables were of a half of each, with status 0."""
    for site in ("north", "south"):
        for i in range(4):
            write_sound(tmp_path / site / f"{i}.wav", 0.5, i)
    output = tmp_path / "out"
    for shard, site in (("1/2", "north"), ("2/2", "south")):
        assert predict_shard(models("binary"), tmp_path / site, output, shard) == 0
    capsys.readouterr()
    assert merge_here(output) == 1
    assert "of the same names from" in only_error(capsys.readouterr().err)
    shutil.rmtree(tmp_path / "south")
    (tmp_path / "south").symlink_to(tmp_path / "north")
    assert merge_here(output) == 0, "the same folder by another way"
    (tmp_path / "south").unlink()
    capsys.readouterr()
    assert merge_here(output) == 0
    assert "not both seen here" in capsys.readouterr().err


def test_each_shard_may_have_a_list_of_its_own(models, tmp_path):
    sounds = [write_sound(tmp_path / "in" / f"{i}.wav", 0.5, i) for i in range(4)]
    for number in (1, 2):
        job = tmp_path / f"job{number}" / "list.txt"
        job.parent.mkdir()
        job.write_text("".join(f"{path}\n" for path in sounds))
        assert predict_shard(models("binary"), job, tmp_path / "out", f"{number}/2") == 0
    assert merge_here(tmp_path / "out") == 0


def test_merge_of_an_address_says_what_to_do(capsys):
    assert merge.main(["s3://bucket/out"]) == 1
    assert "s3://bucket/out is not on this computer: copy it" in only_error(capsys.readouterr().err)


def test_a_result_that_is_gone_is_said(output, capsys):
    """The summary called its recording complete."""
    next(output.glob("R_*_predict_output.csv")).unlink()
    assert merge_here(output) == 1
    assert "is not complete any more: run --shard" in only_error(capsys.readouterr().err)


def test_shards_of_another_number_are_not_forgotten(output, archive, models, capsys):
    """What they replaced was taken for what the shard of before wrote, or for edited."""
    zone = ("--timezone", "Europe/Berlin")
    flags = (models("multi"), archive, output)
    predict_shard(*flags, "1/1", *zone, "--threshold", "0.9")
    capsys.readouterr()
    assert predict_shard(*flags, "2/3", *zone) == 1
    assert "shard 1/1 was run into" in capsys.readouterr().err
    merge_here(output)
    capsys.readouterr()
    assert {predict_shard(*flags, f"{n}/3", *zone) for n in (1, 2, 3)} <= {0, 3}
    assert "was edited after" not in (said := capsys.readouterr().err)
    assert "was not written by this program" not in said
    assert merge_here(output) == 3


def test_a_shard_that_is_at_work_is_waited_for(output, archive, models, capsys):
    with FileLock(output / Shard(2, 3).lock):
        assert merge_here(output) == 1
        assert "shard 2/3 is writing into" in only_error(capsys.readouterr().err)
        flags = arguments(models("multi"), archive, output)
        assert predict_here(*flags, plain=False) == 1
        assert "shard 2/3 is writing into" in capsys.readouterr().err


def test_a_shard_waits_for_others_and_not_for_a_whole_run(
    output, archive, models, capsys, monkeypatch
):
    monkeypatch.setattr("animal_spot.prediction.shard_folder._PATIENCE_S", 0.5)
    with FileLock(output / LOCK):
        assert predict_shard(models("multi"), archive, output, "1/3") == 1
        assert "another process is writing into" in capsys.readouterr().err
    assert (output / Shard(1, 3).note).exists()


def test_merge_of_what_is_no_folder_of_shards(tmp_path, capsys):
    assert merge_here(tmp_path) == 1
    assert "use animal-spot predict --shard I/N" in only_error(capsys.readouterr().err)
    assert merge_here(tmp_path / "nothing") == 1
    assert "name the --output_dir of the shards" in only_error(capsys.readouterr().err)


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/200000", "-1/3"])
def test_shards_are_counted_from_one(text):
    with pytest.raises(ValueError, match="--shard"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(("--visualize",), "--visualize cannot be had with --shard", id="pictures"),
        pytest.param(
            ("--latent_extract", "--latent_format", "pickle"), "use parquet", id="one-pickle"
        ),
    ],
)
def test_what_one_process_alone_can_make_is_refused(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit):
        predict_shard(tmp_path / "m.pk", tmp_path, tmp_path, "1/2", *flags)
    assert said in capsys.readouterr().err


def test_each_recording_is_in_one_shard_wherever_the_archive_lies(tmp_path):
    """Hash of the name below the folder, as the page says; worked with b2sum -l 64."""
    for root in (tmp_path / "here", tmp_path / "there"):
        write_sound(root / "site" / "a.wav", 0.01)
        write_sound(root / "site" / "b.wav", 0.01)
    (tmp_path / "there" / "list.txt").write_text("site/a.wav\n")
    names = {}
    for root in ("here", "there", "there/list.txt"):
        inputs = [str(tmp_path / root)]
        names[root] = listed_names(inputs, find_sounds(inputs).recordings)
    assert names == {
        "here": ["site/a.wav", "site/b.wav"],
        "there": ["site/a.wav", "site/b.wav"],
        "there/list.txt": ["site/a.wav"],
    }
    many = [f"site/{i}.wav" for i in range(500)]
    for name in many:
        assert sum(Shard(number, 7).holds(name) for number in range(1, 8)) == 1
    sizes = [sum(map(Shard(number, 7).holds, many)) for number in range(1, 8)]
    assert min(sizes) > 40, "evenly spread"
    # printf %s site/a.wav | b2sum -l 64 gives this number
    assert Shard(0x87E856308A0EB1C9 % 7 + 1, 7).holds("site/a.wav")


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    "time",
    [
        NO_TIME,
        RecordingTime(site="pond"),
        RecordingTime(start=dt.datetime(2024, 5, 1, 3, 0, 0, 123456)),
        RecordingTime(start=dt.datetime(2024, 3, 31, 1, 30, tzinfo=BERLIN), site="pond"),
        RecordingTime(start=dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1)),
        RecordingTime(
            start=dt.datetime(
                2024, 3, 31, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45))
            ),
            changes=((3600.0, dt.timezone.utc), (7200.0, BERLIN)),
        ),
    ],
)
def test_times_go_through_the_note(time):
    noted = noted_time(time)
    text = json.dumps(None if noted is None else noted.__dict__)
    again = time_of(typed(NotedTime | None, json.loads(text), "time"))
    assert again.site == time.site
    for seconds in (0.0, 1799.5, 3600.0, 7200.25, 90_000.0):
        assert again.at(seconds) == time.at(seconds)


SBATCH = """#!/usr/bin/env bash
# Runs the jobs at once, one after another.
echo "$@" >> sbatch.txt
for word in "$@"; do
    case "$word" in
    --array=1-*) n="${word#--array=1-}" ;;
    --wrap=*) job="${word#--wrap=}" ;;
    esac
done
for ((i = 1; i <= ${n:-1}; i++)); do
    SLURM_ARRAY_TASK_ID=$i bash -c "$job" </dev/null >&2 || true
done
echo "4711;cluster"
"""


@pytest.mark.slow
def test_the_script_for_slurm_leaves_tables(archive, models, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sbatch").write_text(SBATCH)
    (tmp_path / "bin" / "sbatch").chmod(0o755)
    script = ROOT / "PREDICTION" / "predict_slurm.sh"
    places = {"RECORDINGS": str(archive), "OUTPUT_DIR": "my 'results'", "SHARDS": "2"}
    path = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def start(**environ: str):
        known = {k: v for k, v in os.environ.items() if k not in ("MODEL", "OUTPUT_DIR")}
        flags = ("--no_cuda", "--engine", "torch", "--precision", "fp32")
        return run_process("bash", script, *flags, cwd=tmp_path, env=known | environ)

    assert "MODEL is not set" in start(**path, **places).stderr
    assert "MODEL is not set" in start(**path, **places, MODEL="/path/to/m.pk").stderr
    assert (
        "SHARDS must be"
        in start(**path, **places | {"SHARDS": "0"}, MODEL=str(models("multi"))).stderr
    )

    done = start(**path, **places, MODEL=str(models("multi")))
    assert done.returncode == 0, done.stderr
    assert "jobs: 4711" in done.stdout
    first, second = (tmp_path / "sbatch.txt").read_text().splitlines()
    assert "--array=1-2" in first
    assert "--dependency=afterany:4711" in second
    with open(tmp_path / "my 'results'" / "summary.csv", encoding="utf-8", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)].count("complete") == 8


def test_names_stay_when_recordings_are_added(models, tmp_path):
    """A shard knows what the others called their results."""
    source, output = tmp_path / "in", tmp_path / "out"
    for number, folder in enumerate(("d", "a")):
        write_sound(source / folder / "x.wav", 0.3, number)
        for shard in ("1/2", "2/2"):
            flags = ("--output_dir", output, "--shard", shard, "--model_path", models("binary"))
            assert predict_here(*flags, "--input_file", source) == 0
    assert merge_here(output) == 0
    with open(output / "summary.csv", encoding="utf-8", newline="") as file:
        found = {Path(row["file"]).parent.name: row["results"] for row in csv.DictReader(file)}
    assert found["d"] == "x"
    assert found["a"].startswith("x-")
