"""Which table is of which recording."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Generic, TypeVar

from animal_spot.tables.delimited import split_table
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.table_text import read_text
from animal_spot.utils.names import composed
from animal_spot.utils.text import printable

Thing = TypeVar("Thing", bound=Hashable)
_N_SHOWN = 3  # names in a message
_SAME_S = 0.0025  # times of one event in two tables, each rounded to the millisecond
# What people put between the name of a recording and the ending of its table, after _ or - or a
# blank. No numbers: rec_1_2.txt is no table of rec_1.
_ADDED = re.compile(
    r"[ _-]+(?:(?:annotations?|labels?|selections?|tables?|events?|detections?|calls?|results?"
    r"|raven|audacity|birdnet|manual|truth|reviewed|edited)[ _-]*)+\Z"
)


@dataclass(frozen=True)
class Matching:
    """What belongs together, and what is left.

    Attributes:
        events: Of each recording that has a table, in the order of time; an empty tuple where
            its tables say that nothing is there.
        tables: Of each such recording those that are of it.
        without_table: Recordings that no table is of.
        without_recording: Tables that are of none, or in part, each with a line that says so.
        unused: Tables that another one of the same recording goes before, each with a line that
            says so.
        refused: Tables that could be of several recordings, or say that they are of another one
            than that which they are called after, each with a line that says so.
    """

    events: dict[Path, tuple[LabelledEvent, ...]]
    tables: dict[Path, tuple[Path, ...]] = field(default_factory=dict)
    without_table: tuple[Path, ...] = ()
    without_recording: tuple[tuple[Path, str], ...] = ()
    unused: tuple[tuple[Path, str], ...] = ()
    refused: tuple[tuple[Path, str], ...] = ()


def match(
    recordings: Sequence[Path], tables: Sequence[EventTable], pairs: Path | None = None
) -> Matching:
    """Find the recording of each event: by a list of pairs, by what the table says, or by name.

    Of recordings with one name that counts whose folders are called most like those of the table.

    Args:
        recordings: Files.
        tables: What was read.
        pairs: CSV with a recording and a table in each row; it goes before everything else.

    Raises:
        TableError: If the list of pairs cannot be used.
        OSError: If it cannot be read.
    """
    matcher = _Matcher(recordings)
    paired = {} if pairs is None else read_pairs(pairs, recordings, [t.path for t in tables])
    by_name = []
    for table in tables:
        if table.path in paired:
            matcher.add_pairs(table, paired[table.path])
        elif any(event.recording for event in table.events):
            matcher.add_by_what_it_says(table)
        else:
            by_name.append(table)
    matcher.add_by_name(by_name)
    return matcher.finish()


class NamedThings(Generic[Thing]):
    """Finds what tables are called after.

    Args:
        things: Names, with or without ending, and what has each.
    """

    def __init__(self, things: Iterable[tuple[str, Thing]]) -> None:
        self._of: dict[str, dict[Thing, str]] = {}
        for name, thing in things:
            self._of.setdefault(_folded(name), {}).setdefault(thing, composed(name))

    def called(self, name: str) -> list[Thing]:
        """Return what has a name; in the same case, else in any."""
        found = self._of.get(_folded(name), {})
        return [one for one, own in found.items() if own == composed(name)] or list(found)

    def of(self, table: str) -> list[Thing]:
        """Return what a table is called after; see ``start_of``. The same case goes before another.

        Args:
            table: Name of the table.
        """
        start = start_of(table, self._of)
        found = {} if start is None else self._of[start]
        same_case = [one for one, name in found.items() if composed(table).startswith(name)]
        return same_case or list(found)


class _Matcher:
    """Collects what belongs together.

    Args:
        recordings: Files.
    """

    def __init__(self, recordings: Sequence[Path]) -> None:
        self._recordings = list(dict.fromkeys(recordings))
        names = [
            (name, path) for path in self._recordings for name in (path.name, _stem(path.name))
        ]
        self._names = NamedThings(names)
        self._found: dict[Path, list[_Rows]] = {}
        self._without: list[tuple[Path, str]] = []
        self._unused: list[tuple[Path, str]] = []
        self._refused: list[tuple[Path, str]] = []

    def _add(
        self, recording: Path, table: EventTable, events: Iterable[LabelledEvent], how: str
    ) -> None:
        rows = _Rows(table.path, (table.format, how), tuple(events))
        self._found.setdefault(recording, []).append(rows)

    def add_pairs(self, table: EventTable, recordings: Sequence[Path]) -> None:
        """Give the rows of a table to the only recording that is listed with it, else by name."""
        for path in recordings:
            events = table.events
            if len(recordings) > 1:
                events = [e for e in events if is_same_recording(e.recording or "", path)]
            self._add(path, table, events, "pair")

    def add_by_what_it_says(self, table: EventTable) -> None:
        """Give the rows of a table to the recordings that they name."""
        groups: dict[str, list[LabelledEvent]] = {}
        for event in table.events:
            groups.setdefault(event.recording or "", []).append(event)
        nameless = groups.pop("", [])
        if nameless:
            reason = f"{table.path}: {len(nameless)} of its rows name no recording"
            self._without.append((table.path, reason))
        for said, events in groups.items():
            found = self._named(said, table.path)
            if len(found) == 1:
                self._add(found[0], table, events, "says so")
            elif found:
                self._refuse(table.path, f"{printable(said)} in {table.path}", found)
            elif len(groups) == 1 and (others := self._names.of(table.path.name)):
                self._refused.append((table.path, of_another(table.path, said, str(others[0]))))
            else:
                reason = f"{table.path} is of {printable(said)}, which is not among the recordings"
                self._without.append((table.path, reason))

    def _named(self, said: str, table: Path) -> list[Path]:
        """Return the recordings that a table can mean by a path or a name."""
        place = _as_path(said)
        found = self._names.called(place.name) or self._names.called(_stem(said))
        return most_alike(most_alike(found, place.parent), _folder(table))

    def add_by_name(self, tables: Sequence[EventTable]) -> None:
        """Give tables to the recordings that they are called after."""
        wanted: dict[Path, list[EventTable]] = {}
        for table in tables:
            found = most_alike(self._names.of(table.path.name), _folder(table.path))
            if not found:
                reason = f"{table.path} is called like none of the recordings"
                self._without.append((table.path, reason))
            elif len(found) > 1:
                self._refuse(table.path, f"the name of {table.path}", found)
            else:
                wanted.setdefault(found[0], []).append(table)
        for recording, candidates in wanted.items():
            near = most_alike([table.path for table in candidates], _folder(recording))
            for table in candidates:
                if table.path in near:
                    self._add(recording, table, table.events, "name")
                    continue
                reason = f"{table.path} is not used: {near[0]} is nearer to {recording}"
                self._unused.append((table.path, reason))

    def _refuse(self, table: Path, what: str, found: Sequence[Path]) -> None:
        names = " and ".join(map(str, found[:_N_SHOWN]))
        more = f" and {len(found) - _N_SHOWN} more" if found[_N_SHOWN:] else ""
        reason = (
            f"{what} fits {names}{more}: put tables into folders that are called as those of "
            "their recordings, or give a list of pairs"
        )
        self._refused.append((table, reason))

    def finish(self) -> Matching:
        """Return what was found, in the order of the recordings."""
        events: dict[Path, tuple[LabelledEvent, ...]] = {}
        tables: dict[Path, tuple[Path, ...]] = {}
        for recording in self._recordings:
            if recording in self._found:
                used, unused = _agreed(self._found[recording])
                every = [event for rows in used for event in rows.events]
                events[recording] = tuple(
                    sorted(every, key=lambda e: (e.start_s, e.end_s, e.label))
                )
                tables[recording] = tuple(dict.fromkeys(rows.table for rows in used))
                self._unused += [
                    (rows.table, f"{rows.table} is not used for {recording}: {reason}")
                    for rows, reason in unused
                ]
        return Matching(
            events,
            tables,
            tuple(path for path in self._recordings if path not in events),
            tuple(self._without),
            tuple(self._unused),
            tuple(self._refused),
        )


@dataclass(frozen=True)
class _Rows:
    """Rows of a table that are of one recording.

    Attributes:
        table: The table.
        kind: Its format, and how it was found.
        events: Its rows.
    """

    table: Path
    kind: tuple[str, str]
    events: tuple[LabelledEvent, ...]

    @property
    def age(self) -> tuple[bool, float]:
        """What grows with how much a person had to do with it: reviewed, changed last."""
        try:
            changed = self.table.stat().st_mtime
        except OSError:
            changed = 0.0
        return any(event.is_wrong for event in self.events), changed


def _agreed(tables: Sequence[_Rows]) -> tuple[list[_Rows], list[tuple[_Rows, str]]]:
    """Choose among the tables of one recording.

    Of tables that hold the same rows, as predict.py writes them in several formats, the one that
    was changed last counts, lest what a person took out come back. Tables of one kind without a
    common row are put together, as those of several annotators are.

    Returns:
        Those that count, and the others that say something else, each with a reason.
    """
    used: list[_Rows] = []
    unused: list[tuple[_Rows, str]] = []
    for rows in sorted(tables, key=lambda rows: rows.age, reverse=True):
        known = _Known(event for other in used for event in other.events)
        n_new = sum(not known.has(event) for event in rows.events)
        is_apart = n_new == len(rows.events) and all(rows.kind == other.kind for other in used)
        if not used or (is_apart and rows.events):
            used.append(rows)
        elif n_new:
            reason = (
                f"{used[0].table} was changed or reviewed later, and has not {n_new} of its "
                f"{len(rows.events)} rows"
            )
            unused.append((rows, reason))
    return used, unused


class _Known:
    """Finds events again that another table has too."""

    def __init__(self, events: Iterable[LabelledEvent]) -> None:
        self._by_time: dict[tuple[str, int], list[LabelledEvent]] = {}
        for event in events:
            key = event.label, round(event.start_s / _SAME_S)
            self._by_time.setdefault(key, []).append(event)

    def has(self, event: LabelledEvent) -> bool:
        """Tell whether there is one of the same label and times, but for rounding."""
        place = round(event.start_s / _SAME_S)
        return any(
            abs(other.start_s - event.start_s) < _SAME_S
            and abs(other.end_s - event.end_s) < _SAME_S
            for near in (place - 1, place, place + 1)
            for other in self._by_time.get((event.label, near), ())
        )


def of_another(table: Path, said: str, recording: str) -> str:
    """Return the line for a table that says that it is of another recording."""
    return (
        f"{table} says that it is of {printable(said)}, not of {recording}: are two tables "
        "swapped? If the recording was renamed, take out the columns Begin File and Begin Path"
    )


def rows_of(events: Sequence[LabelledEvent], recording: str) -> list[LabelledEvent]:
    """Return the rows of a table that say that they are of a recording.

    Args:
        events: Of the table.
        recording: Path or name; of those that are called like it the one with folders most alike.
    """
    place = _as_path(recording).parent
    said = {event.recording for event in events if event.recording}
    alike = {
        name: _n_alike(_as_path(name).parent, place)
        for name in said
        if is_same_recording(name, recording)
    }
    most = max(alike.values(), default=0)
    return [event for event in events if alike.get(event.recording) == most]


def is_same_recording(one: str | Path, other: str | Path) -> bool:
    """Compare names without folder, ending and case, in one Unicode form."""
    return _folded(_stem(str(one))) == _folded(_stem(str(other)))


def start_of(table: str, recordings: Container[str]) -> str | None:
    """Return the recording that a table is called after.

    That is the longest name that its name starts with, followed by a dot: ``a.b.Table.1.txt`` is
    of ``a.b`` rather than of ``a``; else by words such as ``_annotations``.

    Args:
        table: Name of the table.
        recordings: Names in small letters, with or without ending.
    """
    parts = _folded(table).split(".")
    starts = [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
    without = [_ADDED.sub("", start) for start in starts]
    return next((start for start in (*starts, *without) if start in recordings), None)


def _folded(name: str) -> str:
    return composed(name).casefold()


def _stem(recording: str) -> str:
    """Return the name of a recording without folder and ending."""
    name = re.split(r"[\\/]", recording.strip())[-1]
    return re.sub(r"(?<=.)\.[^.]*\Z", "", name)


def _as_path(text: str) -> PurePosixPath:
    return PurePosixPath(text.replace("\\", "/"))


def _folder(path: Path) -> Path:
    return Path(os.path.abspath(path)).parent


def most_alike(paths: Sequence[Path], folder: PurePath) -> list[Path]:
    """Return those of several files whose folders are called most like a folder."""
    alike = [_n_alike(_folder(path), folder) for path in paths]
    return [path for path, n in zip(paths, alike, strict=True) if n == max(alike)]


def _n_alike(one: PurePath, other: PurePath) -> int:
    """Return how many folders, from the innermost, are called alike."""
    n = 0
    for first, second in zip(reversed(one.parts), reversed(other.parts), strict=False):
        if _folded(first) != _folded(second):
            break
        n += 1
    return n


def read_pairs(
    path: Path, recordings: Sequence[Path], tables: Sequence[Path]
) -> dict[Path, list[Path]]:
    """Read a list of pairs.

    Args:
        path: CSV with a column of recordings and one of tables: paths, from its own folder or
            from the current one, or the end of a path.
        recordings: Files.
        tables: Files.

    Returns:
        Recordings of each table.

    Raises:
        TableError: If a column is missing, or a row names a file that is not there or not clear.
        OSError: If it cannot be read.
    """
    header, rows, _ = split_table(path, read_text(path)[0])
    recording, table = header.find("recording"), header.find("table")
    if recording is None or table is None:
        missing = "recording" if recording is None else "table"
        raise TableError(f"{path} has no column {missing!r} ({header.present})")
    found: dict[Path, list[Path]] = {}
    for number, cells in enumerate(rows, 1):
        if len(cells) <= max(recording.index, table.index):
            raise TableError(f"{path}: row {number} has too few columns")
        of = _listed(path, number, cells[recording.index], recordings)
        found.setdefault(_listed(path, number, cells[table.index], tables), []).append(of)
    return found


def _listed(path: Path, number: int, text: str, files: Sequence[Path]) -> Path:
    """Return the file that a cell means."""
    places = {os.path.abspath(path.parent / text), os.path.abspath(text)}
    found = [file for file in files if os.path.abspath(file) in places]
    if not found:
        end = _as_path(text)
        n = len(end.parts)
        found = [file for file in files if _n_alike(Path(os.path.abspath(file)), end) >= n > 0]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(map(str, found[:_N_SHOWN]))
        raise TableError(f"{path}: row {number}: {text} can be {names}: write more of its path")
    raise TableError(f"{path}: row {number}: {text} is not among the given files")
