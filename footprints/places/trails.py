"""Which photos were taken along one trail: by their folder, or by time and place."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import PurePosixPath

from footprints.places.distance import distance_m
from footprints.places.taken import Taken

WAYS = ("folder", "time")


def trails_by_folder(photos: Sequence[str]) -> list[str]:
    """Return the trail of each photo: the folder that it is in; ``.`` is the outermost.

    Args:
        photos: Paths from the folder of all photos on.
    """
    return [PurePosixPath(photo).parent.as_posix() for photo in photos]


def trails_by_time(taken: Sequence[Taken], minutes: float, metres: float) -> list[str | None]:
    """Return the trail of each photo: ``trail 1``, ``trail 2`` and so on, by their first photos.

    A photo goes on with the trail of the photo that the same camera took before, if that was not
    longer ago, nor taken farther away where both say their place. Times with a zone and times
    without one are not compared.

    Args:
        taken: Of each photo.
        minutes: Between neighbours, at most.
        metres: Between neighbours, at most.

    Returns:
        None for a photo that does not say when it was taken.
    """
    times = [_time_of(one) for one in taken]
    known = [i for i, time in enumerate(times) if time is not None]
    known.sort(key=lambda i: (taken[i].camera or "", times[i].tzinfo is None, _utc(times[i]), i))
    trails: list[list[int]] = []
    for i in known:
        if trails and _goes_on(trails[-1][-1], i, taken, times, minutes, metres):
            trails[-1].append(i)
        else:
            trails.append([i])
    trails.sort(key=lambda trail: (_utc(times[trail[0]]), trail[0]))
    names: list[str | None] = [None] * len(taken)
    for number, trail in enumerate(trails, 1):
        for i in trail:
            names[i] = f"trail {number}"
    return names


def _goes_on(
    before: int,
    now: int,
    taken: Sequence[Taken],
    times: Sequence[datetime.datetime | None],
    minutes: float,
    metres: float,
) -> bool:
    one, other = taken[before], taken[now]
    first, second = times[before], times[now]
    if one.camera != other.camera or (first.tzinfo is None) != (second.tzinfo is None):
        return False
    if (second - first).total_seconds() > 60 * minutes:
        return False
    return not (one.has_place and other.has_place) or distance_m(one, other) <= metres


def _time_of(taken: Taken) -> datetime.datetime | None:
    return None if taken.taken_at is None else datetime.datetime.fromisoformat(taken.taken_at)


def _utc(time: datetime.datetime) -> datetime.datetime:
    """Return a time that can be put in order with all others; without a zone, taken for UTC."""
    if time.tzinfo is None:
        return time.replace(tzinfo=datetime.timezone.utc)
    return time.astimezone(datetime.timezone.utc)
