"""The settings of a trial of a search: read back from what was drawn, written as a preset."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial

from animal_spot.experiments.search_space import suggest
from animal_spot.settings.presets import preset_text
from animal_spot.training.config import FREE_TO_CHANGE, TrainConfig, as_dict, build_parser

# What a preset does not hold: settings of a run, not of a recipe, and files of this machine.
_NOT_OF_A_PRESET = FREE_TO_CHANGE | {
    *("seed", "folds", "cuda", "num_classes", "start_scratch"),
    *("noise_dir", "background_dir", "pretrained_weights", "init_digest"),
}

log = logging.getLogger("TUNE")


def settings_of(trial: FrozenTrial, base: TrainConfig) -> TrainConfig:
    """Return the settings of a trial, by what was drawn for it and nothing else.

    Raises:
        ValueError: If that is not within the search space.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna only warns of a value out of its range
        try:
            return dataclasses.replace(base, **suggest(FixedTrial(dict(trial.params)), base))
        except (TypeError, ValueError, LookupError, Warning) as error:
            raise ValueError(f"trial {trial.number} is not of this search: {error}") from error


def is_of_search(trial: FrozenTrial, base: TrainConfig) -> bool:
    """Tell whether a trial is within the search space; warn if not."""
    try:
        settings_of(trial, base)
    except ValueError as error:
        log.warning("%s; it does not count", error)
        return False
    return True


def preset_of(best: FrozenTrial, base: TrainConfig) -> str:
    """Return the text of a preset with the settings of the best trial."""
    values = {
        name: _plain(value)
        for name, value in as_dict(settings_of(best, base)).items()
        if name not in _NOT_OF_A_PRESET and _plain(value) != _plain(getattr(TrainConfig, name))
    }
    title = (
        f"Found by tune.py: trial {best.number}, mean of classes {best.value:.3f} in "
        f"{base.folds}-fold cross-validation.\nIt is the best of several, so it flatters; judge "
        "it on the test clips, or with --folds on other data."
    )
    return preset_text(values, build_parser(), title)


def in_words(params: dict[str, Any]) -> str:
    """Return what was drawn for a trial, for the log."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
