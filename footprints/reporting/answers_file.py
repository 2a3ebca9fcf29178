"""The table of answers to crops that training and evaluation write."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from footprints.system.errors import UserError
from footprints.system.files import path_inside, read_table
from footprints.system.text import printable


@dataclass(frozen=True)
class CropAnswer:
    """What a model said of a crop.

    Attributes:
        crop: Its path from the prepared set on.
        label: Its true class.
        answer: The most probable class.
        probability: Of that, 0 to 1.
        is_right: Whether the two are one.
    """

    crop: str
    label: str
    answer: str
    probability: float
    is_right: bool

    def path_in(self, folder: Path) -> Path | None:
        """Return where the crop lies in the prepared set, or None if it is not there."""
        try:
            path = path_inside(folder, self.crop)
        except ValueError:
            return None
        return path if path.is_file() else None


def read_answers(path: Path) -> list[CropAnswer]:
    """Return the rows of such a table; none if there is no file.

    Raises:
        UserError: If it cannot be read.
    """
    if not path.is_file():
        return []
    answers = []
    for number, row in enumerate(read_table(path), 2):
        try:
            probability = float(row["p_1"])
            if not 0 <= probability <= 1 or math.isnan(probability):
                raise ValueError
            label, answer = row["is"], row["class_1"]
            answers.append(CropAnswer(row["crop"], label, answer, probability, row["right"] == "1"))
        except (KeyError, ValueError):
            raise UserError(
                f"{printable(path)}: its line {number} is not as footprints wrote it"
            ) from None
    return answers
