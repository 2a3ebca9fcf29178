"""What a review holds, read for a report."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from animal_spot.reporting.sources import SourceError
from animal_spot.reviewing.agreement import agreement
from animal_spot.reviewing.judged import Judged, judged
from animal_spot.reviewing.project import Recording
from animal_spot.reviewing.queue import Queue
from animal_spot.reviewing.reading import ReadProject
from animal_spot.trust.summary import summary
from animal_spot.utils.typed import ContentError, parse_json, typed

PAUSE_S = 60.0  # longer between two decisions: the reviewer was away
_LARGEST_SETTING = 1_000_000  # characters


@dataclass(frozen=True)
class Reviewer:
    """What one reviewer did.

    Attributes:
        name: Of the reviewer.
        verdicts: How often each one counts, one for each detection.
        work_s: Time between decisions, without pauses.
        days: First and last day of decisions, UTC.
    """

    name: str
    verdicts: Counter[str]
    work_s: float
    days: tuple[str, str]


@dataclass(frozen=True)
class Reviewed:
    """A review at one moment.

    Attributes:
        path: Its file.
        recordings: All of them.
        totals: As ``Queue.totals`` says.
        summary: As ``trust.summary`` says.
        judged: What was decided, by recording and time.
        reviewers: Who decided.
        pairs: How each two of them agree, see ``agreement``.
        predictions: Folder of the prediction; None: not known.
    """

    path: Path
    recordings: Sequence[Recording]
    totals: dict[str, Any]
    summary: dict[str, Any]
    judged: Sequence[Judged]
    reviewers: Sequence[Reviewer]
    pairs: Sequence[dict[str, Any]]
    predictions: Path | None


def read_review(path: Path) -> Reviewed:
    """Read a review, which is not changed, and may go on meanwhile.

    Raises:
        SourceError: If its file is damaged, or none of a review.
        OSError: If it cannot be read.
    """
    with _named(path), contextlib.closing(ReadProject(path)) as project:
        _require_settings(project)
        queue = Queue(project)
        answers = queue.answers()
        threshold = project.setting("threshold")
        names = {row[0] for row in answers}
        found = summary(
            answers,
            thresholds={} if threshold is None else dict.fromkeys(names, threshold),
            seed=project.setting("seed", 0),
        )
        counting = project.counting()
        ids = sorted({row["detection_id"] for row in counting})
        predicted = {row["id"]: row["class"] for row in project.detections(ids)}
        pairs = agreement([row | {"predicted": predicted[row["detection_id"]]} for row in counting])
        folder = project.setting("predictions")
        return Reviewed(
            *(path, project.recordings(), queue.totals(), found, judged(project)),
            *(_reviewers(project, counting), pairs),
            None if folder is None else Path(folder),
        )


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let every error name the file."""
    try:
        yield
    except (sqlite3.Error, ValueError, LookupError) as error:
        text = str(error)
        raise SourceError(text if str(path) in text else f"{path} is damaged: {text}") from error


def _require_settings(project: ReadProject) -> None:
    """Make sure that the settings in use are what they should be.

    Raises:
        ContentError: If one is not.
    """
    wanted = {
        "threshold": float | None,
        "seed": int | None,
        "predictions": str | None,
        "run": int | None,
    }
    for key, kind in wanted.items():
        row = project.db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        if row is not None:
            if len(row[0]) > _LARGEST_SETTING:
                raise ContentError(f"the setting {key} is too large")
            typed(kind, parse_json(row[0].encode(), key), key)


def _reviewers(project: ReadProject, counting: Sequence[dict[str, Any]]) -> list[Reviewer]:
    verdicts: dict[str, Counter[str]] = {}
    for row in counting:
        verdicts.setdefault(row["reviewer"], Counter())[row["verdict"]] += 1
    moments: dict[str, list[datetime]] = {}
    # Those taken back were work too.
    for who, at in project.db.execute("SELECT DISTINCT reviewer, at FROM decisions"):
        moments.setdefault(who, []).append(datetime.fromisoformat(at))
    return [
        Reviewer(name, verdicts[name], work_s(moments[name]), _days(moments[name]))
        for name in sorted(verdicts)
    ]


def work_s(moments: Sequence[datetime]) -> float:
    """Return how long somebody worked, by when decisions were made; pauses do not count."""
    gaps = (
        (later - earlier).total_seconds() for earlier, later in itertools.pairwise(sorted(moments))
    )
    return sum(gap for gap in gaps if gap <= PAUSE_S)


def _days(moments: Sequence[datetime]) -> tuple[str, str]:
    return min(moments).date().isoformat(), max(moments).date().isoformat()


def review_of(folder: Path) -> Path | None:
    """Return the newest file of a review of what was found, where such a file usually lies.

    That is in the folder above, or where the program was started. Of a folder that was moved with
    the file beside it, the name is enough.

    Args:
        folder: Of a prediction.
    """
    places = dict.fromkeys((folder.resolve().parent, Path.cwd()))
    found = [path for place in places for path in place.glob("*.sqlite") if path.is_file()]
    own = [path for path in found if _is_of(path, folder.resolve())]
    return max(own, key=lambda path: path.stat().st_mtime, default=None)


def _is_of(path: Path, folder: Path) -> bool:
    try:
        with contextlib.closing(ReadProject(path)) as project:
            _require_settings(project)
            kept = project.setting("predictions")
    except (OSError, ValueError, sqlite3.Error):
        return False
    if kept is None:
        return False
    was_moved = not Path(kept).exists() and path.resolve().parent == folder.parent
    return Path(kept) == folder or (was_moved and Path(kept).name == folder.name)
