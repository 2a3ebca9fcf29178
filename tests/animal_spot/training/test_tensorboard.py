"""utils/summary.py and utils/event_file.py: names of any kind, disks and folders of any state."""

from __future__ import annotations

import errno
import io
import itertools
import logging
import threading
import time
from types import SimpleNamespace

import pytest
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.training import event_file
from animal_spot.training.phase_result import PhaseResult
from animal_spot.training.tensorboard import Summary
from animal_spot.utils.metrics import ConfusionMatrix
from tests.helpers.events import read_events

NAMES = [r"$\frac{$", "$a$", "r\udce9union", "a\nb\x1b[2J", "x" * 250]


def phase(n_classes: int = len(NAMES)) -> PhaseResult:
    labels = torch.arange(n_classes)
    confusion = ConfusionMatrix(n_classes)
    confusion.update(labels, labels)
    return PhaseResult(
        phase="val",
        loss=0.5,
        confusion=confusion.get(),
        labels=labels,
        predictions=labels,
        confidences=torch.ones(n_classes),
        indices=labels,
        seconds=1.0,
        loading_seconds=0.5,
    )


class Clips:
    """Spectrograms of clips with names of all kinds."""

    samples = [type("Sample", (), {"name": f"{name}.wav"}) for name in NAMES]
    signal = SignalConfig()

    def __getitem__(self, index):
        return torch.rand(1, 20, 20), 0, 0


def test_names_of_any_kind_are_written_as_they_are(tmp_path, caplog):
    summary = Summary(tmp_path, "run", NAMES)
    summary.add_phase(phase(), 3, lr=0.1, with_figures=True, dataset=Clips())
    summary.add_hyper_parameters({"classes": "r\udce9union", "lr": 0.1}, {"accuracy": 1.0})
    summary.close()
    assert caplog.records == []
    found = read_events(summary.folder)
    assert [event.step for event in found.Scalars("val/epoch_loss")] == [3]
    for name in (r"$\frac{$", r"r\xe9union", r"a\nb\x1b[2J"):
        assert found.Scalars(f"val/per_class_accuracy/{name}")[0].value == 1
    assert "val_confusion_matrix_raw/cm_numbered" in found.Tags()["images"]
    assert len([tag for tag in found.Tags()["images"] if tag.startswith("val/true")]) == 2


def test_a_folder_that_breaks_is_one_warning_and_the_training_goes_on(tmp_path, caplog):
    summary = Summary(tmp_path / "runs", "run", ["a"])
    (tmp_path / "runs").write_text("in the way")
    for epoch in range(3):
        summary.add_phase(phase(1), epoch)
    summary.close()
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "TensorBoard's files" in warning.getMessage()
    assert "the training goes on" in warning.getMessage()


def test_after_a_full_disk_the_file_can_be_read_and_goes_on(tmp_path, monkeypatch, caplog):
    class FullDisk(io.FileIO):
        def write(self, content) -> int:
            super().write(bytes(content[: len(content) // 2]))
            raise OSError(errno.ENOSPC, "No space left on device")

    summary = Summary(tmp_path, "run", ["a"])
    summary.add_phase(phase(1), 0)
    with monkeypatch.context() as patch:
        patch.setattr(event_file, "open", FullDisk, raising=False)
        summary.add_phase(phase(1), 1)
    summary.add_phase(phase(1), 2)
    summary.close()
    assert [event.step for event in read_events(summary.folder).Scalars("val/epoch_loss")] == [0, 2]
    assert caplog.text.count("No space left on device") == 1


def test_a_picture_that_cannot_be_drawn_costs_no_numbers(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr("animal_spot.training.tensorboard.confusion_figure", fail)
    summary = Summary(tmp_path, "run", ["a"])
    summary.add_phase(phase(1), 0, with_figures=True)
    assert read_events(summary.folder).Scalars("val/accuracy")[0].value == 1
    assert "TensorBoard's figures" in caplog.text


@pytest.mark.parametrize("number", [0, 9])
@pytest.mark.parametrize("clock_s", [0, -3600])
def test_later_entries_of_an_interrupted_run_are_hidden(tmp_path, monkeypatch, number, clock_s):
    monkeypatch.setattr(event_file, "_NUMBER", itertools.count(number))
    now = time.time()
    times = itertools.chain([now], itertools.repeat(now + clock_s))
    monkeypatch.setattr(event_file, "time", SimpleNamespace(time=lambda: next(times)))
    first = Summary(tmp_path, "run", ["a"])
    for epoch in range(3):
        first.add_phase(phase(1), epoch)
    first.close()
    again = Summary(tmp_path, "new", ["a"])
    again.go_on("run", 2)
    again.add_phase(phase(1), 2)
    again.close()
    assert [event.step for event in read_events(first.folder).Scalars("val/accuracy")] == [0, 1, 2]


def test_nothing_is_written_outside_the_folder(tmp_path, caplog):
    (tmp_path / "runs").mkdir()
    summary = Summary(tmp_path / "runs", "run", ["a"])
    with pytest.raises(ValueError, match="inside"):
        summary.go_on("../elsewhere", 1)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "run").symlink_to(tmp_path / "elsewhere")
    summary.add_phase(phase(1), 0)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "symbolic link" in caplog.text


def test_no_thread_is_needed(tmp_path, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    summary = Summary(tmp_path, "run", ["a"])
    summary.add_phase(phase(1), 0)
    summary.close()
    assert list(summary.folder.glob("events.out.tfevents.*"))
