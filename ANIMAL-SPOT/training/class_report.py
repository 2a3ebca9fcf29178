"""What a run found out, for people and for programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from animal_spot.training.phase_result import PhaseResult
from animal_spot.utils.files import write_text_atomic
from animal_spot.utils.intervals import wilson_interval
from animal_spot.utils.metrics import most_confused

if TYPE_CHECKING:
    from collections.abc import Sequence

N_SUREST = 6  # clips of each class, kept as examples


def class_rows(result: PhaseResult, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each class: name, clips, correct, accuracy and its 95 % Wilson interval.

    The accuracy and the interval of an absent class are None.
    """
    rows = []
    for index, name in enumerate(names):
        clips = int(result.confusion[index].sum())
        correct = int(result.confusion[index, index])
        low, high = wilson_interval(correct, clips)
        rows.append(
            {
                "class": name,
                "clips": clips,
                "correct": correct,
                "accuracy": correct / clips if clips else None,
                "interval_95": [low, high] if clips else None,
            }
        )
    return rows


def class_table(result: PhaseResult, names: Sequence[str]) -> list[str]:
    """Return the lines of the table of accuracies per class, with the most confused pairs."""
    width = max(len(name) for name in [*names, "mean of classes"])
    head = f"{'class':<{width}} {'clips':>6} {'correct':>8} {'accuracy':>9}   95 % interval"
    lines = [f"accuracy per class on {result.phase}", head]
    rows = class_rows(result, names)
    total, right = sum(r["clips"] for r in rows), sum(r["correct"] for r in rows)
    for row in rows:
        line = f"{row['class']:<{width}} {row['clips']:>6} {row['correct']:>8} "
        if row["clips"]:
            low, high = row["interval_95"]
            line += f"{row['accuracy']:>9.1%}   {low:.1%} to {high:.1%}"
        else:
            line += f"{'absent':>9}"
        lines.append(line)
    low, high = wilson_interval(right, total)
    lines.append(
        f"{'all clips':<{width}} {total:>6} {right:>8} {result.accuracy:>9.1%}   "
        f"{low:.1%} to {high:.1%}"
    )
    lines.append(f"{'mean of classes':<{width}} {'':>6} {'':>8} {result.macro_accuracy:>9.1%}")
    pairs = most_confused(result.confusion, list(names))
    if pairs:
        lines.append("most confused: " + ", ".join(f"{t} taken for {p} ({n})" for t, p, n in pairs))
    return lines


def result_entry(result: PhaseResult, names: Sequence[str], files: Sequence[str]) -> dict[str, Any]:
    """Return what ``results.json`` says of one partition.

    Args:
        result: The phase.
        names: Class names in index order.
        files: Path of each clip of the partition.
    """
    wrong = (result.labels != result.predictions).nonzero().flatten().tolist()
    entry: dict[str, Any] = {
        "loss": result.loss,
        "accuracy": result.accuracy,
        "macro_accuracy": None if math.isnan(result.macro_accuracy) else result.macro_accuracy,
        "classes": class_rows(result, names),
        "confusion_matrix": result.confusion.tolist(),
        "most_confused": [
            {"true": t, "predicted": p, "clips": n}
            for t, p, n in most_confused(result.confusion, list(names))
        ],
        "wrong_clips": [_judged(result, i, names, files) for i in wrong],
        "surest_clips": [
            _judged(result, i, names, files)
            for label in range(len(names))
            for i in _surest(result, label)
        ],
    }
    if result.binary is not None:
        entry["binary"] = vars(result.binary)
    return entry


def _judged(
    result: PhaseResult, index: int, names: Sequence[str], files: Sequence[str]
) -> dict[str, Any]:
    """Return what is said of one clip, by its place in the pass."""
    return {
        "file": files[int(result.indices[index])],
        "true": names[int(result.labels[index])],
        "predicted": names[int(result.predictions[index])],
        "probability": round(float(result.answer_probabilities[index]), 6),
    }


def _surest(result: PhaseResult, label: int) -> list[int]:
    """Return the places of those right clips of a class whose answers were most probable."""
    right = ((result.labels == label) & (result.predictions == label)).nonzero().flatten().tolist()
    probabilities = result.answer_probabilities
    return sorted(right, key=lambda i: (-float(probabilities[i]), int(result.indices[i])))[
        :N_SUREST
    ]


def write_results(content: dict[str, Any], path: Path) -> None:
    """Write ``results.json``."""
    write_text_atomic(path, results_text(content))


def results_text(content: dict[str, Any]) -> str:
    """Return the text of ``results.json``."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
