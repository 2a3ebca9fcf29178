"""Clips of earlier runs whose events are gone, moved or of another class now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from animal_spot.cutting.report import CorpusClip
from animal_spot.cutting.tapes import Tape

FOLDER = ".stale"


def stale_clips(
    rows: Iterable[Mapping[str, str]], clips: Sequence[CorpusClip], tapes: Sequence[Tape]
) -> dict[str, str]:
    """Return the clips of these tapes that no event asks for any more, and why.

    Args:
        rows: Of ``labels.csv``; those without a table are background, and do not count.
        clips: That the events ask for.
        tapes: Of the recordings whose tables were read.
    """
    wanted = {os.path.splitext(clip.file)[0] for clip in clips}
    keys = {tape.key for tape in tapes}
    places = {_place(clip): clip.plan.class_name for clip in clips}
    stale = {}
    for row in rows:
        if not row.get("table") or row.get("tape") not in keys:
            continue
        stem = os.path.splitext(row["file"])[0]
        if stem in wanted:
            continue
        now = places.get(tuple(stem.split("_")[-3:]))
        is_other = now is not None and now != row.get("label")
        stale[row["file"]] = (
            f"its event is of the class {now!r} now" if is_other else "no event gives it now"
        )
    return stale


def set_aside(folder: Path, files: Iterable[str]) -> None:
    """Move clips into a hidden folder of their corpus, which no program reads.

    Raises:
        OSError: If one cannot be moved.
    """
    for file in files:
        target = folder / FOLDER / file
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / file, target)


def _place(clip: CorpusClip) -> tuple[str, ...]:
    """Return tape, begin and end as its name has them."""
    return tuple(os.path.splitext(clip.file)[0].split("_")[-3:])
