"""What prediction says of a photo, and how it is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from footprints.places.taken import TAKEN_COLUMNS, Taken
from footprints.scores.calibration import UNKNOWN
from footprints.system.text import csv_of


@dataclass(frozen=True)
class PrintAnswer:
    """One of several prints on a photo, by itself.

    Attributes:
        box_xyxy: In pixels of the upright photo.
        confidence: Of the detector, 0 to 1.
        best_class: The most probable class.
        probability: Of that class, calibrated.
    """

    box_xyxy: tuple[float, float, float, float]
    confidence: float
    best_class: str
    probability: float

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "box_xyxy": [round(float(value), 2) for value in self.box_xyxy],
            "confidence": _rounded(self.confidence),
            "best_class": self.best_class,
            "probability": _rounded(self.probability),
        }


@dataclass(frozen=True)
class Answer:
    """The animal of one photo.

    Attributes:
        source: The photo's file.
        name: The same relative to the folder that was asked for, fit for screens and tables.
        answer: Class name or group, or "unknown" where the best class is too doubtful.
        certain: False where the answer is "unknown".
        ranking: The best classes with calibrated probabilities, best first.
        box_xyxy: What was looked at, in pixels of the upright photo.
        detection_confidence: Of the detector, 0 to 1; None where it found nothing.
        print_found: False where the centre of the photo was used instead.
        width: Of the upright photo, in pixels.
        height: Of the upright photo, in pixels.
        taken: When and where the photo was taken.
        group_probability: Where the answer is a group, its probability.
        probabilities: Of all classes, calibrated, before any region; empty where not kept.
        strangeness: Score of the model's refusal; None of a model without one.
        phash: Of the photo, see ``pictures.similarity``.
        prints: What it is the answer of, if that is all prints on the photo.
        further: What options added: names and values of further columns, the same ones in all
            answers of a run.
    """

    source: Path
    name: str
    answer: str
    certain: bool
    ranking: tuple[tuple[str, float], ...]
    box_xyxy: tuple[float, float, float, float]
    detection_confidence: float | None
    print_found: bool
    width: int
    height: int
    taken: Taken = field(default_factory=Taken)
    group_probability: float | None = None
    probabilities: tuple[float, ...] = field(default=(), repr=False)
    strangeness: float | None = None
    phash: str | None = None
    prints: tuple[PrintAnswer, ...] = ()
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def probability(self) -> float:
        """Of the answer; of the best class where that is unknown."""
        best = self.ranking[0][1]
        return best if self.group_probability is None else self.group_probability

    def record(self) -> dict[str, Any]:
        """Return the answer for JSON."""
        return {
            "photo": self.name,
            "answer": self.answer,
            "certain": self.certain,
            "top": [{"class": name, "probability": round(p, 6)} for name, p in self.ranking],
            "box_xyxy": [round(float(value), 2) for value in self.box_xyxy],
            "print_found": self.print_found,
            "detection_confidence": _rounded(self.detection_confidence),
            "width": self.width,
            "height": self.height,
            **self.taken.record(),
            **self.further,
            **({"boxes": [one.record() for one in self.prints]} if self.prints else {}),
        }


@dataclass(frozen=True)
class Failure:
    """A photo that could not be used, and why; ``name`` and ``taken`` as in ``Answer``."""

    name: str
    reason: str
    taken: Taken = field(default_factory=Taken)

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"photo": self.name, "reason": self.reason, **self.taken.record()}


def rank(
    probabilities: np.ndarray, classes: Sequence[str], top_k: int, threshold: float
) -> tuple[str, bool, tuple[tuple[str, float], ...]]:
    """Turn the probabilities of one photo into an answer.

    Args:
        probabilities: Calibrated, shape ``(classes,)``.
        classes: Names in the same order.
        top_k: Length of the ranking; no longer than there are classes.
        threshold: The best class must be at least so probable.

    Returns:
        The answer, whether it is certain, and the best classes with their probabilities. Equal
        probabilities stay in the order of the classes.
    """
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    ranking = tuple((classes[i], float(probabilities[i])) for i in order)
    certain = ranking[0][1] >= threshold
    return ranking[0][0] if certain else UNKNOWN, certain, ranking


def answers_csv(answers: Sequence[Answer], top_k: int, note: str = "") -> str:
    """Write answers as a table, one line a photo; the note is on the model.

    What options add comes last, so that older columns stay where they were.
    """
    further = list(answers[0].further) if answers else []
    header = ["photo", "answer", "probability"]
    header += [f"{what}_{k}" for k in range(1, top_k + 1) for what in ("class", "probability")]
    header += [
        "print_found",
        "detection_confidence",
        "x1",
        "y1",
        "x2",
        "y2",
        "width",
        "height",
        "note",
        *TAKEN_COLUMNS,
        *further,
    ]
    rows = []
    for answer in answers:
        ranking = [cell for name, p in answer.ranking for cell in (name, f"{p:.4f}")]
        confidence = answer.detection_confidence
        rows.append(
            [
                answer.name,
                answer.answer,
                f"{answer.probability:.4f}",
                *ranking,
                "yes" if answer.print_found else "no",
                "" if confidence is None else f"{confidence:.4f}",
                *(f"{value:.1f}" for value in answer.box_xyxy),
                answer.width,
                answer.height,
                note,
                *answer.taken.cells(),
                *(_cell(answer.further[name]) for name in further),
            ]
        )
    return csv_of([header, *rows])


def failures_csv(failures: Sequence[Failure]) -> str:
    """Write what could not be used as a table; the header alone if there is nothing."""
    rows = [[failure.name, failure.reason, *failure.taken.cells()] for failure in failures]
    return csv_of([["photo", "reason", *TAKEN_COLUMNS], *rows])


def screen_table(answers: Sequence[Answer], most: int | None = None) -> str:
    """Lay answers out for a screen.

    Args:
        answers: One line each.
        most: Show so many lines and count the rest; None shows all.
    """
    shown = answers if most is None else answers[:most]
    photo = max([len("photo"), *(len(a.name) for a in shown)])
    name = max([len("answer"), *(len(a.answer) for a in shown)])
    lines = [f"{'photo':{photo}}  {'answer':{name}}  print  probabilities"]
    for a in shown:
        found = "none" if a.detection_confidence is None else f"{a.detection_confidence:.2f}"
        ranking = ", ".join(f"{label} {p:.0%}" for label, p in a.ranking)
        if a.group_probability is not None:
            ranking = f"{a.answer} {a.group_probability:.0%}: {ranking}"
        lines.append(f"{a.name:{photo}}  {a.answer:{name}}  {found:>5}  {ranking}")
    if len(shown) < len(answers):
        lines.append(f"... and {len(answers) - len(shown)} more")
    return "\n".join(lines)


def summary(answers: Sequence[Answer]) -> str:
    """Count answers by name, most frequent first, "unknown" last."""
    counts = Counter(a.answer for a in answers if a.certain).most_common()
    counts += [(UNKNOWN, n)] if (n := sum(not a.certain for a in answers)) else []
    return ", ".join(f"{name} {count}" for name, count in counts)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else value


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(float(number), 6)
