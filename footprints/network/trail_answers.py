"""One answer for all photos of a trail, from the answers to its photos."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from footprints.pictures.similarity import DEFAULT_MAX_DISTANCE, near_duplicate_groups
from footprints.places.distance import middle_of
from footprints.places.map_files import Line
from footprints.places.trails import trails_by_folder, trails_by_time
from footprints.scores.answers import Answer
from footprints.scores.combining import combined
from footprints.scores.judging import Judgement, Rules, judge
from footprints.system.text import csv_of

TRAILS_FILE = "trails.csv"


@dataclass(frozen=True)
class Trail:
    """The photos of one trail and what they say together.

    Attributes:
        name: Of the trail.
        photos: Answers to its photos by themselves.
        found: The answer to all.
        n_counted: Photos that count: one of each set that look alike, and only those on which a
            print was found, if there are some.
    """

    name: str
    photos: tuple[Answer, ...]
    found: Judgement
    n_counted: int

    @property
    def votes(self) -> dict[str, int]:
        """How many photos by themselves have which answer, the most frequent first."""
        return dict(Counter(one.answer for one in self.photos).most_common())

    @property
    def times(self) -> list[str]:
        """When its photos were taken, in order; without those that do not say it."""
        return sorted(one.taken.taken_at for one in self.photos if one.taken.taken_at)

    @property
    def places(self) -> list[tuple[float, float]]:
        """Longitude and latitude of its photos in the order of time, without repetitions."""
        known = [one.taken for one in self.photos if one.taken.has_place]
        known.sort(key=lambda taken: taken.taken_at or "")
        return list(dict.fromkeys((one.longitude, one.latitude) for one in known))

    @property
    def middle(self) -> tuple[float, float] | None:
        """Latitude and longitude in the middle of its places."""
        return middle_of(self.places) if self.places else None

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        middle = self.middle or (None, None)
        return {
            "trail": self.name,
            "photos": len(self.photos),
            "photos_counted": self.n_counted,
            "prints": sum(len(one.prints) for one in self.photos),
            "first_at": self.times[0] if self.times else None,
            "last_at": self.times[-1] if self.times else None,
            "latitude": middle[0],
            "longitude": middle[1],
            "answer": self.found.answer,
            "answer_level": self.found.level,
            "probability": round(self.found.probability, 6),
            "top": [{"class": name, "probability": round(p, 6)} for name, p in self.found.ranking],
            "votes": self.votes,
            "name_without_region": self.found.without_region or "",
        }


def trails_of(
    answers: Sequence[Answer],
    way: str,
    rules: Rules,
    minutes: float,
    metres: float,
) -> list[Trail]:
    """Return the trails of photos, in the order of their first photos.

    Args:
        answers: With ``probabilities`` of each.
        way: ``folder`` or ``time``, see ``places.trails``.
        rules: That the photos were judged by.
        minutes: For ``time``: between neighbours, at most.
        metres: For ``time``: between neighbours, at most.
    """
    if way == "folder":
        names: Sequence[str | None] = trails_by_folder([one.name for one in answers])
    else:
        names = trails_by_time([one.taken for one in answers], minutes, metres)
    photos_of: dict[str, list[Answer]] = defaultdict(list)
    for name, answer in zip(names, answers, strict=True):
        if name is not None:
            photos_of[name].append(answer)
    return [_trail(name, photos, rules) for name, photos in photos_of.items()]


def with_trails(answers: Sequence[Answer], trails: Sequence[Trail]) -> list[Answer]:
    """Return answers with the columns that name each photo's trail and its answer."""
    trail_of = {one.name: trail for trail in trails for one in trail.photos}
    return [
        replace(one, further={**one.further, **_columns(trail_of.get(one.name))}) for one in answers
    ]


def _columns(trail: Trail | None) -> dict[str, Any]:
    if trail is None:
        return {"trail": "", "trail_answer": "", "trail_probability": None}
    probability = round(trail.found.probability, 6)
    return {
        "trail": trail.name,
        "trail_answer": trail.found.answer,
        "trail_probability": probability,
    }


def _trail(name: str, photos: Sequence[Answer], rules: Rules) -> Trail:
    shown = [one for one in photos if one.print_found] or list(photos)
    alike = _sets_alike(shown)
    rows = [np.mean([one.probabilities for one in some], axis=0) for some in alike]
    scores = [one.strangeness for some in alike for one in some if one.strangeness is not None]
    strangeness = float(np.mean(scores)) if scores else None
    found = judge(combined(np.array(rows)), rules, strangeness)
    return Trail(name, tuple(photos), found, len(rows))


def _sets_alike(photos: Sequence[Answer]) -> list[list[Answer]]:
    """Put copies of one picture together, which say the same thing many times."""
    numbers = near_duplicate_groups([one.phash for one in photos], DEFAULT_MAX_DISTANCE)
    found: dict[int, list[Answer]] = defaultdict(list)
    for number, photo in zip(numbers, photos, strict=True):
        found[number].append(photo)
    return list(found.values())


def lines_of(trails: Sequence[Trail]) -> list[Line]:
    """Return the trails with two places at least as lines on a map."""
    return [
        Line(
            trail.name,
            trail.found.answer,
            trail.places,
            {
                "photos": len(trail.photos),
                "probability": round(trail.found.probability, 4),
                "first_at": trail.times[0] if trail.times else None,
                "last_at": trail.times[-1] if trail.times else None,
            },
        )
        for trail in trails
        if len(trail.places) > 1
    ]


def trails_csv(trails: Sequence[Trail], top_k: int, note: str = "") -> str:
    """Write trails as a table, one line each; the note is on the model."""
    head = [
        "trail", "photos", "photos_counted", "prints", "first_at", "last_at", "latitude",
        "longitude", "answer", "answer_level", "probability",
        *(f"{what}_{k}" for k in range(1, top_k + 1) for what in ("class", "probability")),
        "votes", "name_without_region", "note",
    ]  # fmt: skip
    rows = []
    for trail in trails:
        record = trail.record()
        ranking = [cell for name, p in trail.found.ranking for cell in (name, f"{p:.4f}")]
        record |= dict(zip(head[11:-3], ranking, strict=True))
        record["probability"] = f"{trail.found.probability:.4f}"
        record |= {"votes": votes_in_words(trail), "note": note}
        rows.append(["" if record[name] is None else record[name] for name in head])
    return csv_of([head, *rows])


def votes_in_words(trail: Trail) -> str:
    """Return which answers the photos have by themselves: ``dog 3, wolf 1``."""
    return ", ".join(f"{name} {n}" for name, n in trail.votes.items())


def trails_table(trails: Sequence[Trail], most: int) -> str:
    """Lay trails out for a screen; more than ``most`` are counted."""
    shown = trails[:most]
    width = max([len("trail"), *(len(trail.name) for trail in shown)])
    name = max([len("answer"), *(len(trail.found.answer) for trail in shown)])
    lines = [f"{'trail':{width}}  photos  {'answer':{name}}  probability  photos by themselves"]
    lines += [
        f"{one.name:{width}}  {len(one.photos):6}  {one.found.answer:{name}}  "
        f"{one.found.probability:11.0%}  {votes_in_words(one)}"
        for one in shown
    ]
    if len(shown) < len(trails):
        lines.append(f"... and {len(trails) - len(shown)} more trails")
    return "\n".join(lines)
