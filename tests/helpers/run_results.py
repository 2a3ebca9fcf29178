"""Files ``results.json`` of trainings that never were, as ``train`` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.training.config import TrainConfig, as_dict


def partition(
    names: Sequence[str], counts: Sequence[Sequence[int]], probability: float | None = 0.75
) -> dict[str, Any]:
    """Return what is said of a part of the split.

    Args:
        names: Classes.
        counts: Confusion matrix ``[true][predicted]``.
        probability: Of all wrong answers; None: as in runs of earlier versions.
    """
    matrix = np.array(counts)
    rows = []
    for i, name in enumerate(names):
        clips, correct = int(matrix[i].sum()), int(matrix[i, i])
        accuracy = correct / clips if clips else None
        limits = [max(0, accuracy - 0.123456), min(1, accuracy + 0.05)] if clips else None
        rows.append(
            {
                "class": name,
                "clips": clips,
                "correct": correct,
                "accuracy": accuracy,
                "interval_95": limits,
            }
        )
    said = {} if probability is None else {"probability": probability}
    wrong = [
        {"file": f"{t}-x_{i}{j}{k}_2020_T_0_1.wav", "true": t, "predicted": p, **said}
        for i, t in enumerate(names)
        for j, p in enumerate(names)
        if i != j
        for k in range(matrix[i, j])
    ]
    known = [row["accuracy"] for row in rows if row["accuracy"] is not None]
    return {
        "loss": 0.5,
        "accuracy": float(np.trace(matrix) / matrix.sum()),
        "macro_accuracy": float(np.mean(known)),
        "classes": rows,
        "confusion_matrix": matrix.tolist(),
        "most_confused": [],
        "wrong_clips": wrong,
    }


def training(names: Sequence[str], test: Sequence[Sequence[int]], **changes: Any) -> dict[str, Any]:
    """Return the results of a training; ``changes`` are settings."""
    content = {
        "model": "ANIMAL-SPOT.pk",
        "model_digest": "0" * 32,
        "data": "1" * 32,
        "settings": json.loads(json.dumps(as_dict(TrainConfig(**changes)))),
        "precision": "fp32",
        "versions": {"python": "3.11.7", "torch": "2.14.1"},
        "classes": {name: i for i, name in enumerate(names)},
        "noise_class": None,
        "warnings": [],
        "clips": {"train": 70, "val": 15, "test": int(np.sum(test))},
        "excluded_files": 0,
        "partitions": {"val": partition(names, test), "test": partition(names, test)},
    }
    return content


def write_results(folder: Path, content: Any) -> Path:
    """Write ``results.json`` into a folder, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
