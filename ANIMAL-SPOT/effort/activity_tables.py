"""Tables of activity, ready for R: long ones, and detection histories for occupancy models."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from animal_spot.effort.counting import Activity
from animal_spot.utils.csv_cells import csv_text

LONG, BY_HOUR, BY_DAY = "activity.csv", "activity_by_hour.csv", "activity_by_day.csv"
EFFORT = "effort_hours.csv"
NOT_RECORDED = "NA"  # as R writes it
_DIGITS = 6  # of hours: a thousandth of a second is 3e-7 h


def file_names(classes: Sequence[str], start: str, ending: str) -> dict[str, str]:
    """Name a file of each class: letters, digits, ``-`` and ``_``, no two alike."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for name in classes:
        stem = plain = re.sub(r"[^\w-]+", "_", name)[:60] or "_"
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{plain}_{number}"
        taken.add(stem.casefold())
        names[name] = f"{start}{stem}{ending}"
    return names


def tables_of(activity: Activity) -> dict[str, str]:
    """Return the text of each table, by the name of its file."""
    histories = file_names(activity.classes, "history_", ".csv")
    return {
        LONG: csv_text(_long(activity)),
        BY_HOUR: csv_text(_summed(activity, "hour")),
        BY_DAY: csv_text(_summed(activity, "date")),
        EFFORT: csv_text(_effort(activity)),
        **{file: csv_text(_history(activity, name)) for name, file in histories.items()},
    }


def _hours(seconds: float) -> float:
    return round(seconds / 3600, _DIGITS)


def _long(activity: Activity) -> Iterator[list[Any]]:
    """Yield site, date, hour and class with its count: for every hour that was recorded in."""
    yield ["site", "date", "hour", "class", "detections", "effort_hours"]
    for hour, seconds in sorted(activity.effort_s.items()):
        for name in activity.classes:
            count = activity.found[hour, name]
            yield [hour.site, hour.day.isoformat(), hour.hour, name, count, _hours(seconds)]


def _summed(activity: Activity, by: str) -> Iterator[list[Any]]:
    """Yield counts by site and ``hour`` of the day, or ``date``, divided by the hours recorded."""
    yield ["site", by, "class", "detections", "effort_hours", "detections_per_hour"]
    effort: defaultdict[tuple[str, Any], float] = defaultdict(float)
    found: Counter[tuple[str, Any, str]] = Counter()
    for hour, seconds in activity.effort_s.items():
        key = (hour.site, hour.hour if by == "hour" else hour.day.isoformat())
        effort[key] += seconds
        for name in activity.classes:
            found[(*key, name)] += activity.found[hour, name]
    for key, seconds in sorted(effort.items()):
        for name in activity.classes:
            count = found[(*key, name)]
            yield [*key, name, count, _hours(seconds), round(count * 3600 / seconds, _DIGITS)]


def _by_day(activity: Activity) -> dict[tuple[str, Any], float]:
    effort: defaultdict[tuple[str, Any], float] = defaultdict(float)
    for hour, seconds in activity.effort_s.items():
        effort[hour.site, hour.day] += seconds
    return effort


def _history(activity: Activity, name: str) -> Iterator[list[Any]]:
    """Yield a row of each site: was the class found on that day, 1 or 0; NA: nothing recorded."""
    effort = _by_day(activity)
    seen = {(h.site, h.day) for (h, its), n in activity.found.items() if its == name and n}
    yield ["site", *(day.isoformat() for day in activity.days)]
    for site in activity.sites:
        days = [(site, day) for day in activity.days]
        yield [site, *(int(day in seen) if day in effort else NOT_RECORDED for day in days)]


def _effort(activity: Activity) -> Iterator[list[Any]]:
    """Yield a row of each site: hours recorded on each day, as a covariate of its histories."""
    effort = _by_day(activity)
    yield ["site", *(day.isoformat() for day in activity.days)]
    for site in activity.sites:
        yield [site, *(_hours(effort.get((site, day), 0.0)) for day in activity.days)]
