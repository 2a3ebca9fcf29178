"""A loss that is no number: which clip or which setting is to blame."""

from __future__ import annotations

import math

from torch import Tensor
from torch.utils.data import DataLoader

from animal_spot.training.pass_sums import PassSums
from animal_spot.training.phase_result import Phase
from animal_spot.training.training_error import TrainingError

LARGEST_FEATURE = 1e6  # of a network input, which is 0 to 1 or a few units wide


def require_finite(
    sums: PassSums, loader: DataLoader, phase: Phase, epoch: int, *, lr: float, is_kept: bool
) -> None:
    """Make sure that the loss of a pass is a number.

    Args:
        sums: Of the pass.
        loader: Whose clips it was over.
        phase: Its name.
        epoch: Number of the epoch.
        lr: Learning rate.
        is_kept: Whether there is a checkpoint from before.

    Raises:
        TrainingError: If it is not, naming the clip, or else the learning rate.
    """
    if math.isfinite(float(sums.loss_sum)):
        return
    said = f"the {phase} loss of epoch {epoch} is not a number"
    if clip := _clip_out_of_bounds(loader, epoch, sums.first_bad):
        raise TrainingError(f"{said}, because of the clip {clip}: leave it out or repair it")
    raise TrainingError(
        f"{said}: the learning rate {lr:.2e} (--lr times --batch_size) is probably too high; lower "
        "--lr or set --gradient_clip_norm 1"
        + ("; the last good checkpoint is kept" if is_kept else "")
    )


def _clip_out_of_bounds(loader: DataLoader, epoch: int, batch: Tensor | None) -> str | None:
    """Return the clip of a batch whose features are no numbers, or out of all bounds."""
    if batch is None or batch < 0:
        return None
    loader.batch_sampler.undivided()
    loader.batch_sampler.start_at(epoch, int(batch))
    for key in next(iter(loader.batch_sampler), ()):
        features, _, index = loader.dataset[key]
        largest = float(features.abs().max())
        if not largest <= LARGEST_FEATURE:
            samples = getattr(loader.dataset, "samples", None)
            name = samples[index].name if samples else f"number {index}"
            return f"{name}, whose features are as large as {largest:g}"
    return None
