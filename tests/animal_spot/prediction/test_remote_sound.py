"""predict.py on a bucket: the results of the same files on this computer, and no credentials."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest

from animal_spot import merge
from tests.helpers.places import SOUND
from tests.helpers.prediction import (
    body,
    only_error,
    predict_here,
    visible,
    write_sound,
)
from tests.helpers.programs import run_python
from tests.helpers.s3_server import KEY_ID, SECRET, put, put_folder, s3_server

BUCKET = "s3://archive/2024"
# In OpenVINO a window does not depend on what else is in its batch.
EXACT = ("--no_cuda", "--engine", "openvino", "--precision", "fp32")


@pytest.fixture(scope="module")
def server():
    with s3_server() as (gate, variables):
        yield gate, variables


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sounds") / "2024"
    for i in range(4):
        write_sound(root / f"a{i % 2}" / f"R_20240331_0{i}3000.wav", 3 + i, i)
    write_sound(root / "x.flac", 2, 9)
    write_sound(root / "flaky.wav", 2, 10)
    return root


def predict(server, *arguments):
    """Run the program as a process that knows the server."""
    return run_python(SOUND / "predict.py", *arguments, env=os.environ | server[1], timeout=120)


@pytest.fixture
def predict_as_well(server, monkeypatch, capsys):
    """Do as ``predict`` does in this process; return status and standard error."""

    def run(*flags: object) -> tuple[int, str]:
        for name, value in server[1].items():
            monkeypatch.setenv(name, value)
        status = predict_here(*flags, plain=False)
        return status, capsys.readouterr().err

    return run


def arguments(model: Path, source: object, output: Path, *further) -> list[object]:
    kinds = ("--format", "csv", "log", "raven", "--measure_band", "--timezone", "UTC")
    paths = ("--model_path", model, "--input_file", source, "--output_dir", output)
    return [*paths, *kinds, *EXACT, "--no_report", *further]


@pytest.fixture(scope="module")
def done(server, folder, models, tmp_path_factory):
    """A run over the bucket, in which one key fails twice and another one always."""
    gate, _ = server
    put_folder(gate, folder, "2024")
    put(gate, folder / "x.flac", "2024/always.flac")
    gate.fails = {"flaky.wav": 2, "always.flac": 10**9}
    work = tmp_path_factory.mktemp("bucket")
    further = ("--debug", "--log_dir", work / "out", "--cache_dir", work / "cache")
    return predict(server, *arguments(models("multi"), BUCKET, work / "out", *further)), work


def test_bucket_gives_what_the_same_folder_gives(done, folder, models, tmp_path):
    run, work = done
    assert run.returncode == 3, run.stderr  # for the one that always fails
    here = tmp_path / "out"
    flags = arguments(models("multi"), folder, here, "--debug")
    assert predict_here(*flags, plain=False) == 0

    def read(path: Path, place: str) -> bytes:
        return body(path).replace(place.encode(), b"PLACE")

    names = [name for name in visible(here) if name != "summary.csv"]
    assert {*names, "summary.csv", "PREDICT.log"} == set(visible(work / "out"))
    assert len(names) == 3 * 6 + 3
    for name in [name for name in names if name != "failed_files.csv"]:
        assert read(work / "out" / name, BUCKET) == read(here / name, str(folder)), name
    there, local = (rows(output / "summary.csv") for output in (work / "out", here))
    failed = there.pop(f"{BUCKET}/always.flac")
    assert failed["status"] == "failed"
    assert [*there] == [name.replace(str(folder), BUCKET) for name in local]
    for a, b in zip(there.values(), local.values(), strict=True):
        assert a | {"file": "", "seconds": ""} == b | {"file": "", "seconds": ""}


def rows(path: Path) -> dict[str, dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_key_that_always_fails_is_listed_with_the_reason(done):
    run, work = done
    (failed,) = rows(work / "out" / "failed_files.csv").values()
    assert failed["file"] == f"{BUCKET}/always.flac"
    assert "(4 tries)" in failed["reason"]
    assert failed["reason"] in run.stderr


def test_no_credential_and_no_place_of_a_copy_is_shown(done):
    run, work = done
    written = b"".join(path.read_bytes() for path in (work / "out").iterdir() if path.is_file())
    for text in (run.stdout.encode(), run.stderr.encode(), written):
        for secret in (KEY_ID, SECRET, "Signature"):
            assert secret.encode() not in text
    started = b"--cache_dir " + os.fsencode(work / "cache")
    assert os.fsencode(work / "cache") not in written.replace(started, b"").replace(
        f"cache_dir='{work / 'cache'}'".encode(), b""
    )
    assert not list((work / "cache").iterdir()), "all copies are gone"


def test_results_go_to_a_bucket_and_a_run_goes_on_from_there(
    server, folder, models, tmp_path, predict_as_well
):
    gate, _ = server
    place = "s3://archive/out/here"
    gate.fails = {"failed_files.csv": 1}
    flags = arguments(models("multi"), folder, place, "--work_dir", tmp_path / "0")
    run = predict(server, *flags)
    assert run.returncode == 0, run.stderr
    flags = arguments(models("multi"), folder, place, "--work_dir", tmp_path / "1")
    status, said = predict_as_well(*flags)  # another machine, which knows nothing
    assert status == 0, said
    assert "6 recordings are complete already" in said
    for text in (run.stderr, said):
        assert f"results: also at {place}" in text
        assert SECRET not in text
    listed = gate.client.list_objects_v2(Bucket="archive", Prefix="out/")["Contents"]
    there = {entry["Key"].removeprefix("out/here/") for entry in listed}
    assert there == {*visible(tmp_path / "0"), ".completed.jsonl"}
    for name in there:
        content = gate.client.get_object(Bucket="archive", Key=f"out/here/{name}")["Body"].read()
        assert content == (tmp_path / "1" / name).read_bytes(), name


def test_run_goes_on_and_does_what_has_changed(
    done, server, folder, models, tmp_path, predict_as_well
):
    _, work = done
    gate, _ = server
    output = shutil.copytree(work / "out", tmp_path / "out", copy_function=shutil.copy2)
    put(gate, write_sound(tmp_path / "new.wav", 3, 77), "2024/a0/R_20240331_003000.wav")
    gate.fails, before = {}, gate.asked.copy()
    try:
        status, said = predict_as_well(*arguments(models("multi"), BUCKET, output, "--debug"))
    finally:
        put(gate, folder / "a0" / "R_20240331_003000.wav", "2024/a0/R_20240331_003000.wav")
    assert status == 0, said
    assert "5 recordings are complete already" in said
    statuses = {name: row["status"] for name, row in rows(output / "summary.csv").items()}
    new = [name.rpartition("/")[2] for name, what in statuses.items() if what == "complete"]
    assert new == ["R_20240331_003000.wav", "always.flac"]
    asked = gate.asked - before
    assert asked["GET", "/archive/2024/a1/R_20240331_033000.wav"] <= 2, "its head alone"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://nowhere/2024", "s3://nowhere/2024: not there"),
        ("s3://archive/1999", "s3://archive/1999: not there"),
        ("s3://locked/2024", "s3://locked/2024: no permission"),
    ],
)
def test_place_that_cannot_be_listed_is_one_line(
    server, models, tmp_path, predict_as_well, place, said
):
    gate, _ = server
    gate.forbidden = {"locked"}
    status, text = predict_as_well(*arguments(models("multi"), place, tmp_path / "out"))
    assert status == 1
    line = only_error(text)
    assert line.startswith(said)
    assert SECRET not in line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--input_file", "s3://ID:hush@bucket/x"), "user and password do not belong"),
        (("--input_file", "https://host/x.wav?sig=hush"), "addresses with ? or # are not read"),
        (("--output_dir", "s3://bucket/out"), "--output_dir at an address needs --work_dir"),
        (("--output_dir", "https://host/out"), "is a folder of this computer, or one in a bucket"),
        (("--log_dir", "s3://bucket/log"), "--log_dir must be a folder of this computer"),
    ],
)
def test_addresses_that_are_not_used_are_refused(capsys, flags, said):
    with pytest.raises(SystemExit) as end:
        predict_here("--model_path", "m.pk", *flags)
    assert end.value.code == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "hush" not in shown


def test_shards_of_a_place_are_merged_by_address(folder, models, tmp_path):
    place = f"file://{folder.as_posix()}"  # which needs no server
    for shard in ("1/2", "2/2"):
        flags = arguments(models("multi"), place, tmp_path / "out", "--shard", shard)
        assert predict_here(*flags, plain=False) == 0
    assert merge.main([str(tmp_path / "out")]) == 0
    whole = arguments(models("multi"), place, tmp_path / "whole")
    assert predict_here(*whole, plain=False) == 0
    table = "all_recordings.Table.1.selections.txt"
    assert (tmp_path / "out" / table).read_bytes() == (tmp_path / "whole" / table).read_bytes()
    summary = rows(tmp_path / "out" / "summary.csv")
    assert list(summary) == list(rows(tmp_path / "whole" / "summary.csv"))
    assert f"{place}/x.flac" in summary
