"""What can be said of what was found, and of several who say it, what counts. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

VERDICTS = ("right", "wrong", "other", "unsure", "skip")
KNOWN = ("right", "wrong", "other")  # verdicts of who could tell
OPEN = "open"  # the state of what nobody decided
STATES = (OPEN, *VERDICTS)
DECIDED = "decided"  # any state but open
LETTERS = {OPEN: "-"} | {name: name[0] for name in VERDICTS}  # of states


def joint(said: Iterable[tuple[str, str | None]]) -> tuple[str, str | None] | None:
    """Put verdicts together, each with the class that is heard instead.

    Who is unsure or skipped outvotes nobody who could tell. Where those differ it is unsure.

    Returns:
        Verdict and class; None: nobody said anything.
    """
    every = set(said)
    known = {one for one in every if one[0] in KNOWN}
    if len(known) == 1:
        return known.pop()
    if known or any(verdict == "unsure" for verdict, _ in every):
        return "unsure", None
    return ("skip", None) if every else None
