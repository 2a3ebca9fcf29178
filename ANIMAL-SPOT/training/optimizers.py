"""From settings to an optimiser and its schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from animal_spot.training.config import TrainConfig


def build_optimizer(
    config: TrainConfig,
    model: nn.Sequential,
    *,
    fused: bool,
    head_is_new: bool = True,
    known_rows: Sequence[int] = (),
) -> Optimizer:
    """Build Adam or AdamW over ``encoder`` and ``classifier``.

    The learning rate is ``--lr`` times ``--batch_size``, for the encoder also times
    ``--backbone_lr_factor``. With ``--init_from`` both are also multiplied by ``--init_lr_factor``,
    but for rows of the classifier that are new: they have far to go. The first group is always one
    of the classifier, or all. With AdamW, norms and biases do not decay.

    Args:
        config: Settings.
        model: Network on its device.
        fused: Use one kernel for all weights.
        head_is_new: The classifier has rows of classes that it has not learned yet.
        known_rows: Its rows that the model of ``--init_from`` has learned.
    """
    full = config.lr * config.batch_size
    slower = full if config.init_from is None else full * config.init_lr_factor
    lr = full if head_is_new else slower
    if config.backbone_lr_factor == 1 and lr == slower:
        groups = [{"params": list(model.parameters()), "lr": lr}]
    else:
        groups = [
            {"params": list(model.classifier.parameters()), "lr": lr},
            {"params": list(model.encoder.parameters()), "lr": slower * config.backbone_lr_factor},
        ]
    betas = (config.beta1, 0.999)
    if config.optimizer == "adam":
        optimizer = torch.optim.Adam(groups, lr=lr, betas=betas, fused=fused)
    else:
        halves = [half for group in groups for half in _by_decay(group, config.weight_decay)]
        optimizer = torch.optim.AdamW(halves, lr=lr, betas=betas, fused=fused)
    if head_is_new and known_rows:
        _slow_down(optimizer, list(model.classifier.parameters()), known_rows, slower / full)
    return optimizer


def _slow_down(
    optimizer: Optimizer, head: Sequence[nn.Parameter], rows: Sequence[int], factor: float
) -> None:
    """Let rows of a last layer learn at a share of its rate.

    A step of Adam and of AdamW, decay included, is in proportion to the rate; so that share of the
    step is taken. (A smaller gradient would not do: Adam divides by its size.)
    """
    before: list[Tensor] = []

    def keep(*_: Any) -> None:
        before[:] = [values.detach()[rows] for values in head]

    @torch.no_grad()
    def shorten(*_: Any) -> None:
        for values, old in zip(head, before, strict=True):
            values[rows] = old.lerp(values[rows], factor)

    optimizer.register_step_pre_hook(keep)
    optimizer.register_step_post_hook(shorten)


def _by_decay(group: dict[str, Any], weight_decay: float) -> list[dict[str, Any]]:
    """Divide a group into weights, which decay, and norms and biases, which do not."""
    weights = [p for p in group["params"] if p.ndim > 1]
    scales = [p for p in group["params"] if p.ndim <= 1]
    return [
        group | {"params": weights, "weight_decay": weight_decay},
        group | {"params": scales, "weight_decay": 0.0},
    ]


def build_scheduler(
    config: TrainConfig, optimizer: Optimizer, steps_per_epoch: int
) -> LRScheduler | ReduceLROnPlateau:
    """Build the schedule; only ``plateau`` steps once a validation, the others once a batch."""
    total_steps = max(1, config.max_train_epochs * steps_per_epoch)
    if config.scheduler == "cosine":
        return WarmupCosine(
            optimizer,
            total_steps=total_steps,
            warmup_steps=round(config.warmup_epochs * steps_per_epoch),
        )
    if config.scheduler == "onecycle":
        full = config.lr * config.batch_size
        return OneCycleLR(
            optimizer,
            max_lr=[10 * config.lr * (g["lr"] / full) for g in optimizer.param_groups],
            total_steps=total_steps,
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,  # --beta1 stays what it was set to
        )
    return ReduceLROnPlateau(
        optimizer,
        mode="min" if config.val_metric == "loss" else "max",
        factor=config.lr_decay_factor,
        patience=config.in_validations(config.lr_patience_epochs),
        threshold=1e-3,
        threshold_mode="abs",
    )


class WarmupCosine(LRScheduler):
    """Learning rate that rises in a straight line and falls along half a cosine.

    With ``w`` steps of rise of ``T`` in all, step ``s`` (from 0) has ``(s + 1) / (w + 1)`` of the
    group's rate while ``s < w``, then ``(1 + cos(pi (s - w) / (T - w))) / 2``: the whole rate at
    ``s = w``, almost nothing at the last step (Loshchilov & Hutter, SGDR, ICLR 2017, without
    restarts).

    Args:
        optimizer: Its groups have their highest rates.
        total_steps: Batches of the whole training.
        warmup_steps: Batches of the rise; fewer than ``total_steps``.
    """

    def __init__(self, optimizer: Optimizer, *, total_steps: int, warmup_steps: int = 0) -> None:
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        """Return the rate of each group for the step that comes."""
        step, rise = self.last_epoch, self.warmup_steps
        if step < rise:
            factor = (step + 1) / (rise + 1)
        else:
            fallen = (step - rise) / max(1, self.total_steps - rise)
            factor = (1 + math.cos(math.pi * fallen)) / 2
        return [base * factor for base in self.base_lrs]
