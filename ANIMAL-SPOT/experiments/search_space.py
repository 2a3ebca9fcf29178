"""What ``tune.py`` may change, and how far: all of it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from animal_spot.data.class_balance import STRATEGIES

if TYPE_CHECKING:
    from optuna import Trial

    from animal_spot.training.config import TrainConfig


def suggest(trial: Trial, base: TrainConfig) -> dict[str, Any]:
    """Draw settings for a trial.

    What cannot matter with the base settings is left out: the weight decay of an optimiser that
    has none, noise where there is none to mix in, augmentation that is off. Experimental options
    are as in the base settings.

    Args:
        trial: An Optuna trial.
        base: Settings that are kept, except for those returned.

    Returns:
        Values of fields of ``TrainConfig``.
    """
    if base.kind.hears == "embeddings":
        return {
            "embedding_head": trial.suggest_categorical("embedding_head", ["linear", "hidden"]),
            "embedding_l2": trial.suggest_float("embedding_l2", 1e-3, 3.0, log=True),
        }
    drawn: dict[str, Any] = {
        "lr": trial.suggest_float("lr", base.lr / 5, base.lr * 5, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [8, 16, 32]),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2, step=0.05),
        "ema_decay": trial.suggest_categorical("ema_decay", [None, 0.98, 0.99, 0.995]),
    }
    if base.optimizer == "adamw":
        drawn["weight_decay"] = trial.suggest_float("weight_decay", 1e-3, 0.3, log=True)
    if base.pretrained or base.init_from:
        drawn["backbone_lr_factor"] = trial.suggest_float("backbone_lr_factor", 0.03, 1.0, log=True)
        if base.kind.has_batch_norm:
            drawn["freeze_batch_norm"] = trial.suggest_categorical(
                "freeze_batch_norm", [False, True]
            )
    if base.augmentation:
        drawn["random_filter"] = trial.suggest_float("random_filter", 0.0, 9.0, step=1.5)
    if base.augmentation and (base.noise_dir or base.noise_from_class):
        drawn["noise_probability"] = trial.suggest_float("noise_probability", 0.0, 1.0, step=0.25)
    sampling = trial.suggest_categorical("sampling", ["as they come", *STRATEGIES])
    drawn["weighted_sampling"] = sampling in STRATEGIES
    if sampling in STRATEGIES:
        drawn["sampling_strategy"] = sampling
    else:  # what only counts with weighted sampling goes back to its default
        drawn |= {
            name: getattr(type(base), name)
            for name in ("sampling_strategy", "rare_class_boost", "balance_tapes")
        }
    return drawn
