"""main.py --folds --ray: what folds one after another give, whatever is killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from animal_spot import main
from tests.helpers.clips import make_corpus
from tests.helpers.places import SOUND
from tests.helpers.programs import run_here
from tests.helpers.training import SMALL, folders, train

TAPES = [f"T{i}" for i in range(8)]
FLAGS = (
    *SMALL,
    *("--batch_size", "8", "--max_train_epochs", "3", "--epochs_per_eval", "1"),
    *("--augmentation", "--folds", "2", "--num_workers", "0"),
)
RAY = ("--ray", "--ray_workers", "2")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(
        tmp_path_factory.mktemp("corpus") / "data", {"A": TAPES * 2, "B": TAPES, "noise": TAPES[:4]}
    )


@pytest.fixture
def one_thread():
    """Let this process compute with as many threads as each of the workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def start(corpus: Path, run: Path, *flags: str) -> subprocess.Popen:
    arguments = ("--data_dir", str(corpus), *folders(run), *FLAGS, *RAY, *flags)
    return subprocess.Popen(
        [sys.executable, str(SOUND / "main.py"), *arguments], stderr=subprocess.PIPE, text=True
    )


def read_to(process: subprocess.Popen, text: str) -> str:
    """Read the log of a running process up to a line that contains ``text``; return that."""
    said = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return line
    raise AssertionError("".join(said))


def results_of(folder: Path) -> dict:
    """Return what ``results.json`` says, without the names of folders and the time in one."""
    content = json.loads((folder / "results.json").read_text())
    for name in ("model", "checkpoint", "log", "summary", "cache"):
        del content["settings"][f"{name}_dir"]
    content["settings"]["debug"] = False
    content.pop("tensorboard", None)
    return content


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_a_worker_that_is_killed_changes_nothing(corpus, tmp_path, monkeypatch, one_thread):
    """Two workers on two cores, of which one is killed, then the rest without Ray."""
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    monkeypatch.setenv("ANIMAL_SPOT_CORES", "2")
    run, alone = tmp_path / "run", tmp_path / "alone"
    long = ("--max_train_epochs", "15")  # so that the kill comes in the middle
    process = start(corpus, run, *long, "--debug")
    try:
        second = int(read_to(process, "fold 2: process").split()[-1])
        read_to(process, "fold 2: val|0|loss")
        os.kill(second, signal.SIGKILL)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 1, said
    (error,) = [line for line in said.splitlines() if "|E|" in line]
    assert "|E|the worker died of fold 2 (" in error
    assert (run / "model" / "fold_1" / "predictions.json").is_file()
    assert not (run / "model" / "fold_2" / "predictions.json").exists()
    assert not (run / "model" / "results.json").exists()
    log = (run / "log" / "TRAIN.log").read_text()
    assert "|fold 1: epoch 15 of 15" in log

    for folder in (run, alone):
        said = train(corpus, folder, *FLAGS, *long)
        assert ("fold 1 of 2: complete" in said) == (folder == run)
    assert results_of(run / "model") == results_of(alone / "model")
    for fold in ("fold_1", "fold_2"):
        found, wanted = run / "model" / fold, alone / "model" / fold
        assert results_of(found) == results_of(wanted)
        for name in ("ANIMAL-SPOT.pk", "predictions.json"):
            assert (found / name).read_bytes() == (wanted / name).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_a_request_to_end_is_a_line(corpus, tmp_path):
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    process = start(corpus, tmp_path)
    try:
        read_to(process, "|Ray: 1 nodes")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "|W|stopped by SIGTERM: complete folds and" in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ray",), "--ray needs --folds"),
        (("--folds", "2", "--ray_workers", "2"), "--ray_workers needs --ray"),
        (("--folds", "2", "--gpus_per_worker", "1"), "--gpus_per_worker needs --ray"),
        (
            ("--folds", "2", "--ray", "--device", "cuda"),
            "--device cuda with --ray needs --gpus_per_worker",
        ),
    ],
)
def test_wrong_flag_is_said_in_a_line(capsys, flags, message):
    with pytest.raises(SystemExit) as end:
        main.main(list(flags))
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_a_search_finds_the_same_whatever_is_killed(corpus, tmp_path, monkeypatch, one_thread):
    """Folds of a trial side by side, a worker of the first trial killed, against one by one."""
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    monkeypatch.setenv("ANIMAL_SPOT_CORES", "2")
    both, alone = tmp_path / "both", tmp_path / "alone"
    search = ("--data_dir", str(corpus), *FLAGS, "--trials", "2", "--max_train_epochs", "2")
    flags = (*search, *RAY, "--debug", "--output_dir", str(both))
    process = subprocess.Popen(
        [sys.executable, str(SOUND / "tune.py"), *flags],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        os.kill(int(read_to(process, "fold 2: process").split()[-1]), signal.SIGKILL)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "|W|folds whose workers died are trained once more" in said
    assert run_here("tune", *search, "--output_dir", str(alone)).returncode == 0
    assert (both / "best_preset").read_text() == (alone / "best_preset").read_text()
    assert trials_of(both) == trials_of(alone)
    assert not any((both / "running").iterdir())


def trials_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of ``trials.csv`` without how long each took."""
    with open(folder / "trials.csv", newline="") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]
