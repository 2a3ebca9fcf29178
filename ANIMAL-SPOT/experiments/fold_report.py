"""The pooled result of a cross-validation: figures for ``results.json``, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from animal_spot.data.labels import names_by_index
from animal_spot.data.tape_folds import ClipPool
from animal_spot.experiments.fold_result import FoldResult
from animal_spot.model_files.model_file import FILE_NAME
from animal_spot.utils.metrics import ConfusionMatrix, most_confused
from animal_spot.utils.tape_bootstrap import (
    N_DRAWS,
    accuracies,
    class_intervals,
    draw_tapes,
    middle,
)


def summarise(results: Sequence[FoldResult], pool: ClipPool, seed: int) -> dict[str, Any]:
    """Pool the folds: what ``results.json`` says of them.

    Intervals are 95 % bootstrap intervals over tapes, see ``utils.tape_bootstrap``.
    """
    names = names_by_index(pool.classes)
    tape_of = {clip.path: clip.tape for clip in pool.clips}
    clips = sorted(
        _Judged(name, result.fold, label, predicted, probabilities, tape_of[name])
        for result in results
        for name, label, predicted, probabilities in zip(
            result.names,
            result.labels,
            result.predictions,
            result.probabilities.tolist(),
            strict=True,
        )
    )
    return {
        "folds": [_fold_entry(result, tape_of, len(names)) for result in results],
        "pooled": _pooled(clips, names, seed),
        "bootstrap": {"over": "tapes", "draws": N_DRAWS, "seed": seed, "interval": "percentile"},
        "clips": [
            {
                "file": clip.name,
                "tape": clip.tape,
                "fold": clip.fold + 1,
                "true": names[clip.label],
                "predicted": names[clip.predicted],
                "probabilities": clip.probabilities,
            }
            for clip in clips
        ],
    }


class _Judged(NamedTuple):
    """A clip, and what the network that never heard its tape said of it."""

    name: str
    fold: int
    label: int
    predicted: int
    probabilities: list[float]
    tape: str


def _pooled(clips: Sequence[_Judged], names: Sequence[str], seed: int) -> dict[str, Any]:
    labels, predictions = [c.label for c in clips], [c.predicted for c in clips]
    tapes = [c.tape for c in clips]
    confusion = ConfusionMatrix(len(names))
    confusion.update(torch.tensor(labels), torch.tensor(predictions))
    counts = confusion.get()
    per_class, macro = accuracies(labels, predictions, len(names))
    draws = draw_tapes(labels, predictions, tapes, len(names), seed=seed)
    intervals = class_intervals(draws, labels, tapes)
    return {
        "clips": len(clips),
        "tapes": len(set(tapes)),
        "accuracy": float(np.mean(np.equal(labels, predictions))),
        "accuracy_interval_95": middle(draws.accuracy),
        "macro_accuracy": macro,
        "macro_accuracy_interval_95": middle(draws.macro),
        "classes": [
            {
                "class": name,
                "clips": labels.count(i),
                "tapes": len({clip.tape for clip in clips if clip.label == i}),
                "correct": int(counts[i, i]),
                "accuracy": per_class[i],
                "interval_95": intervals[i],
            }
            for i, name in enumerate(names)
        ],
        "confusion_matrix": counts.tolist(),
        "most_confused": [
            {"true": t, "predicted": p, "clips": n} for t, p, n in most_confused(counts, names)
        ],
    }


def _fold_entry(result: FoldResult, tape_of: Mapping[str, str], n_classes: int) -> dict[str, Any]:
    right = np.equal(result.labels, result.predictions)
    return {
        "fold": result.fold + 1,
        "model": f"fold_{result.fold + 1}/{FILE_NAME}",
        "clips": result.clips,
        "tapes": len({tape_of[name] for name in result.names}),
        "accuracy": float(right.mean()),
        "macro_accuracy": accuracies(result.labels, result.predictions, n_classes)[1],
    }


def result_lines(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of a cross-validation, from what ``results.json`` holds."""
    pooled = content["pooled"]
    rows = pooled["classes"]
    total = {
        "class": "all clips",
        "clips": pooled["clips"],
        "tapes": pooled["tapes"],
        "correct": sum(row["correct"] for row in rows),
        "accuracy": pooled["accuracy"],
        "interval_95": pooled["accuracy_interval_95"],
    }
    mean = dict.fromkeys(("clips", "tapes", "correct"), "") | {
        "class": "mean of classes",
        "accuracy": pooled["macro_accuracy"],
        "interval_95": pooled["macro_accuracy_interval_95"],
    }
    width = max(len(row["class"]) for row in [*rows, mean])
    lines = [
        "accuracy per class, each clip judged by a network that never heard its tape",
        f"{'class':<{width}} {'clips':>6} {'tapes':>6} {'correct':>8} {'accuracy':>9}   "
        "95 % interval (over tapes)",
        *(_line(row, width) for row in [*rows, total, mean]),
    ]
    lines += [
        f"fold {f['fold']}: {f['clips']['test']} clips, {f['accuracy']:.1%} right, mean of "
        f"classes {f['macro_accuracy']:.1%}"
        for f in content["folds"]
    ]
    if pairs := pooled["most_confused"]:
        said = (f"{p['true']} taken for {p['predicted']} ({p['clips']})" for p in pairs)
        lines.append(f"most confused: {', '.join(said)}")
    return lines


def _line(row: Mapping[str, Any], width: int) -> str:
    line = f"{row['class']:<{width}} {row['clips']:>6} {row['tapes']:>6} {row['correct']:>8} "
    line += f"{'absent':>9}" if row["accuracy"] is None else f"{row['accuracy']:>9.1%}"
    if row["interval_95"] is not None:
        low, high = row["interval_95"]
        return f"{line}   {low:.1%} to {high:.1%}"
    return line if row["accuracy"] is None else f"{line}   unknown: one tape"
