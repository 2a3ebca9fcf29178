"""Options that say how clips are labelled; light to import."""

from __future__ import annotations

import re

LABELS_HELP = (
    "table with a row for each clip: file, label and, if wanted, start_s, end_s, tape, split; "
    "none: labels.csv in the data folder, else the names of the clips or a folder for each class"
)
TAPE_HELP = (
    "regular expression that finds the recording of a clip in its path (its group tape, or the "
    "first); none: by the names"
)


def check_pattern(pattern: str | None) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: If it is none.
    """
    if pattern is None:
        return
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--tape_pattern {pattern} is no regular expression: {error}") from None
