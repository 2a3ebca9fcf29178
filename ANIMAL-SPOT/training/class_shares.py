"""How often each class comes in an epoch, and the loss that makes up for it."""

from __future__ import annotations

import logging

import numpy as np

from animal_spot.data.corpus import Corpus
from animal_spot.data.labels import names_by_index
from animal_spot.data.sampling import draw_probabilities
from animal_spot.training.config import TrainConfig
from animal_spot.training.distillation import DistillationLoss
from animal_spot.training.losses import SharedTargetsLoss, TrainingLoss

log = logging.getLogger(__name__)


def draw_shares(config: TrainConfig, corpus: Corpus) -> np.ndarray | None:
    """Return how likely each training clip is in a draw; None: each comes once an epoch."""
    if not config.weighted_sampling:
        return None
    shares = draw_probabilities(
        corpus.samples["train"],
        len(corpus.classes),
        strategy=config.sampling_strategy,
        rare_class_boost=config.rare_class_boost,
        balance_tapes=config.balance_tapes,
    )
    _log_shares(config, corpus, shares)
    return shares


def training_loss(
    config: TrainConfig, corpus: Corpus, shares: np.ndarray | None
) -> TrainingLoss | SharedTargetsLoss | DistillationLoss:
    """Return what training minimises.

    Args:
        config: Settings.
        corpus: Clips.
        shares: Of ``draw_shares``.
    """
    loss = TrainingLoss(
        _clips_of_an_epoch(corpus, shares),
        class_weighting=config.class_weighting,
        focal_gamma=config.focal_gamma if config.loss == "focal" else None,
        label_smoothing=config.label_smoothing,
        logit_adjustment=config.logit_adjustment,
    )
    if config.distill is None:
        return SharedTargetsLoss(loss) if config.scene_limits.is_on else loss
    return DistillationLoss(loss, config.distill_weight, config.distill_temperature)


def _log_shares(config: TrainConfig, corpus: Corpus, shares: np.ndarray) -> None:
    drawn, there = (
        100 * _clips_of_an_epoch(corpus, chances) / len(shares) for chances in (shares, None)
    )
    log.info(
        "classes are drawn by %s%s: %s",
        config.sampling_strategy,
        ", tapes of a class equally often" if config.balance_tapes else "",
        ", ".join(
            f"{name} {drawn[i]:.1f} % (of the clips {there[i]:.1f} %)"
            for i, name in enumerate(names_by_index(corpus.classes))
        ),
    )


def _clips_of_an_epoch(corpus: Corpus, shares: np.ndarray | None) -> np.ndarray:
    """Return how many clips of each class an epoch has, or is expected to have."""
    labels = [sample.label for sample in corpus.samples["train"]]
    weights = None if shares is None else shares * len(labels)
    return np.bincount(labels, weights, minlength=len(corpus.classes))
