"""All figures of an evaluation, and as a table for the screen. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from footprints.scores import metrics
from footprints.scores.calibration import calibrated
from footprints.scores.intervals import wilson_interval


def score(
    raw: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    temperature: float,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute everything that is reported; a NaN becomes None.

    Args:
        raw: Uncalibrated probabilities ``(n, classes)``.
        labels: True classes ``(n,)``.
        classes: Names in index order.
        temperature: Of the model.
        seed: Of the bootstrap.
    """
    probabilities = calibrated(raw, temperature)
    matrix = metrics.confusion_matrix(labels, raw.argmax(1), len(classes))
    per_class = metrics.class_scores(matrix)
    intervals = metrics.bootstrap_intervals(matrix, seed=seed)
    n, n_right = len(labels), int(np.trace(matrix))
    result = {
        "photos": n,
        "accuracy": metrics.accuracy(matrix),
        "accuracy_interval": wilson_interval(n_right, n),
        "macro_precision": metrics.macro(per_class.precision),
        "macro_recall": metrics.macro(per_class.recall),
        "macro_recall_interval": intervals["macro_recall"],
        "macro_f1": metrics.macro(per_class.f1),
        "macro_f1_interval": intervals["macro_f1"],
        "top3_accuracy": metrics.top_k_accuracy(raw, labels, 3),
        "loss": metrics.negative_log_likelihood(probabilities, labels),
        "loss_uncalibrated": metrics.negative_log_likelihood(raw, labels),
        "expected_calibration_error": metrics.expected_calibration_error(probabilities, labels),
        "expected_calibration_error_uncalibrated": metrics.expected_calibration_error(raw, labels),
        "temperature": temperature,
        "baselines": metrics.baselines(per_class.support),
        "classes": list(classes),
        "per_class": [
            {
                "class": name,
                "support": int(per_class.support[i]),
                "predicted": int(per_class.predicted[i]),
                "precision": per_class.precision[i],
                "precision_interval": wilson_interval(per_class.correct[i], per_class.predicted[i]),
                "recall": per_class.recall[i],
                "recall_interval": wilson_interval(per_class.correct[i], per_class.support[i]),
                "f1": per_class.f1[i],
            }
            for i, name in enumerate(classes)
        ],
        "most_confused": [
            {"is": true, "named_as": named, "photos": count, "share": share}
            for true, named, count, share in metrics.most_confused(matrix, classes)
        ],
        "confusion": matrix.tolist(),
    }
    return _plain(result)


def answers_to_crops(
    crops: Sequence[str],
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    note: str = "",
) -> list[list[Any]]:
    """Return the answer to each crop as the rows of a table, its head first.

    Args:
        crops: What to call each.
        labels: Their true classes ``(n,)``.
        probabilities: Calibrated ones, ``(n, classes)``.
        classes: Names in index order.
        note: On the model, in the last column.
    """
    head = ["crop", "is", "right", *(f"{what}_{k}" for k in (1, 2, 3) for what in ("class", "p"))]
    head.append("note")
    rows: list[list[Any]] = [head]
    for crop, label, row in zip(crops, labels, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[:3]
        answers = [value for i in best for value in (classes[i], f"{row[i]:.4f}")]
        answers += [""] * (6 - len(answers))
        rows.append([crop, classes[label], int(best[0] == label), *answers, note])
    return rows


def table(scores: dict[str, Any]) -> str:
    """Return the figures for the screen."""
    width = max(len("class"), *(len(name) for name in scores["classes"]))
    lines = [f"{'class':{width}}  photos  precision  recall  95 % interval     F1"]
    for row in scores["per_class"]:
        low, high = (_figure(end) for end in row["recall_interval"])
        lines.append(
            f"{row['class']:{width}}  {row['support']:6}  {_figure(row['precision']):>9}  "
            f"{_figure(row['recall']):>6}  {low:>5} to {high:>5}  {_figure(row['f1']):>5}"
        )
    chance, majority = (scores["baselines"][name] for name in ("chance", "majority"))

    def with_interval(name: str) -> str:
        low, high = scores[f"{name}_interval"]
        return f"{_figure(scores[name])} ({_figure(low)} to {_figure(high)})"

    lines += [
        "",
        f"{scores['split']}, {scores['photos']} photos ({scores['note']})",
        f"accuracy         {with_interval('accuracy')}, top 3 {_figure(scores['top3_accuracy'])}",
        f"macro precision  {_figure(scores['macro_precision'])}",
        f"macro recall     {with_interval('macro_recall')}",
        f"macro F1         {with_interval('macro_f1')}",
        f"by chance        accuracy {_figure(chance['accuracy'])}, "
        f"macro F1 {_figure(chance['macro_f1'])}",
        f"always the most frequent class: accuracy {_figure(majority['accuracy'])}, "
        f"macro F1 {_figure(majority['macro_f1'])}",
        f"calibration error {_figure(scores['expected_calibration_error'])} "
        f"({_figure(scores['expected_calibration_error_uncalibrated'])} before the temperature "
        f"{scores['temperature']:.2f})",
    ]
    if scores.get("weakness"):
        lines.append(f"note: {scores['weakness']}")
    if scores["most_confused"]:
        lines += ["", "most confused (is, named as, photos)"]
        for pair in scores["most_confused"][:5]:
            lines.append(f"  {pair['is']}, {pair['named_as']}, {pair['photos']}")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _plain(value: Any) -> Any:
    """Return NumPy numbers as Python's, tuples as lists, NaN as None."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
