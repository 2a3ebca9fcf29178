"""What one pass over a partition gave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from animal_spot.utils.metrics import (
    BinaryMetrics,
    accuracy,
    binary_metrics,
    mean_present,
    per_class_accuracy,
)

Phase = Literal["train", "val", "test"]


@dataclass
class PhaseResult:
    """What one pass over a partition gave.

    Attributes:
        phase: ``train``, ``val`` or ``test``.
        loss: Mean over the clips.
        confusion: Counts of shape ``(true, predicted)``.
        labels: Class index of each clip, in the order of the pass.
        predictions: Predicted index of each clip.
        confidences: Probability of the prediction; for two classes that of class 1.
        indices: Index of each clip in its partition.
        seconds: Duration of the pass.
        loading_seconds: Part of it spent waiting for clips.
    """

    phase: Phase
    loss: float
    confusion: Tensor
    labels: Tensor
    predictions: Tensor
    confidences: Tensor
    indices: Tensor
    seconds: float
    loading_seconds: float

    @property
    def accuracy(self) -> float:
        """Share of clips that are right."""
        return accuracy(self.confusion)

    @property
    def per_class(self) -> list[float]:
        """Accuracy of each class; NaN for an absent one."""
        return per_class_accuracy(self.confusion)

    @property
    def macro_accuracy(self) -> float:
        """Mean accuracy of the classes that are present."""
        return mean_present(self.per_class)

    @property
    def answer_probabilities(self) -> Tensor:
        """Probability of the answer to each clip; of two classes too."""
        if len(self.confusion) != 2:
            return self.confidences
        return self.confidences.where(self.predictions == 1, 1 - self.confidences)

    @property
    def binary(self) -> BinaryMetrics | None:
        """Metrics of a two-class task."""
        return binary_metrics(self.confusion) if len(self.confusion) == 2 else None

    def value_of(self, metric: str) -> float:
        """Return ``accuracy``, ``macro_accuracy`` or ``loss``."""
        return getattr(self, metric)

    def log_line(self, epoch: int, lr: float | None) -> str:
        """Return the line that the log has for each phase and epoch."""
        parts = [self.phase, str(epoch), f"loss:{self.loss:.3f}"]
        if self.binary is not None:
            parts += [f"{name}:{value:.3f}" for name, value in vars(self.binary).items()]
        else:
            parts += [
                f"accuracy:{self.accuracy:.3f}",
                f"mean_per_class_acc:{self.macro_accuracy:.3f}",
            ]
        if lr is not None:
            parts.append(f"lr:{lr:.2e}")
        return "|".join([*parts, f"t:{self.seconds:.1f}"])

    def class_line(self, epoch: int, names: list[str]) -> str:
        """Return the line of accuracies per class."""
        cells = [
            f"{name}:" + ("absent" if math.isnan(value) else f"{value:.3f}")
            for name, value in zip(names, self.per_class, strict=True)
        ]
        return "|".join([self.phase, str(epoch), "per_class_accuracy", *cells])
