"""Targets of windows that hold parts of calls, or two calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class SceneTargets:
    """Puts the target of a window together from those of whole clips; see ``scene_shares``.

    Args:
        labels: Class index of each training sample, below 0 where it has none.
        n_classes: Number of classes.
        noise_label: Index of the noise class, or None.
        of_clips: Makes the targets of whole clips from labels and indices, ``(batch, classes)`` or
            several times as wide; None: one-hot labels.
    """

    def __init__(
        self,
        labels: Sequence[int],
        n_classes: int,
        noise_label: int | None,
        of_clips: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        self._labels = torch.tensor(labels)
        self._n_classes = n_classes
        self._noise_label = noise_label
        self._of_clips = of_clips

    def __call__(self, labels: Tensor, indices: Tensor, weights: Tensor, second: Tensor) -> Tensor:
        """Return targets, as wide as those of whole clips; the sum is that of the weights.

        Args:
            labels: What the windows are counted as; only their device matters.
            indices: Of the samples, shape ``(batch,)``.
            weights: Of the clip, the second clip and the noise class, shape ``(batch, 3)``.
            second: Index of the second clip, shape ``(batch,)``.
        """
        own, other = (self._whole(i, labels.device) for i in (indices, second))
        targets = weights[:, :1] * own + weights[:, 1:2] * other
        if self._noise_label is not None:
            for first in range(0, targets.shape[1], self._n_classes):
                targets[:, first + self._noise_label] += weights[:, 2]
        return targets

    def _whole(self, indices: Tensor, device: torch.device) -> Tensor:
        self._labels = self._labels.to(device)  # once; so no step waits for the device
        labels = self._labels[indices]
        if self._of_clips is not None:
            return self._of_clips(labels, indices)
        return F.one_hot(labels, self._n_classes).float()
