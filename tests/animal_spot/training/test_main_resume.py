"""main.py as a process: stopped in every way and started again."""

import os
import shutil
import signal
import time

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.helpers.clips import make_corpus
from tests.helpers.training import (
    SMALL,
    TAPES,
    assert_same,
    folders,
    outcome,
    run_main,
    start,
    wait_for,
)

pytestmark = pytest.mark.slow

EPOCHS = 4
TRAINING = (
    *(*SMALL, "--batch_size", "8", "--max_train_epochs", str(EPOCHS)),  # few steps, so quick
    *("--augmentation", "--epochs_per_eval", "1"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    base = tmp_path_factory.mktemp("corpus")
    return make_corpus(base / "data", {"A": TAPES * 2, "B": TAPES * 2, "noise": TAPES})


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("unbroken")
    result = run_main("--data_dir", str(corpus), *folders(run), *TRAINING)
    assert result.returncode == 0, result.stderr
    return run


@pytest.mark.parametrize("workers", ["0", "2"])
def test_same_seed_same_bits_whatever_the_workers(corpus, unbroken, tmp_path, workers):
    arguments = [*TRAINING]
    arguments[arguments.index("--num_workers") + 1] = workers
    result = run_main("--data_dir", str(corpus), *folders(tmp_path), *arguments)
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path, unbroken)


def test_another_seed_gives_another_network(corpus, unbroken, tmp_path):
    result = run_main("--data_dir", str(corpus), *folders(tmp_path), *TRAINING, "--seed", "1")
    assert result.returncode == 0, result.stderr
    (content, _), (expected, _) = outcome(tmp_path), outcome(unbroken)
    weight = "linear.weight"
    assert not torch.equal(content["classifierState"][weight], expected["classifierState"][weight])


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("network:", id="before-the-first-epoch"),
        pytest.param("|I|val|1|loss", id="between-epochs"),
        pytest.param("|I|train|2|loss", id="in-validation"),
    ],
)
def test_killed_run_ends_with_the_same_bits(corpus, unbroken, tmp_path, moment):
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), *TRAINING)
    process = start(*arguments)
    wait_for(process, moment)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    result = run_main(*arguments)
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path, unbroken)


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="term"),
        pytest.param(signal.SIGHUP, 129, id="closed-window"),
    ],
)
def test_interrupted_run_writes_a_checkpoint_and_ends_with_the_same_bits(
    corpus, unbroken, tmp_path, number, status
):
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), *TRAINING)
    process = start(*arguments)
    wait_for(process, "|I|train|1|loss")
    started = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal or Slurm does: to the loader processes too
    _, rest = process.communicate(timeout=60)
    assert process.returncode == status, rest
    assert time.monotonic() - started < 20
    assert "Traceback" not in rest
    assert "checkpoint written" in rest
    assert any((tmp_path / "checkpoint").iterdir())
    result = run_main(*arguments)
    assert result.returncode == 0, result.stderr
    assert "resumed from" in result.stderr
    assert_same(tmp_path, unbroken)


def test_resumed_run_goes_on_in_its_log_and_its_tensorboard_folder(corpus, unbroken, tmp_path):
    arguments = ["--data_dir", str(corpus), *folders(tmp_path), *TRAINING]
    arguments[arguments.index("--max_train_epochs") + 1] = "2"
    assert run_main(*arguments).returncode == 0
    arguments[arguments.index("--max_train_epochs") + 1] = str(EPOCHS)
    result = run_main(*arguments)
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path, unbroken)
    log = (tmp_path / "log" / "TRAIN.log").read_text()
    assert [f"|train|{e}|loss" in log for e in range(EPOCHS)] == [True] * EPOCHS
    (run,) = (tmp_path / "summary").iterdir()
    found = EventAccumulator(str(run)).Reload()
    assert [e.step for e in found.Scalars("val/accuracy")] == list(range(EPOCHS))


def test_truncated_newest_checkpoint_falls_back_to_the_one_before(corpus, unbroken, tmp_path):
    run = shutil.copytree(unbroken, tmp_path / "run")
    newest = sorted((run / "checkpoint").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:100_000])
    (run / "model" / "ANIMAL-SPOT.pk").unlink()
    result = run_main("--data_dir", str(corpus), *folders(run), *TRAINING)
    assert result.returncode == 0, result.stderr
    assert f"{newest} cannot be read" in result.stderr
    assert "trying the checkpoint before it" in result.stderr
    assert_same(run, unbroken)


def test_starting_from_scratch_sets_the_old_checkpoints_aside(corpus, unbroken, tmp_path):
    run = shutil.copytree(unbroken, tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (run / "checkpoint").iterdir()}
    result = run_main("--data_dir", str(corpus), *folders(run), *TRAINING, "--start_from_scratch")
    assert result.returncode == 0, result.stderr
    (aside,) = (p for p in (run / "checkpoint").iterdir() if p.is_dir())
    assert {p.name: p.read_bytes() for p in aside.iterdir()} == before
    assert_same(run, unbroken)
