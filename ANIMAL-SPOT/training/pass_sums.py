"""What adds up while a network goes through a partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from animal_spot.models.precision import sum_dtype
from animal_spot.training.phase_result import Phase, PhaseResult
from animal_spot.utils.metrics import ConfusionMatrix

_LISTS = ("labels", "predictions", "confidences", "indices")


@dataclass
class PassSums:
    """Sums of a pass that is under way, on its device; nothing in it waits for that.

    A checkpoint keeps them when the pass is interrupted.

    Attributes:
        confusion: Counts of the labels and what they are taken for.
        loss_sum: Sum of the losses of all clips, float64 where the device has it.
        labels: Class indices of each batch, shape ``(batch,)``.
        predictions: What they are taken for.
        confidences: Probability of that; for two classes that of class 1.
        indices: Numbers of the clips.
        first_bad: Number of the first batch whose loss is no number; below 0: none is.
    """

    confusion: ConfusionMatrix
    loss_sum: Tensor
    labels: list[Tensor] = field(default_factory=list)
    predictions: list[Tensor] = field(default_factory=list)
    confidences: list[Tensor] = field(default_factory=list)
    indices: list[Tensor] = field(default_factory=list)
    first_bad: Tensor | None = None

    @classmethod
    def empty(cls, n_classes: int, device: torch.device) -> PassSums:
        """Begin a pass."""
        zero = torch.zeros((), dtype=sum_dtype(torch.device(device)), device=device)
        return cls(ConfusionMatrix(n_classes, device), zero)

    @property
    def n_clips(self) -> int:
        """Clips so far."""
        return sum(map(len, self.labels))

    def add(self, logits: Tensor, labels: Tensor, indices: Tensor, loss: Tensor) -> None:
        """Add a batch.

        Args:
            logits: Shape ``(batch, classes)``.
            labels: Class indices, shape ``(batch,)``.
            indices: Of the clips, shape ``(batch,)``.
            loss: Mean of the batch.
        """
        probabilities = logits.detach().float().softmax(1)
        confidences, predictions = probabilities.max(1)
        if logits.shape[1] == 2:
            confidences = probabilities[:, 1]
        self.confusion.update(labels, predictions)
        self.loss_sum += loss.detach() * len(labels)
        before = -torch.ones_like(labels[:1]) if self.first_bad is None else self.first_bad
        is_first = (before < 0) & ~loss.detach().isfinite()
        self.first_bad = torch.where(is_first, len(self.labels), before)
        self.labels.append(labels)
        self.predictions.append(predictions)
        self.confidences.append(confidences)
        self.indices.append(indices)

    def result(self, phase: Phase, seconds: float, loading_seconds: float) -> PhaseResult:
        """End the pass."""
        whole = {name: torch.cat(getattr(self, name)).cpu() for name in _LISTS}
        return PhaseResult(
            phase=phase,
            loss=float(self.loss_sum) / len(whole["labels"]),
            confusion=self.confusion.get(),
            seconds=seconds,
            loading_seconds=loading_seconds,
            **whole,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "confusion": self.confusion.get(),
            "loss_sum": self.loss_sum.cpu(),
            **{name: [t.cpu() for t in getattr(self, name)] for name in _LISTS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.confusion.load(state["confusion"])
        self.loss_sum.copy_(state["loss_sum"].to(self.loss_sum.dtype))
        for name in _LISTS:
            setattr(self, name, [t.to(self.loss_sum.device) for t in state[name]])


@dataclass
class EpochSums:
    """How far an epoch of training has come.

    Attributes:
        n_batches: Batches that are done.
        sums: What they add up to.
    """

    n_batches: int
    sums: PassSums
