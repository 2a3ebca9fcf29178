"""What reviewers said of a detection, as one answer. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

# Verdicts of a reviewer: it is the class, it is not, it is another class, cannot tell, not judged.
RIGHT, WRONG, OTHER, UNSURE, SKIP = "right", "wrong", "other", "unsure", "skip"
VERDICTS = (RIGHT, WRONG, OTHER, UNSURE, SKIP)
# One of these is the answer to a detection; None: nobody has seen it.
ANSWERS = (RIGHT, WRONG, UNSURE, SKIP)


def joint_answer(verdicts: Iterable[str]) -> str | None:
    """Make one answer of the standing verdicts of all reviewers of a detection.

    Who is unsure or skipped it does not outvote who knew. Where those who knew disagree nobody can
    tell, so it is unsure. Another class is as wrong for this class as no call at all.

    Args:
        verdicts: The last one of each reviewer.

    Returns:
        One of ``ANSWERS``, or None if there is no verdict.

    Raises:
        ValueError: If a verdict is unknown.
    """
    given = {WRONG if verdict == OTHER else verdict for verdict in verdicts}
    if unknown := given - set(ANSWERS):
        raise ValueError(f"verdicts are {', '.join(VERDICTS)}, got {', '.join(sorted(unknown))}")
    known = given & {RIGHT, WRONG}
    if len(known) == 1:
        return known.pop()
    if known or UNSURE in given:
        return UNSURE
    return SKIP if given else None
