"""Detections and hours recorded, by site, day and hour of the clock. Pure functions.

An hour is one of the clock at the site. On the day on which clocks are put back one of them may
hold two hours of recording; on the day on which they are put forward one holds none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

from animal_spot.metadata.moments import later

UNKNOWN_SITE = "unknown"


class Hour(NamedTuple):
    """An hour of the clock at a site.

    Attributes:
        site: Name of the place.
        day: By the clock there.
        hour: 0 to 23.
    """

    site: str
    day: date
    hour: int


@dataclass(frozen=True)
class Recorded:
    """A recording, and what was found in it.

    Attributes:
        name: Path, as whoever made the tables had it.
        site: Name of the place.
        start: Its begin; without ``tzinfo`` where no zone is known.
        duration_s: Length.
        found: Class and begin in seconds of each detection.
        latitude: Degrees, north is positive.
        longitude: Degrees, east is positive.
    """

    name: str
    site: str
    start: datetime
    duration_s: float
    found: tuple[tuple[str, float], ...] = ()
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True)
class Activity:
    """What was found, and how long was listened.

    Attributes:
        classes: All that could be found, in order.
        effort_s: Seconds recorded in each hour in which anything was.
        found: Number of detections of a class in an hour.
        places: Latitude and longitude of sites, where known.
        zones: A moment of each site, by whose ``tzinfo`` its clock goes.
    """

    classes: tuple[str, ...]
    effort_s: dict[Hour, float]
    found: Counter[tuple[Hour, str]]
    places: dict[str, tuple[float, float]]
    zones: dict[str, datetime]

    @property
    def sites(self) -> list[str]:
        """Sites in the order of their names."""
        return sorted({hour.site for hour in self.effort_s})

    @property
    def days(self) -> list[date]:
        """Every day from the first to the last with a recording, gaps too."""
        days = [hour.day for hour in self.effort_s]
        if not days:
            return []
        first, last = min(days), max(days)
        return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def hours_of(site: str, start: datetime, duration_s: float) -> Iterator[tuple[Hour, float]]:
    """Divide a recording at the full hours of the clock: each hour and the seconds of it."""
    done = 0.0
    moment = start
    while done < duration_s:
        into_hour = timedelta(
            minutes=moment.minute, seconds=moment.second, microseconds=moment.microsecond
        )
        rest = 3600 - into_hour.total_seconds()
        part = min(rest, duration_s - done)
        yield Hour(site, moment.date(), moment.hour), part
        done += part
        moment = later(start, done) if part < rest else later(moment, rest)


def count(recordings: Iterable[Recorded], classes: Sequence[str]) -> tuple[Activity, list[str]]:
    """Count what was found and how long was listened.

    Args:
        recordings: Each once.
        classes: All that could be found; those of detections come to them.

    Returns:
        The counts, and what is odd, each in one line.
    """
    names = dict.fromkeys(classes)
    effort: defaultdict[Hour, float] = defaultdict(float)
    found: Counter[tuple[Hour, str]] = Counter()
    places: dict[str, tuple[float, float]] = {}
    zones: dict[str, datetime] = {}
    spans: defaultdict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    notes: list[str] = []
    for recording in recordings:
        site = recording.site
        for hour, seconds in hours_of(site, recording.start, recording.duration_s):
            effort[hour] += seconds
        n_beyond = 0
        for name, begin_s in recording.found:
            names.setdefault(name)
            if begin_s >= recording.duration_s:
                n_beyond += 1
                continue
            moment = later(recording.start, begin_s)
            found[Hour(site, moment.date(), moment.hour), name] += 1
        if n_beyond:
            notes.append(
                f"{recording.name}: {n_beyond} detections begin after its end and do not count"
            )
        if recording.latitude is not None and recording.longitude is not None:
            places.setdefault(site, (recording.latitude, recording.longitude))
        zones.setdefault(site, recording.start)
        span = (_comparable(recording.start), recording.duration_s)
        spans[site].append((span[0], span[0] + timedelta(seconds=span[1]), recording.name))
    for site, its in spans.items():
        notes += _overlaps(site, its)
    return Activity(tuple(names), dict(effort), found, places, zones), notes


def _comparable(moment: datetime) -> datetime:
    """Return a time that can be compared with all others: of UTC, or of the clock."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment


def _overlaps(site: str, spans: list[tuple[datetime, datetime, str]]) -> Iterator[str]:
    """Say of a site once that recordings lie over each other; a second may mean nothing."""
    last: tuple[datetime, str] | None = None
    for begin, end, name in sorted(spans):
        if last is not None and last[0] - begin > timedelta(seconds=2):
            yield (
                f"site {site}: {name} begins before {last[1]} ends; detections and hours of both "
                "count, as of two recorders"
            )
            return
        if last is None or end > last[0]:
            last = end, name
