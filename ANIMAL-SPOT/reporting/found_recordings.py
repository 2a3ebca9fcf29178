"""What was found in each recording of a prediction, or of many in each site and day."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import timezone

import numpy as np

from animal_spot.figures.found import MOST_PANELS, Places, rates_over, some_ticks
from animal_spot.reporting.found_tables import Found, Recording
from animal_spot.reporting.page import Block, Cell, Note, Number, Section, Table, count, decimal
from animal_spot.reporting.pictures import picture
from animal_spot.utils.compact import TextIndex

MOST_LISTED = 500  # recordings
_MOST_GROUPS = 500  # rows of a table
_MOST_COLUMNS = 12  # classes of a table
_WIDE_FROM = 32  # recordings
_UNKNOWN = "not known"


def recordings_section(found: Found, counts: np.ndarray, calls: Sequence[int]) -> Section:
    """Return a figure and a table of recordings; of more than 500 of sites and days.

    Args:
        found: What was found.
        counts: Detections of each recording and class, shape ``(recording, class)``.
        calls: Indexes of the classes that are calls, the most frequent first.
    """
    if len(found.recordings) > MOST_LISTED:
        return Section("Recordings", _grouped(found, counts, calls))
    blocks: list[Block] = []
    order = _in_order(found.recordings)
    complete = [i for i in order if found.recordings[i].is_complete]
    if len(complete) > 1 and calls:
        hours = np.array([found.recordings[i].duration_s / 3600 for i in complete])
        drawn = {found.classes[c]: counts[complete, c] / hours for c in calls[:MOST_PANELS]}
        numbers = [str(n) for n, i in enumerate(order, 1) if found.recordings[i].is_complete]
        is_wide = len(complete) > _WIDE_FROM
        places = Places("number of the recording", some_ticks(numbers, 12), is_wide)
        blocks.append(
            picture(
                rates_over(drawn, hours, places, "detections per hour"),
                "recordings",
                "Detections in each recording",
                "Detections per recorded hour, and hours of each recording; the table below gives "
                "their numbers.",
                is_wide=is_wide,
            )
        )
    return Section("Recordings", [*blocks, *_listed(found, counts, calls, order)])


def _in_order(recordings: Sequence[Recording]) -> list[int]:
    """Return indexes in the order of time, those without one last, as the summary has them."""

    def key(index: int) -> tuple[bool, float]:
        start = recordings[index].start
        if start is None:
            return True, 0.0
        # A clock of which no zone is known is compared as if it were of UTC.
        known = start if start.tzinfo else start.replace(tzinfo=timezone.utc)
        return False, known.timestamp()

    return sorted(range(len(recordings)), key=key)


def _listed(
    found: Found, counts: np.ndarray, calls: Sequence[int], order: Sequence[int]
) -> list[Block]:
    recordings = found.recordings
    names = shown_names([one.file for one in recordings])
    has_start = any(one.start is not None for one in recordings)
    has_site = any(one.site for one in recordings)
    some = calls[:_MOST_COLUMNS]
    columns = (
        *("No.", "Recording", *(["Start"] if has_start else []), *(["Site"] if has_site else [])),
        *("Minutes", "Detections", *(found.classes[c] for c in some), "Status"),
    )
    rows: list[list[Cell]] = []
    for number, index in enumerate(order, 1):
        one = recordings[index]
        row: list[Cell] = [count(number), names[index]]
        if has_start:
            row.append("" if one.start is None else f"{one.start:%Y-%m-%d %H:%M:%S}")
        if has_site:
            row.append(one.site)
        if one.is_complete:
            row += [decimal(one.duration_s / 60), count(int(counts[index, calls].sum()))]
            row += [count(int(counts[index, c])) for c in some]
        else:
            row += [Number(None, "–")] * (2 + len(some))
        rows.append([*row, one.status])
    foot = [""] * len(columns)
    foot[1] = "Together"
    at = columns.index("Minutes")
    foot[at : at + 2 + len(some)] = [
        decimal(sum(one.duration_s for one in recordings) / 60),
        count(int(counts[:, calls].sum())),
        *(count(int(counts[:, c].sum())) for c in some),
    ]
    note = _columns_note(calls)
    return [Table("recordings", "Recordings", columns, rows, [foot], note, most=25)]


def _columns_note(calls: Sequence[int]) -> str:
    if len(calls) <= _MOST_COLUMNS:
        return ""
    return f"The {_MOST_COLUMNS} classes found most have columns; all count among the detections."


def _grouped(found: Found, counts: np.ndarray, calls: Sequence[int]) -> list[Block]:
    """Sum recordings by site and day, or by their folder where no time is known."""
    has_start = any(one.start is not None for one in found.recordings)
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for index, one in enumerate(found.recordings):
        if has_start:
            day = one.start.date().isoformat() if one.start is not None else _UNKNOWN
            groups[one.site or _UNKNOWN, day].append(index)
        else:
            groups[one.file.replace("\\", "/").rpartition("/")[0] or ".", ""].append(index)
    some = calls[:_MOST_COLUMNS]
    columns = (
        *(("Site", "Day") if has_start else ("Folder",)),
        *("Recordings", "Not complete", "Hours", "Detections", *(found.classes[c] for c in some)),
    )
    rows: list[list[Cell]] = []
    for (where, day), members in sorted(groups.items())[:_MOST_GROUPS]:
        its = counts[members]
        seconds = sum(found.recordings[i].duration_s for i in members)
        not_complete = sum(not found.recordings[i].is_complete for i in members)
        rows.append(
            [
                *((where, day) if has_start else (where,)),
                *(count(len(members)), count(not_complete), decimal(seconds / 3600)),
                *(count(int(its[:, calls].sum())), *(count(int(its[:, c].sum())) for c in some)),
            ]
        )
    by = "site and day" if has_start else "folder"
    text = (
        f"There are {len(found.recordings):,} recordings, more than can be listed here: they are "
        f"summed by {by}. summary.csv has a row of each."
    )
    if len(groups) > _MOST_GROUPS:
        text += f" The first {_MOST_GROUPS} of {len(groups):,} rows are shown."
    note = _columns_note(calls)
    table = Table("recordings", f"Recordings by {by}", columns, rows, note=note, most=31)
    return [Note(text), table]


def shown_names(files: Sequence[str]) -> list[str]:
    """Return the name of each file, with as many folders before it as tell it from the others."""
    names = [re.split(r"[/\\]", file)[-1] for file in files]
    for depth in range(2, 12):
        n_of = TextIndex()
        for name in names:
            n_of[name] = (n_of.get(name) or 0) + 1
        if len(n_of) == len(names):
            break
        names = [
            "/".join(re.split(r"[/\\]", file)[-depth:]) if n_of.get(name) != 1 else name
            for file, name in zip(files, names, strict=True)
        ]
    return names
