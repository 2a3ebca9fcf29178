"""The line that says how far a training has come."""

import logging

import pytest
import torch

from animal_spot.training.epoch_progress import EpochProgress, in_words
from animal_spot.training.phase_result import PhaseResult
from tests.helpers.clips import make_corpus
from tests.helpers.training import RESNET, SMALL, TAPES, train


def result(phase: str, loss: float, right: int, wrong: int) -> PhaseResult:
    labels = torch.zeros(right + wrong, dtype=torch.long)
    return PhaseResult(
        phase=phase,
        loss=loss,
        confusion=torch.tensor([[right, wrong, 0], [0, 0, 0], [0, 0, 0]]),
        labels=labels,
        predictions=labels,
        confidences=labels.float(),
        indices=labels,
        seconds=1.0,
        loading_seconds=0.0,
    )


TRAIN, VAL = result("train", 1.25, 3, 1), result("val", 0.5, 1, 1)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "less than a minute"),
        (29, "less than a minute"),
        (61, "1 min"),
        (119, "2 min"),
        (59 * 60, "59 min"),
        (3600 + 5 * 60, "1 h 5 min"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_lengths_of_time(seconds, said):
    assert in_words(seconds) == said


def test_what_is_left_is_the_mean_length_of_the_last_epochs_times_what_is_to_come():
    progress = EpochProgress()
    assert progress.line(1, 40, 120.0, TRAIN, VAL) == (
        "epoch 2 of 40, 1 h 16 min left: training loss 1.250, accuracy 75.0 %; "
        "validation loss 0.500, accuracy 50.0 %"
    )
    for _ in range(6):  # the slow first one is no longer counted
        line = progress.line(2, 40, 3.0, TRAIN)
    assert line == "epoch 3 of 40, 2 min left: training loss 1.250, accuracy 75.0 %"


def test_after_the_last_epoch_nothing_is_left():
    assert EpochProgress().line(39, 40, 9.0, TRAIN).startswith("epoch 40 of 40: training")


def test_each_epoch_of_a_training_has_its_line(caplog):
    from tests.helpers.loops import loader, trainer_of

    with caplog.at_level(logging.INFO):
        trainer_of(epochs_per_eval=2).fit(loader(), loader(), 3)
    lines = [m for m in caplog.messages if m.startswith("epoch ")]
    assert [line.split(",")[0].split(":")[0] for line in lines] == [
        *("epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3")
    ]
    assert ["validation" in line for line in lines] == [True, False, True]
    train = [m for m in caplog.messages if m.startswith("train|")]
    loss = train[1].split("|")[2].removeprefix("loss:")
    assert f"training loss {loss}," in lines[1]


@pytest.mark.slow
def test_the_network_is_written_out_in_the_log_file_alone(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "C": TAPES})
    said = train(data, tmp_path, *SMALL, *RESNET, "--max_train_epochs", "1", "--debug")
    written = (tmp_path / "log" / "TRAIN.log").read_text()
    assert written.count("Conv2d(") > 15  # ResNet-18 has 20
    assert "Conv2d(" not in said
    assert "network: ResNet-18" in said
    assert "epoch 1 of 1: training loss" in said
