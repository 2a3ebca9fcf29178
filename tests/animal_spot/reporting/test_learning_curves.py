"""Learning curves: which of TensorBoard's folders is a run's own, and what is read of it."""

from __future__ import annotations

import pytest

from animal_spot.reporting.learning_curves import curve_blocks, read_curves
from animal_spot.reporting.page import Note, Picture
from animal_spot.reporting.training_results import read_results
from animal_spot.training.event_file import EventFile
from animal_spot.training.tensorboard import scalar  # which keeps TensorFlow out
from tests.helpers.run_results import training, write_results


def write_events(folder, values, first=0, resumed=None):
    events = EventFile(folder, folder.parent, resumed)
    for epoch, value in enumerate(values, first):
        events.add(scalar("train/epoch_loss", value), epoch)
        if epoch % 2 == 0:
            events.add(scalar("val/accuracy", value / 4), epoch)
    events.flush()


def results_of(tmp_path, summary, **more):
    content = training(["a", "b"], [[3, 1], [0, 4]], summary_dir=str(summary)) | more
    return read_results(write_results(tmp_path / "model", content))


def test_numbers_are_those_that_were_written(tmp_path):
    write_events(tmp_path / "run", [2.0, 1.5, 1.0, 0.5])
    assert read_curves(tmp_path / "run") == {
        "epoch_loss": {"train": {0: 2.0, 1: 1.5, 2: 1.0, 3: 0.5}},
        "accuracy": {"val": {0: 0.5, 2: 0.25}},
    }


def test_epochs_after_an_interruption_count_once(tmp_path):
    write_events(tmp_path / "run", [2.0, 1.5, 9.0])
    write_events(tmp_path / "run", [1.0, 0.5], first=2, resumed=2)
    found = read_curves(tmp_path / "run")
    assert found["epoch_loss"]["train"] == {0: 2.0, 1: 1.5, 2: 1.0, 3: 0.5}


def test_one_run_is_drawn(tmp_path):
    write_events(tmp_path / "sum" / "run", [2.0, 1.0])
    (block,) = curve_blocks(results_of(tmp_path, tmp_path / "sum"))
    assert isinstance(block, Picture)


def test_a_run_that_names_its_folder_is_found_among_others(tmp_path):
    for name in ("run", "run-2"):
        write_events(tmp_path / "sum" / name, [2.0, 1.0])
    moved = "/was/elsewhere/run-2"
    results = results_of(tmp_path, tmp_path / "sum", tensorboard=moved)
    (block,) = curve_blocks(results)
    assert isinstance(block, Picture)


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        pytest.param([], "are not there", id="none"),
        pytest.param(["one", "two"], "has 2 runs", id="several"),
    ],
)
def test_why_there_are_none_is_said(tmp_path, runs, said):
    for name in runs:
        write_events(tmp_path / "sum" / name, [2.0, 1.0])
    (block,) = curve_blocks(results_of(tmp_path, tmp_path / "sum"))
    assert isinstance(block, Note)
    assert said in block.text


def test_a_file_of_others_is_no_curve(tmp_path):
    run = tmp_path / "sum" / "run"
    run.mkdir(parents=True)
    (run / "events.out.tfevents.1").write_bytes(b"no events" * 100)
    (block,) = curve_blocks(results_of(tmp_path, tmp_path / "sum"))
    assert isinstance(block, Note)


def test_a_network_fitted_at_once_has_none(tmp_path):
    write_events(tmp_path / "sum" / "run", [2.0])
    (block,) = curve_blocks(results_of(tmp_path, tmp_path / "sum"))
    assert "fitted at once" in block.text
