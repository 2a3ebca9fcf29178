"""What chance does to a whole batch of training clips: mixing pairs, masking stripes.

Everything is drawn on the CPU from one generator per epoch and batch, so that it is the same on
every device, with any number of loader processes, and in a run that was interrupted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

N_MASKS = 2  # along each axis
WIDEST_MASK = 1 / 8  # of the axis
_STREAM = 1  # tells this generator from the one that draws the order of an epoch


@dataclass(frozen=True, kw_only=True)
class BatchAugmentation:
    """Mixes and masks batches of training clips; ``batch_augmentation`` of a ``TrainerRecipe``.

    Attributes:
        n_classes: Width of the targets.
        seed: Of everything drawn.
        mixup_alpha: Both parameters of the beta distribution of ``mixup``; 0: no mixing.
        spec_augment: Mask stripes of time and of frequency.
        silence: What a mask is filled with: silence in a network input.
    """

    n_classes: int
    seed: int = 0
    mixup_alpha: float = 0.0
    spec_augment: bool = False
    silence: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.mixup_alpha < math.inf:
            raise ValueError(f"mixup_alpha must be at least 0, got {self.mixup_alpha}")

    def __call__(
        self, features: Tensor, labels: Tensor, epoch: int, batch_index: int
    ) -> tuple[Tensor, Tensor]:
        """Alter a batch.

        Args:
            features: Shape ``(batch, 1, time, freq)``; it is not changed.
            labels: Class indices, shape ``(batch,)``, or targets that may be mixed, shape
                ``(batch, any)``.
            epoch: Number of the epoch.
            batch_index: Number of the batch in it.

        Returns:
            Features of the same shape, and targets: class probabilities, shape
            ``(batch, n_classes)``, if clips are mixed, else the labels. Other targets keep their
            shape.
        """
        rng = np.random.default_rng([self.seed, epoch, batch_index, _STREAM])
        targets = labels
        if self.mixup_alpha:
            share = rng.beta(self.mixup_alpha, self.mixup_alpha, len(features))
            partner = rng.permutation(len(features))
            features, targets = mixup(
                features,
                F.one_hot(labels, self.n_classes).float() if labels.ndim == 1 else labels,
                _sent(share.astype(np.float32), features.device),
                _sent(partner, features.device),
            )
        if self.spec_augment:
            n_clips, _, n_frames, n_bins = features.shape
            in_time = _sent(draw_masks(n_clips, n_frames, rng), features.device)
            in_frequency = _sent(draw_masks(n_clips, n_bins, rng), features.device)
            masked = in_time[:, None, :, None] | in_frequency[:, None, None, :]
            features = features.masked_fill(masked, self.silence)
        return features, targets


def _sent(values: np.ndarray, device: torch.device) -> Tensor:
    """Return an array as a tensor of a device, without waiting for what that has to do."""
    tensor = torch.from_numpy(values)
    if device.type == "cuda" and torch.cuda.is_available():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def mixup(
    features: Tensor, targets: Tensor, share: Tensor, partner: Tensor
) -> tuple[Tensor, Tensor]:
    """Mix each clip with another one.

    After Zhang et al., mixup: beyond empirical risk minimization (ICLR 2018), with a share of its
    own for each clip.

    Args:
        features: Shape ``(batch, 1, time, freq)``.
        targets: Class probabilities, shape ``(batch, classes)``.
        share: What stays of each clip, 0 to 1, shape ``(batch,)``.
        partner: Index of the clip that is mixed into each, shape ``(batch,)``.

    Returns:
        Mixed features and mixed targets.
    """
    weight = share[:, None, None, None]
    mixed = weight * features + (1 - weight) * features[partner]
    weight = share[:, None]
    return mixed, weight * targets + (1 - weight) * targets[partner]


def draw_masks(n_clips: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the masks of one axis (Park et al., SpecAugment, Interspeech 2019; no time warping).

    Each clip has ``N_MASKS``. A width is any whole number from 0 to ``WIDEST_MASK`` of the axis, a
    place any that the mask fits into; masks may overlap.

    Returns:
        True where masked, shape ``(n_clips, length)``.
    """
    width = rng.integers(int(WIDEST_MASK * length) + 1, size=(n_clips, N_MASKS, 1))
    start = rng.integers(length - width + 1)
    place = np.arange(length)
    return ((place >= start) & (place < start + width)).any(1)
