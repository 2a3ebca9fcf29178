"""From labels, as people wrote them, to classes: a CSV with two columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LabelMap:
    """Class of each label.

    Attributes:
        classes: By label in Unicode form NFC; an empty text: left out.
    """

    classes: Mapping[str, str]

    def class_of(self, label: str) -> str | None:
        """Return the class of a label; None: left out, as are labels that the map does not have."""
        raise NotImplementedError


def read_label_map(path: Path) -> LabelMap:
    """Read a map: a CSV with the columns label and class.

    Raises:
        TableError: If it cannot be used.
        OSError: If it cannot be read.
    """
    raise NotImplementedError


def draft_text(counts: Mapping[str, int]) -> str:
    """Return the text of a map to edit, in which each label is its own class.

    Args:
        counts: Number of events of each label.
    """
    raise NotImplementedError
