"""The training loop with a network and clips of a few numbers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from animal_spot.data.clip_dataset import EpochSampler
from animal_spot.trainer import Trainer
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.training_error import TrainingError
from tests.helpers.loops import N_CLASSES, N_CLIPS, Clips, copy_of, loader, trainer_of


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_batch_augmentation_is_called_with_every_training_batch():
    calls = []

    def augmentation(features, labels, epoch, batch_index):
        calls.append((epoch, batch_index, labels.tolist()))
        return features, labels

    trainer_of(batch_augmentation=augmentation).fit(loader(), loader(), 2)
    labels = [i % N_CLASSES for i in range(N_CLIPS)]
    expected = [(e, b, labels[4 * b : 4 * b + 4]) for e in range(2) for b in range(3)]
    assert calls == expected, "not in validation, and with the place in the epoch"


def test_network_sees_what_batch_augmentation_returns_and_accuracy_the_labels():
    """Logits without inputs are the same for all clips; targets say that all are of class B."""

    def augmentation(features, labels, _epoch, _batch_index):
        targets = torch.zeros(len(labels), N_CLASSES)
        targets[:, 1] = 1
        return torch.zeros_like(features), targets

    trainer = trainer_of(batch_augmentation=augmentation)
    trainer.fit(loader(), loader(), 6)
    result = trainer.summary.of["train", 5]
    assert result.labels.tolist() == [i % N_CLASSES for i in range(N_CLIPS)]
    assert result.predictions.tolist() == [1] * N_CLIPS
    assert result.accuracy == pytest.approx(3 / 10)
    assert result.loss < 0.5, "the loss looks at the targets, which are always B"


class OneBadClip(Clips):
    """Clips of which the one with index 5 is no sound."""

    def __init__(self, value: float) -> None:
        self.value = value
        self.samples = [SimpleNamespace(name=f"clip{i}.wav") for i in range(N_CLIPS)]

    def __getitem__(self, key):
        features, label, index = super().__getitem__(key)
        return features * (self.value if index == 5 else 1.0), label, index


@pytest.mark.parametrize(
    ("phase", "value"),
    [("train", math.nan), ("train", math.inf), ("train", 1e38), ("val", math.nan)],
)
def test_a_clip_that_makes_the_loss_no_number_is_named(value, phase):
    sampler = EpochSampler(N_CLIPS, 4, shuffle=True, drop_last=False, seed=0)
    bad = DataLoader(OneBadClip(value), batch_sampler=sampler)
    loaders = (bad, loader()) if phase == "train" else (loader(), bad)
    with pytest.raises(TrainingError, match=rf"the {phase} loss .* the clip clip5\.wav, whose"):
        trainer_of().fit(*loaders, 2)


def test_without_such_a_clip_the_learning_rate_is_to_blame():
    with pytest.raises(TrainingError, match="lower --lr"):
        trainer_of(lr=1e30).fit(loader(), loader(), 9)


class PoisonedWeight(torch.nn.Module):
    """Passes its input on; its weight, that nothing depends on, is no number from step 6 on."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))
        self._steps, self._value = 0, value

    def forward(self, x):
        self._steps += self.training
        if self._steps > 5:
            self.weight.data[1] = self._value
        return x


@pytest.mark.parametrize("value", [math.nan, -math.inf])
@pytest.mark.parametrize("ema_decay", [None, 0.9])
def test_a_network_with_weights_that_are_no_numbers_is_never_kept(tmp_path, ema_decay, value):
    """Its loss is a number: no output depends on them."""
    checkpoints = CheckpointFolder(tmp_path, "net")
    trainer = trainer_of(checkpoints=checkpoints, ema_decay=ema_decay)
    trainer.model.encoder.append(PoisonedWeight(value))
    trainer = Trainer(trainer.model, trainer.recipe, checkpoints=checkpoints)
    with pytest.raises(TrainingError, match=r"encoder\.3\.weight that are no numbers.*--precision"):
        trainer.fit(loader(), loader(), 9)
    (content, path) = checkpoints.load_newest()
    assert path.name == "net_epoch_00000.checkpoint", "three steps an epoch: epoch 1 is bad"
    for state in (content["modelState"], content["trainState"]["best_model"]):
        assert all(values.isfinite().all() for values in state.values())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"trainState": {}}, id="nothing"),
        pytest.param({"trainState": 3}, id="number"),
        pytest.param({"modelState": [1]}, id="weights"),
        pytest.param({"classes": 5}, id="classes"),
        pytest.param({"settings": ["lr"]}, id="settings"),
        pytest.param({"scheduler": []}, id="scheduler"),
        pytest.param({"epoch": "three"}, id="epoch"),
        pytest.param({"earlyStopping": None}, id="stopping"),
        pytest.param({"optState": {"state": 1, "param_groups": [{}]}}, id="optimizer"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_in_one_line(tmp_path, change):
    folder = CheckpointFolder(tmp_path, "x")
    trainer_of(checkpoints=folder).fit(loader(), loader(), 1)
    content = torch.load(folder.path_of(0), weights_only=True)
    inner = content["trainState"]
    for name, value in change.items():
        (content if name in content else inner)[name] = value
    torch.save(content, folder.path_of(0))
    with pytest.raises((TrainingError, ValueError), match="x_epoch_00000") as caught:
        trainer_of(checkpoints=folder).resume()
    assert "\n" not in str(caught.value)


def test_loss_is_for_training_alone():
    def loss(logits, targets):
        return F.cross_entropy(logits, targets) + 1000

    trainer = trainer_of(lr=0.0, loss=loss)
    trainer.fit(loader(), loader(), 1)
    assert trainer.summary.of["train", 0].loss > 1000
    validation = trainer.summary.of["val", 0]
    model = trainer.model.eval()
    with torch.no_grad():
        logits = torch.cat([model(Clips()[(0, i)][0][None]) for i in range(N_CLIPS)])
    expected = F.cross_entropy(logits, torch.arange(N_CLIPS) % N_CLASSES)
    assert validation.loss == pytest.approx(float(expected), rel=1e-4)


def test_frozen_encoder_keeps_its_bits_and_its_statistics():
    trainer = trainer_of(freeze_epochs=2)
    start = copy_of(trainer.model)
    trainer.fit(loader(), loader(), 3)
    for epoch in range(3):
        weights = trainer.summary.weights["train", epoch]
        is_kept = {n.partition(".")[0]: {torch.equal(start[n], w)} for n, w in weights.items()}
        assert is_kept == {"encoder": {epoch < 2}, "classifier": {False}}, epoch


def test_frozen_batch_norm_keeps_its_statistics_and_trains_its_scales():
    trainer = trainer_of(freeze_batch_norm=True, freeze_epochs=1)
    start = copy_of(trainer.model)
    trainer.fit(loader(), loader(), 2)
    trained = trainer.summary.weights["train", 1]
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(start[f"encoder.1.{name}"], trained[f"encoder.1.{name}"])
    assert not torch.equal(start["encoder.1.weight"], trained["encoder.1.weight"])


def test_average_is_validated_and_kept():
    """With a rate of 0.1 for a few steps the mean of the weights lies far from the weights."""
    trainer = trainer_of(ema_decay=0.9, val_metric="loss")
    trainer.fit(loader(), loader(), 1)
    averaged, trained = trainer.state.best_model, trainer.state.average
    assert trained.n_updates == 3
    assert same(averaged, copy_of(trained.model))
    assert same(averaged, copy_of(trainer.model)), "after training the best network is in place"
    shown = trainer.summary.of["val", 0]
    again = trainer.evaluate(loader(), "val", model=trained.model)
    assert shown.loss == again.loss

    without = trainer_of(val_metric="loss")
    without.fit(loader(), loader(), 1)
    assert not same(without.state.best_model, averaged)
    assert without.summary.of["train", 0].loss == trainer.summary.of["train", 0].loss


def test_the_last_epoch_is_kept_however_it_validates():
    """Validation sees other classes than training, so the more is learned the worse it gets."""
    trainers = {}
    for metric in ("loss", "last"):
        trainers[metric] = trainer_of(val_metric=metric, epochs_per_eval=1)
        trainers[metric].fit(loader(), Shifted.loader(), 4)
    losses = [trainers["last"].summary.of["val", epoch].loss for epoch in range(4)]
    assert losses[-1] > min(losses), "else this shows nothing"
    last = trainers["last"].summary.weights["val", 3]
    assert same(copy_of(trainers["last"].model), last)
    assert not same(copy_of(trainers["loss"].model), last)


class Shifted(Clips):
    def __getitem__(self, key):
        features, label, index = super().__getitem__(key)
        return features, (label + 1) % N_CLASSES, index

    @classmethod
    def loader(cls) -> DataLoader:
        sampler = EpochSampler(N_CLIPS, 4, shuffle=False, drop_last=False, seed=0)
        return DataLoader(cls(), batch_sampler=sampler)
