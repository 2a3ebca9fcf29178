"""How a network is trained: everything about it that does not change while it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from animal_spot.data.labels import names_by_index
from animal_spot.models.precision import Precision
from animal_spot.training.config import LAST
from animal_spot.training.phase_result import PhaseResult

# (labels, indices of the samples, what else the data set says of each) to targets.
TargetFunction = Callable[..., Tensor]
# (features, labels, epoch, batch index) to features and targets, all on the device.
BatchFunction = Callable[[Tensor, Tensor, int, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class TrainerRecipe:
    """How a ``Trainer`` trains, and what it writes of that into each checkpoint.

    Attributes:
        classes: Name to index.
        precision: Arithmetic.
        optimizer: Makes the optimiser of a network.
        scheduler: Makes its schedule: ``ReduceLROnPlateau`` steps once a validation, on its metric;
            one with ``total_steps`` once a batch.
        patience: Validations without improvement that early stopping forgives.
        val_metric: ``accuracy``, ``macro_accuracy`` or ``loss``; judges epochs. ``last``: each is
            better than those before.
        epochs_per_eval: Validate after epochs 0, n, 2n ... and after the last.
        gradient_clip_norm: Largest gradient norm, or None.
        loss: Logits ``(batch, classes)`` and targets to what training minimises. Validation and
            test always show the cross entropy.
        ema_decay: Validate and keep a ``WeightAverage`` with this decay, or None.
        freeze_epochs: In so many first epochs ``encoder`` of the network stays as it is.
        freeze_batch_norm: The batch normalisations of ``encoder`` keep their running statistics,
            and use them in training too; their scales and shifts are trained.
        make_targets: Makes the targets of the loss of a training batch from class indices
            ``(batch,)``, below 0 where a sample has no label, and the indices of the samples;
            None: the class indices themselves. Accuracy is that of samples with a label.
        batch_augmentation: Changes each training batch before the forward pass, or None. It gets
            features ``(batch, 1, time, freq)``, the targets so far, the epoch and the
            number of the batch in it, and returns features and targets: class indices, or
            probabilities ``(batch, classes)``.
        settings: To compare with those of a run that goes on from a checkpoint.
        data: Hash of the clips, to compare too.
    """

    classes: dict[str, int]
    precision: Precision
    optimizer: Callable[[nn.Module], Optimizer]
    scheduler: Callable[[Optimizer], LRScheduler | ReduceLROnPlateau]
    patience: int
    val_metric: str = "accuracy"
    epochs_per_eval: int = 2
    gradient_clip_norm: float | None = None
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    ema_decay: float | None = None
    freeze_epochs: int = 0
    freeze_batch_norm: bool = False
    make_targets: TargetFunction | None = None
    batch_augmentation: BatchFunction | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in index order."""
        return names_by_index(self.classes)

    @property
    def worst(self) -> float:
        """Value of the metric that an epoch must better to be the best."""
        return math.inf if self.val_metric == "loss" else 0.0

    def worth(self, result: PhaseResult, epoch: int) -> float:
        """Return the value of the metric after an epoch."""
        return epoch + 1.0 if self.val_metric == LAST else result.value_of(self.val_metric)

    def is_better(self, value: float, best: float) -> bool:
        """Compare two values of the metric."""
        return value < best if self.val_metric == "loss" else value > best
