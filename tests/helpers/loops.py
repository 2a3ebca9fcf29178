"""A training loop with a network and clips of a few numbers."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.utils.data import DataLoader

from animal_spot.data.clip_dataset import EpochSampler
from animal_spot.models.precision import Precision
from animal_spot.trainer import Trainer
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.trainer_recipe import TrainerRecipe

N_CLIPS, N_CLASSES = 10, 3


class Clips(torch.utils.data.Dataset):
    def __getitem__(self, key):
        _, index = key
        generator = torch.Generator().manual_seed(index)
        return torch.randn(1, 4, 4, generator=generator), index % N_CLASSES, index


class Reports:
    """Stands for the TensorBoard folder; keeps what it is given, and the weights of that time."""

    run_name = None

    def __init__(self, model: nn.Module):
        self.of, self.weights = {}, {}
        self._model = model

    def add_phase(self, result, epoch, **_):
        self.of[result.phase, epoch] = result
        self.weights[result.phase, epoch] = copy_of(self._model)


def copy_of(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def loader(*, shuffle=False) -> DataLoader:
    sampler = EpochSampler(N_CLIPS, 4, shuffle=shuffle, drop_last=False, seed=0)
    return DataLoader(Clips(), batch_sampler=sampler)


def trainer_of(lr=0.1, checkpoints: CheckpointFolder | None = None, **options) -> Trainer:
    torch.manual_seed(0)
    precision = options.pop("precision", Precision("fp32", torch.device("cpu")))
    with precision.device:
        encoder = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        head = nn.Sequential(nn.Flatten(), nn.Linear(24, N_CLASSES))
    model = nn.Sequential(OrderedDict(encoder=encoder, classifier=head))
    recipe = TrainerRecipe(
        classes={"A": 0, "B": 1, "C": 2},
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=lr),
        scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau,
        patience=99,
        precision=precision,
        **({"epochs_per_eval": 1} | options),
    )
    return Trainer(model, recipe, checkpoints=checkpoints, summary=Reports(model))
