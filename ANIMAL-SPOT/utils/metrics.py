"""Counting what is right: accuracy per class and what follows from a confusion matrix.

Counts stay on the device and are added without a loop or a transfer per batch; they are read once,
at the end of an epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from animal_spot.utils.intervals import wilson_interval as wilson_interval  # was here once


class ConfusionMatrix:
    """Counts of true against predicted classes.

    Args:
        num_classes: Number of classes.
        device: Where labels and predictions are.
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self._counts = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)

    def update(self, labels: Tensor, predictions: Tensor) -> None:
        """Add a batch of class indices, each of shape ``(batch,)``."""
        if labels.shape != predictions.shape:
            raise ValueError(
                f"labels and predictions must have one shape, got {tuple(labels.shape)} and "
                f"{tuple(predictions.shape)}"
            )
        cells = labels.long() * self.num_classes + predictions.long()
        self._counts.index_add_(0, cells, torch.ones_like(cells))

    def get(self) -> Tensor:
        """Return counts of shape ``(true, predicted)``, int64, on the CPU."""
        return self._counts.view(self.num_classes, self.num_classes).cpu()

    def load(self, counts: Tensor) -> None:
        """Go on from counts that ``get`` returned."""
        self._counts.copy_(counts.reshape(-1))


class PerClassAccuracy:
    """Accuracy of each class over all batches since the start.

    Args:
        num_classes: Number of classes.
        device: Where labels and predictions are.
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self._confusion = ConfusionMatrix(num_classes, device)

    def update(self, labels: Tensor, predictions: Tensor) -> None:
        """Add a batch of class indices, each of shape ``(batch,)``."""
        self._confusion.update(labels, predictions)

    def get(self) -> list[float]:
        """Return correct / clips for each class in class order; NaN for a class without clips."""
        return per_class_accuracy(self._confusion.get())


def per_class_accuracy(confusion: Tensor) -> list[float]:
    """Return the share of each row on the diagonal; NaN for an empty row."""
    totals = confusion.sum(1)
    return [
        correct / total if total else math.nan
        for correct, total in zip(confusion.diagonal().tolist(), totals.tolist(), strict=True)
    ]


def mean_present(values: list[float]) -> float:
    """Average the values that are not NaN; NaN if all are."""
    present = [value for value in values if not math.isnan(value)]
    return sum(present) / len(present) if present else math.nan


def accuracy(confusion: Tensor) -> float:
    """Return correct / all; 0 for no clip."""
    total = int(confusion.sum())
    return int(confusion.diagonal().sum()) / total if total else 0.0


@dataclass(frozen=True)
class BinaryMetrics:
    """Counts and ratios with class 1 as positive; a ratio is 0 where its denominator is."""

    tp: int
    tn: int
    fp: int
    fn: int
    accuracy: float
    f1: float
    precision: float
    TPR: float
    FPR: float


def binary_metrics(confusion: Tensor) -> BinaryMetrics:
    """Derive the metrics of a two-class task from its confusion matrix."""
    (tn, fp), (fn, tp) = confusion.tolist()

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else 0.0

    precision, recall = ratio(tp, tp + fp), ratio(tp, tp + fn)
    return BinaryMetrics(
        tp=tp,
        tn=tn,
        fp=fp,
        fn=fn,
        accuracy=ratio(tp + tn, tp + tn + fp + fn),
        f1=ratio(2 * precision * recall, precision + recall),
        precision=precision,
        TPR=recall,
        FPR=ratio(fp, fp + tn),
    )


def most_confused(confusion: Tensor, names: list[str], n: int = 5) -> list[tuple[str, str, int]]:
    """Return up to ``n`` pairs ``(true, predicted, clips)``, most frequent first."""
    wrong = confusion.clone().fill_diagonal_(0)
    pairs = [(names[i], names[j], int(wrong[i, j])) for i, j in wrong.nonzero().tolist()]
    return sorted(pairs, key=lambda pair: -pair[2])[:n]
