"""When calls were found, with effort: by hour of the day, by day, by site."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from animal_spot.effort.counting import UNKNOWN_SITE, Hour, hours_of
from animal_spot.figures.found import MOST_PANELS, Places, rates_over, some_ticks
from animal_spot.reporting.found_tables import Found, n_recordings
from animal_spot.reporting.page import Block, Note, Number, Picture, Section, Table, count, decimal
from animal_spot.reporting.pictures import picture

_MOST_DAYS = 400  # of a figure
_MOST_ROWS = 500  # of a table
_WIDE_FROM = 32  # days
_MOST_COLUMNS = 12  # classes of a table
_FEW_HOURS = 0.1  # of which two digits say little
_NOT_RECORDED = Number(None, "–")
_NOTE = "Detections per recorded hour. –: not recorded."


@dataclass(frozen=True)
class Counted:
    """Detections and hours of hours of the clock.

    Attributes:
        hours: Site, day and hour of each.
        effort_s: Seconds recorded in each, shape ``(hour,)``.
        found: Detections, shape ``(hour, class)``.
    """

    hours: Sequence[Hour]
    effort_s: np.ndarray
    found: np.ndarray

    def by(self, keys: Sequence[Any]) -> dict[Any, tuple[float, np.ndarray]]:
        """Return hours recorded and detections of each class, summed by a key of each hour."""
        index: dict[Any, int] = {}
        which = np.array([index.setdefault(key, len(index)) for key in keys], np.int64)
        hours = np.bincount(which, self.effort_s, len(index)) / 3600
        found = np.zeros((len(index), self.found.shape[1]), np.int64)
        np.add.at(found, which, self.found)
        return {key: (float(hours[i]), found[i]) for key, i in index.items()}


def counted(found: Found) -> Counted:
    """Count what was found in recordings whose begin is known, by hours of their clocks."""
    index: dict[Hour, int] = {}
    effort: list[float] = []
    pairs: list[np.ndarray] = []
    n_classes = len(found.classes)
    its = found.detections
    order = np.argsort(its.recording, kind="stable") if its is not None else None
    edges = (
        np.searchsorted(its.recording[order], np.arange(len(found.recordings) + 1))
        if its is not None
        else None
    )
    for number, recording in enumerate(found.recordings):
        if recording.start is None or not recording.is_complete:
            continue
        ends, cells, passed = [], [], 0.0
        for hour, seconds in hours_of(
            recording.site or UNKNOWN_SITE, recording.start, recording.duration_s
        ):
            cell = index.setdefault(hour, len(index))
            if cell == len(effort):
                effort.append(0.0)
            effort[cell] += seconds
            passed += seconds
            ends.append(passed)
            cells.append(cell)
        if its is not None:
            mine = order[edges[number] : edges[number + 1]]
            begins = its.begin_s[mine]
            inside = begins < recording.duration_s
            at = np.searchsorted(ends, begins[inside], side="right").clip(0, len(ends) - 1)
            pairs.append(np.array(cells)[at] * n_classes + its.label[mine][inside])
    flat = np.concatenate(pairs) if pairs else np.empty(0, np.int64)
    table = np.bincount(flat.astype(np.int64), minlength=len(index) * n_classes)
    return Counted(list(index), np.array(effort), table.reshape(len(index), n_classes))


def when_section(found: Found, calls: Sequence[int]) -> Section:
    """Return activity by hour and day: detections per recorded hour.

    Args:
        found: What was found.
        calls: Indexes of the classes that are calls, the most frequent first.
    """
    title = "When calls were found"
    complete = [one for one in found.recordings if one.is_complete]
    n_with = sum(one.start is not None for one in complete)
    if not n_with or found.detections is None:
        text = (
            "It is not known when recordings were made, so there is no activity by hour and day. "
            "Names such as 20240501_030000.wav say it, and so does what many recorders write into "
            "their files; for other names predict again with --time_pattern."
        )
        return Section(title, [Note(text)])
    blocks: list[Block] = list(_notes(found, len(complete) - n_with))
    hours = counted(found)
    names = {found.classes[i]: i for i in calls}
    some = {name: i for name, i in names.items() if hours.found[:, i].any()} or names
    drawn = dict(list(some.items())[:MOST_PANELS])
    if len(some) > len(drawn):
        text = f"Figures show the {len(drawn)} classes found most"
        more = f", tables {_MOST_COLUMNS}" if len(names) > _MOST_COLUMNS else ""
        blocks.append(Note(f"{text}{more}; animal-spot activity makes tables of all."))
    names = dict(list(names.items())[:_MOST_COLUMNS])
    figures, tables = zip(_by_hour(hours, names, drawn), _by_day(hours, names, drawn), strict=True)
    return Section(title, [*blocks, *figures, *tables, *_by_site(hours, names)])


def _notes(found: Found, n_without: int) -> list[Note]:
    notes = [
        Note(
            "Rates are detections in an hour of recording. Hours and days without recording are "
            "not zero: they are shown as not recorded."
        )
    ]
    if n_without:
        notes.append(
            Note(
                f"Not counted here, since nothing says when they were made: "
                f"{n_recordings(n_without)}. Predict again with --time_pattern to say where their "
                "names hold it.",
                is_warning=True,
            )
        )
    local = sum(
        one.is_complete and one.start is not None and one.start.tzinfo is None
        for one in found.recordings
    )
    if local:
        notes.append(
            Note(
                f"The time zone of {n_recordings(local)} is not known: hours are those of the "
                "recorder's clock. Predict again with --timezone, such as --timezone Europe/Berlin "
                "or --timezone UTC, if that is not the time at the place.",
                is_warning=True,
            )
        )
    return notes


def _by_hour(
    hours: Counted, names: Mapping[str, int], drawn: Mapping[str, int]
) -> tuple[Picture, Table]:
    sums = hours.by([hour.hour for hour in hours.hours])
    places = Places("hour of the day", [(hour, str(hour)) for hour in range(0, 24, 3)])
    figure = rates_over(*_rates(sums, range(24), drawn), places, "detections per hour")
    rows = _rows([(Number(h, f"{h:02}:00"), h) for h in range(24)], sums, names)
    caption = "Detections per recorded hour, and hours recorded. Grey: not recorded."
    return (
        picture(figure, "activity_by_hour", "Activity by hour of the day", caption),
        Table("by_hour", "By hour of the day", _columns("Hour", names), rows, note=_NOTE),
    )


def _by_day(
    hours: Counted, names: Mapping[str, int], drawn: Mapping[str, int]
) -> tuple[Picture, Table]:
    sums = hours.by([hour.day for hour in hours.hours])
    first, last = min(sums), max(sums)
    days = [first + timedelta(days=i) for i in range((last - first).days + 1)]
    what, shown_days, shown_sums = "day", days, sums
    if len(days) > _MOST_DAYS:
        what, shown_sums = "month", hours.by([hour.day.replace(day=1) for hour in hours.hours])
        shown_days = sorted({day.replace(day=1) for day in days})
    texts = [f"{day:%Y-%m}" if what == "month" else day.isoformat() for day in shown_days]
    is_wide = len(shown_days) > _WIDE_FROM
    places = Places(what, some_ticks(texts, 9 if is_wide else 4), is_wide)
    figure = rates_over(*_rates(shown_sums, shown_days, drawn), places, "detections per hour")
    caption = f"Detections per recorded hour, and hours recorded in each {what}. Grey: none."
    title = f"Activity by {what}"
    drawn_days = picture(figure, f"activity_by_{what}", title, caption, is_wide=is_wide)
    recorded = sorted(sums)
    rows = _rows([(_day_cell(day), day) for day in recorded[:_MOST_ROWS]], sums, names)
    note = f"{_NOTE} Days on which something was recorded: {len(recorded):,} of {len(days):,}."
    if len(recorded) > _MOST_ROWS:
        note += f" The first {_MOST_ROWS} are listed; animal-spot activity writes all of them."
    table = Table("by_day", "By day", _columns("Day", names), rows, note=note, most=31)
    return drawn_days, table


def _by_site(hours: Counted, names: Mapping[str, int]) -> list[Block]:
    sums = hours.by([hour.site for hour in hours.hours])
    if len(sums) < 2:
        return []
    rows = _rows([(site, site) for site in sorted(sums)[:_MOST_ROWS]], sums, names)
    note = f"{_NOTE} animal-spot activity draws the activity of each site."
    return [Table("by_site", "By site", _columns("Site", names), rows, note=note)]


def _day_cell(day: date) -> Number:
    return Number(day.toordinal(), day.isoformat())


def _rates(
    sums: Mapping[Any, tuple[float, np.ndarray]], keys: Sequence[Any], names: Mapping[str, int]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return rates of classes at each key, NaN where nothing was recorded, and hours recorded."""
    hours = np.array([sums[key][0] if key in sums else 0.0 for key in keys])
    rates = {
        name: np.array(
            [sums[key][1][i] / sums[key][0] if key in sums else math.nan for key in keys]
        )
        for name, i in names.items()
    }
    return rates, hours


def _columns(first: str, names: Mapping[str, int]) -> tuple[str, ...]:
    return (first, "Hours recorded", *names)


def _rows(
    keys: Sequence[tuple[Any, Any]],
    sums: Mapping[Any, tuple[float, np.ndarray]],
    names: Mapping[str, int],
) -> list[list[Any]]:
    rows = []
    digits = 2 if min((hours for hours, _ in sums.values()), default=1) >= _FEW_HOURS else 3
    for cell, key in keys:
        if key not in sums:
            rows.append([cell, count(0), *[_NOT_RECORDED] * len(names)])
            continue
        hours, found = sums[key]
        rates = [decimal(float(found[i]) / hours) for i in names.values()]
        rows.append([cell, decimal(hours, digits), *rates])
    return rows
