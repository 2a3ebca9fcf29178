"""main.py, stopped in every way and started again."""

import os
import shutil
import signal
import time

import pytest
import torch

from tests.helpers.events import read_events
from tests.helpers.training import (
    SMALL,
    assert_same,
    folders,
    outcome,
    run_main,
    start,
    train,
    train_until_killed,
    wait_for,
)

pytestmark = pytest.mark.slow

EPOCHS = 4
TRAINING = (
    *(*SMALL, "--batch_size", "8", "--max_train_epochs", str(EPOCHS)),  # few steps, so quick
    *("--augmentation", "--epochs_per_eval", "1"),
)


@pytest.fixture(scope="module")
def unbroken(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("unbroken")
    train(corpus, run, *TRAINING)
    return run


def test_same_seed_same_bits_whatever_the_workers(corpus, unbroken, tmp_path):
    arguments = (*folders(tmp_path), *TRAINING, "--num_workers", "2")
    result = run_main("--data_dir", str(corpus), *arguments)
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path, unbroken)


def test_another_seed_gives_another_network(corpus, unbroken, tmp_path):
    train(corpus, tmp_path, *TRAINING, "--seed", "1")
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
    train_until_killed(moment, corpus, tmp_path, *TRAINING)
    train(corpus, tmp_path, *TRAINING)
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
    process = start("--data_dir", str(corpus), *folders(tmp_path), *TRAINING)
    wait_for(process, "|I|train|1|loss")
    started = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal or Slurm does: to the loader processes too
    _, rest = process.communicate(timeout=60)
    assert process.returncode == status, rest
    assert time.monotonic() - started < 20
    assert "Traceback" not in rest
    assert "checkpoint written" in rest
    assert any((tmp_path / "checkpoint").iterdir())
    assert "resumed from" in train(corpus, tmp_path, *TRAINING)
    assert_same(tmp_path, unbroken)


def test_resumed_run_goes_on_in_its_log_and_its_tensorboard_folder(corpus, unbroken, tmp_path):
    train(corpus, tmp_path, *TRAINING, "--max_train_epochs", "2")
    train(corpus, tmp_path, *TRAINING)
    assert_same(tmp_path, unbroken)
    log = (tmp_path / "log" / "TRAIN.log").read_text()
    assert [f"|train|{e}|loss" in log for e in range(EPOCHS)] == [True] * EPOCHS
    found = read_events(tmp_path / "summary")
    assert [e.step for e in found.Scalars("val/accuracy")] == list(range(EPOCHS))


def test_truncated_newest_checkpoint_falls_back_to_the_one_before(corpus, unbroken, tmp_path):
    run = shutil.copytree(unbroken, tmp_path / "run")
    newest = sorted((run / "checkpoint").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:100_000])
    (run / "model" / "ANIMAL-SPOT.pk").unlink()
    said = train(corpus, run, *TRAINING)
    assert f"{newest} cannot be read" in said
    assert "trying the checkpoint before it" in said
    assert_same(run, unbroken)


def test_starting_from_scratch_sets_the_old_checkpoints_aside(corpus, unbroken, tmp_path):
    run = shutil.copytree(unbroken, tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (run / "checkpoint").iterdir()}
    train(corpus, run, *TRAINING, "--start_from_scratch")
    (aside,) = (p for p in (run / "checkpoint").iterdir() if p.is_dir())
    assert {p.name: p.read_bytes() for p in aside.iterdir()} == before
    assert_same(run, unbroken)
