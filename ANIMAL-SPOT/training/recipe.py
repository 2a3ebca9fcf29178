"""Settings as a recipe: what makes two runs the same, and which changes give weights a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import noise_class_of
from animal_spot.models.names import backbone
from animal_spot.settings.flags import marked
from animal_spot.training.config import FREE_TO_CHANGE, TrainConfig, as_dict

WAYS_OUT = "name another folder, or replace it with --start_from_scratch"


def recipe_of(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that make a run the run it is."""
    return {k: v for k, v in as_dict(config).items() if k not in FREE_TO_CHANGE}


def settled_recipe(config: TrainConfig, classes: Mapping[str, int]) -> dict[str, Any]:
    """Return the settings of a run, with the noise class and the number of classes as found."""
    names = names_by_index(classes)
    found = {"noise_class": noise_class_of(config.noise_class, names), "num_classes": len(names)}
    return recipe_of(config) | found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """Compare settings of two runs; what the older one does not say is taken for the default.

    Returns:
        Name of each setting that differs, and old and new value in words.
    """
    said = {}
    for name, value in now.items():
        old = before.get(name, getattr(TrainConfig, name, None))
        if name == "noise_class" and name not in before:
            continue
        if name == "num_classes" and old is None:  # as found, and classes are compared by name
            continue
        if _plain(old) != _plain(value):
            said[name] = f"{_flag(name)} was {old}, now {value}"
    return said


def _flag(name: str) -> str:
    """Return a setting as it is typed."""
    declared = TrainConfig.__dataclass_fields__.get(name)
    argument = declared.metadata.get("argument", {}) if declared is not None else {}
    return argument.get("flags", (f"--{name}",))[0]


def of_meaning(changed: Mapping[str, str], name: str) -> dict[str, str]:
    """Keep the changes that give the weights of a backbone of that name another meaning."""
    names = marked(TrainConfig, "meaning").union(backbone(name).options)
    return {name: text for name, text in changed.items() if name in names}


def beside_the_end(changed: Mapping[str, str]) -> dict[str, str]:
    """Leave out the changes that make a run longer or shorter."""
    return {k: text for k, text in changed.items() if k not in marked(TrainConfig, "end")}


def refuse_changes(changed: Mapping[str, str], path: Path, *, over: bool) -> None:
    """Refuse to go on from a checkpoint with settings that do not fit it.

    Args:
        changed: Settings that differ from those of the checkpoint.
        path: The checkpoint.
        over: Whether no epoch is left to train, so that they could not count any more.

    Raises:
        ValueError: If there are any.
    """
    if not changed:
        return
    why = "no epoch is left in which they could count" if over else "its weights are made for them"
    said = "; ".join(changed.values())
    raise ValueError(f"{path} is of a run with other settings, and {why}: {said}; {WAYS_OUT}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
