"""What a model makes of untouched photos and of reviewed prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from footprints.network.backbones import import_keras
from footprints.network.keras_file import SavedModel, load_model
from footprints.network.loader import CropLoader
from footprints.network.model_facts import has_score
from footprints.network.phase import predict_batches
from footprints.network.prepared_set import PreparedSet
from footprints.network.strangeness import Runner, divided
from footprints.pictures.scales import mean_over_scales
from footprints.pictures.views import mean_over_views
from footprints.retraining.examples import Example
from footprints.scores.calibration import UNKNOWN, calibrated, threshold_in_use
from footprints.scores.groups import groups_of
from footprints.scores.intervals import wilson_interval
from footprints.scores.judging import Judgement, Rules, judge
from footprints.scores.report import score

FIGURES = ("accuracy", "macro_f1", "unknown_share")
_AT_ONCE = 64  # pictures


@dataclass(frozen=True)
class Measured:
    """What one model says.

    Attributes:
        on_part: Figures on a part of the prepared set, see ``figures``.
        of_others: Answers to the photos of other animals in that part.
        raw: Uncalibrated probabilities of reviewed prints, ``(prints, classes)``.
        answers: To reviewed prints.
        classes: Of the model.
        temperature: Of the model.
    """

    on_part: dict[str, Any]
    of_others: Sequence[Judgement]
    raw: np.ndarray
    answers: Sequence[Judgement]
    classes: tuple[str, ...]
    temperature: float

    def on(self, examples: Sequence[Example], numbers: Sequence[int]) -> dict[str, Any] | None:
        """Return the figures on some of the reviewed prints; None without any.

        Args:
            examples: All, as they were asked.
            numbers: Of prints of the model's classes.
        """
        if not numbers:
            return None
        labels = np.array([self.classes.index(examples[i].label) for i in numbers])
        answers = [self.answers[i] for i in numbers]
        return figures(self.raw[list(numbers)], labels, self.classes, self.temperature, answers)


def measure(path: Path, prepared: PreparedSet, split: str, examples: Sequence[Example]) -> Measured:
    """Ask a model about a part of a prepared set and about reviewed prints.

    Raises:
        UserError: If model or pictures cannot be read, or do not belong together.
    """
    saved = load_model(path)
    prepared = prepared.with_classes(saved.classes, str(path))
    loader = CropLoader(prepared, split, in_memory=False)
    rules = Rules(
        saved.classes,
        threshold_in_use(saved.metadata),
        min(3, len(saved.classes)),
        groups_of(saved.metadata),
        refusal=saved.refusal,
    )
    model, n_classes = saved.model, len(saved.classes)
    if has_score(saved.metadata):
        model = Runner(saved.model, n_classes, saved.refusal)
    said = predict_batches(model, loader, views=saved.views)
    raw, answers = _answers(said, saved, rules)
    labels = loader.photo_labels
    n = int((labels < n_classes).sum())  # other animals come last
    on_part = figures(raw[:n], labels[:n], saved.classes, saved.temperature, answers[:n])
    raw, of_examples = _answers(_of_examples(model, saved, examples), saved, rules)
    import_keras().backend.clear_session()
    return Measured(on_part, answers[n:], raw, of_examples, saved.classes, saved.temperature)


def figures(
    raw: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    temperature: float,
    answers: Sequence[Judgement],
) -> dict[str, Any]:
    """Return ``photos`` and each of ``FIGURES`` with its 95 % interval, as evaluate has them.

    Args:
        raw: Uncalibrated probabilities ``(photos, classes)``.
        labels: True classes ``(photos,)``.
        classes: Names in index order.
        temperature: Of the model.
        answers: Of ``judging.judge``.
    """
    scores = score(raw, labels, classes, temperature)
    n, n_unknown = len(labels), sum(one.level == UNKNOWN for one in answers)
    kept = ("photos", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")
    return {name: scores[name] for name in kept} | {
        "unknown_share": n_unknown / n,
        "unknown_share_interval": list(wilson_interval(n_unknown, n)),
    }


def _answers(
    said: np.ndarray, saved: SavedModel, rules: Rules
) -> tuple[np.ndarray, list[Judgement]]:
    """Return uncalibrated probabilities ``(n, classes)`` and answers."""
    rule = None if saved.refusal is None else saved.refusal.rule
    raw, strangeness = divided(said, len(saved.classes), rule)
    scores = [None] * len(raw) if strangeness is None else strangeness
    rows = calibrated(raw, saved.temperature)
    return raw, [judge(row, rules, one) for row, one in zip(rows, scores, strict=True)]


def _of_examples(model: Any, saved: SavedModel, examples: Sequence[Example]) -> np.ndarray:
    """Return what a model says of reviewed prints, ``(prints, outputs)``."""
    paths = [one.pictures[scale] for scale in saved.scales for one in examples]
    said = []
    for start in range(0, len(paths), _AT_ONCE):
        pictures = np.stack([_read(path) for path in paths[start : start + _AT_ONCE]])
        said.append(mean_over_views(model.predict_on_batch, pictures, saved.views))
    return mean_over_scales(np.concatenate(said), len(saved.scales))


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
