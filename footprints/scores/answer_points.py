"""Answers as points on a map."""

from __future__ import annotations

from collections.abc import Sequence

from footprints.places.map_files import Point
from footprints.scores.answers import Answer


def points_of(answers: Sequence[Answer], note: str | None = None) -> list[Point]:
    """Return the answers to photos that say where they were taken; the note is on the model."""
    return [
        Point(
            answer.name,
            answer.answer,
            answer.taken,
            {
                "best_class": answer.ranking[0][0],
                "probability": round(answer.ranking[0][1], 4),
                "print_found": answer.print_found,
                **answer.further,
                **({"note": note} if note else {}),
            },
        )
        for answer in answers
        if answer.taken.has_place
    ]
