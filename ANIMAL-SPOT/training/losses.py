"""What training minimises: cross entropy or focal loss, with weights, smoothing and priors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.data.class_balance import STRATEGY_OF_WEIGHTING, balance_factors


class TrainingLoss(nn.Module):
    """Mean loss of a batch.

    Called with logits ``(batch, classes)`` and targets: class indices ``(batch,)``, or
    probabilities ``(batch, classes)``, whose sum over the classes is 1.

    A class weight multiplies that class's part of the sum over classes. As in
    ``torch.nn.functional.cross_entropy`` the batch is then divided by the sum of the weights of its
    targets if these are indices, and by its size if they are probabilities.

    Args:
        class_counts: Clips of each class in an epoch; expected ones where clips are drawn at
            random.
        class_weighting: ``none``, or the rarer a class, the more it counts: ``inverse``,
            ``sqrt_inverse`` or ``effective``, see ``balance_factors``. The weights are scaled so
            that their mean over the clips is 1.
        focal_gamma: Exponent of the focal loss, see ``focal_loss``; None: cross entropy.
        label_smoothing: Share of the target spread over all classes.
        logit_adjustment: ``tau``: the logits get ``tau * log(prior)`` with the classes' shares of
            the clips as prior, so that the network itself need not learn how frequent classes
            are (Menon et al., Long-tail learning via logit adjustment, ICLR 2021).
    """

    def __init__(
        self,
        class_counts: Sequence[float] | np.ndarray,
        *,
        class_weighting: str = "none",
        focal_gamma: float | None = None,
        label_smoothing: float = 0.0,
        logit_adjustment: float = 0.0,
    ) -> None:
        super().__init__()
        counts = np.asarray(class_counts, dtype=float)
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        weights = shift = None
        if class_weighting != "none":
            weights = torch.tensor(class_weights(counts, class_weighting), dtype=torch.float32)
        if logit_adjustment:
            prior = np.maximum(counts, 1.0) / np.maximum(counts, 1.0).sum()
            shift = torch.tensor(logit_adjustment * np.log(prior), dtype=torch.float32)
        self.register_buffer("class_weights", weights)
        self.register_buffer("logit_shift", shift)

    def of_clips(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each clip for targets that are probabilities, shape ``(batch,)``.

        Their mean is the loss of the batch.
        """
        return self._loss(logits, targets, "none")

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar."""
        return self._loss(logits, targets, "mean")

    def _loss(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        if self.logit_shift is not None:
            logits = logits + self.logit_shift
        if self.focal_gamma is None:
            return F.cross_entropy(
                logits,
                targets,
                weight=self.class_weights,
                label_smoothing=self.label_smoothing,
                reduction=reduction,
            )
        return focal_loss(
            logits,
            targets,
            self.focal_gamma,
            weight=self.class_weights,
            label_smoothing=self.label_smoothing,
            reduction=reduction,
        )


class SharedTargetsLoss(nn.Module):
    """Loss of clips that count by share: those whose targets sum to 0 do not.

    Args:
        training_loss: Of targets whose sum is 1.
    """

    def __init__(self, training_loss: TrainingLoss) -> None:
        super().__init__()
        self.training_loss = training_loss

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over what counts, a scalar; 0 if nothing does.

        Args:
            logits: Shape ``(batch, classes)``.
            targets: Parts of the classes, shape ``(batch, classes)``; their sum is the share.
        """
        share = targets.sum(1)
        smallest = torch.finfo(share.dtype).tiny
        of_clips = self.training_loss.of_clips(logits, targets / share.clamp(min=smallest)[:, None])
        return (share * of_clips).sum() / share.sum().clamp(min=smallest)


def class_weights(counts: np.ndarray, weighting: str) -> np.ndarray:
    """Return the weight of each class, shape ``(classes,)``; their mean over the clips is 1.

    Args:
        counts: Clips of each class.
        weighting: ``inverse`` (scikit-learn's ``balanced``), ``sqrt_inverse`` or ``effective``.
    """
    factors = balance_factors(counts, STRATEGY_OF_WEIGHTING[weighting])
    return factors * counts.sum() / (factors * counts).sum()


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the focal loss (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017).

    ``sum_c w_c q_c (1 - p_c)^gamma (-log p_c)`` with the network's probabilities ``p``, the target
    ``q`` after smoothing and the weights ``w``: for one-hot targets the loss of the paper, for
    ``gamma`` 0 the cross entropy, also in how the batch is averaged.

    Args:
        logits: Shape ``(batch, classes)``.
        targets: Class indices ``(batch,)`` or probabilities ``(batch, classes)``.
        gamma: How much less a clip counts that is classified well; at least 0.
        weight: Of each class, shape ``(classes,)``.
        label_smoothing: Share of the target spread over all classes.
        reduction: ``mean``, or ``none`` for the loss of each clip, for probabilities only.
    """
    n_classes = logits.shape[1]
    log_p = logits.log_softmax(1)
    if targets.ndim == 1:
        soft = F.one_hot(targets, n_classes).to(log_p.dtype)
        total = weight[targets].sum() if weight is not None else len(targets)
    else:
        soft, total = targets, len(targets)
    if label_smoothing:
        soft = (1 - label_smoothing) * soft + label_smoothing / n_classes
    # 1 - p from the logarithm, exact where p is almost 1; at 0 itself a broken power has no slope.
    miss = (-log_p.expm1()).clamp(min=torch.finfo(log_p.dtype).tiny)
    parts = soft * miss**gamma * -log_p
    if weight is not None:
        parts = parts * weight
    return parts.sum(1) if reduction == "none" else parts.sum() / total
