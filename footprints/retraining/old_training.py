"""How a model was trained, as flags that train it again the same way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footprints.scores.groups import groups_of
from footprints.system.files import write_text
from footprints.system.text import csv_of

_FLAGS = {  # of stage real, by the name in the model's file
    "seed": "seed",
    "wanted_precision": "wanted_precision",
    "known_kept": "known_kept",
    "augmentation": "augmentation",
    "head epochs": "head_epochs",
    "head learning_rate": "lr_head",
    "head patience": "patience_real",
    "head batch_size": "batch_real",
    "head cached_views": "cached_views",
    "head monitor": "monitor",
    "fine epochs": "epochs_real",
    "fine learning_rate": "lr_real",
    "fine n_last": "unfreeze",
    "fine cached_views": "cached_views_fine",
}


def flags_of(facts: Mapping[str, Any], folder: Path) -> list[str]:
    """Return flags of ``train --stage real``.

    Args:
        facts: What the model's file says. Of a model of another stage, which learns otherwise, only
            views and groups are taken.
        folder: Where a table of the model's groups goes, if it has any.
    """
    training = facts.get("training")
    flags = []
    if isinstance(training, Mapping) and training.get("stage") == "real":
        for key, flag in _FLAGS.items():
            if isinstance(training.get(key), str | int | float):
                flags += [f"--{flag}", str(training[key])]
        if "head epochs" in training and "fine epochs" not in training:
            flags += ["--unfreeze", "0"]
        if training.get("class_weights") is True:
            flags.append("--class_weights")
    if facts.get("views") in (2, 8):
        flags += ["--views", str(facts["views"])]
    groups = groups_of(facts)
    if groups:
        rows = [(name, group) for group, names in groups.members.items() for name in names]
        write_text(folder / "groups.csv", csv_of([("class", "group"), *rows]))
        flags += ["--groups", str(folder / "groups.csv")]
    return flags
