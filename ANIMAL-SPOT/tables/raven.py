"""Raven's selection tables, of one file or of several that were opened in one."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from animal_spot.tables.columns import Column, Columns, Header
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.numbers import RowError, to_number
from animal_spot.tables.rows import (
    EventRows,
    Layout,
    add_rows,
    begin_and_end,
    cell,
    layout_of,
    read_cells,
    unclear_reviews,
)
from animal_spot.tables.table_text import shortened

KIND = "Raven selection table"
_BEGIN, _END, _OFFSET = "begin time (s)", "end time (s)", "file offset (s)"
_FILE = "begin file"
_ROUNDING = 9  # decimals of seconds that are kept of a difference


def is_raven(names: Iterable[str]) -> bool:
    """Tell by the names of its columns whether a table is one of Raven."""
    return {_BEGIN, _END} <= {name.strip().lower() for name in names}


def read_raven(
    header: Header, cells: Sequence[Sequence[str]], columns: Columns, flag: str
) -> EventTable:
    """Read a selection table.

    A selection counts once, however many views show it. Where the table says how far into its
    file a row begins, as for several files opened in one, that counts.

    Args:
        header: Its columns.
        cells: Its rows.
        columns: Names that a person gave.
        flag: Option that names the column of labels, for a message.

    Raises:
        TableError: If columns are missing, no row can be used, or times run over several
            recordings and nothing says where in them.
    """
    known = {role: header.named(name) for role, name in (("begin", _BEGIN), ("end", _END))}
    wanted = ("recording", "low", "high", "channel")
    layout, notes = layout_of(header, cells, columns, flag, known=known, wanted=wanted)
    raven = _Raven(header, layout, cells)
    rows = EventRows(header.path)
    add_rows(rows, cells, raven.read, is_better=_shows_frequencies)
    notes += [*unclear_reviews(cells, layout), *raven.notes()]
    return rows.finish(KIND, notes)


def _shows_frequencies(new: LabelledEvent, old: LabelledEvent) -> bool:
    """Of two views of a selection the spectrogram has the box that was drawn."""
    is_sound = [e.extra.get("View", "").lower().startswith("waveform") for e in (new, old)]
    return is_sound == [False, True]


class _Raven:
    """Reads rows of a table.

    Args:
        header: Its columns.
        layout: What they hold.
        cells: Its rows.
    """

    def __init__(self, header: Header, layout: Layout, cells: Sequence[Sequence[str]]) -> None:
        self._path = header.path
        self._layout = layout
        self._cells = cells
        names = [name.lower() for name in header.names]

        def column(name: str) -> Column | None:
            return Column(names.index(name), name) if name in names else None

        self._selection, self._offset = column("selection"), column(_OFFSET)
        self._begin_file, self._end_file = column(_FILE), column("end file")
        self._recording = layout.roles.get("recording")
        self._require_places()

    @functools.cached_property
    def _recordings(self) -> dict[str, list[tuple[float, float]]]:
        """Begin and end of the rows of each recording, as far as they can be read."""
        found: dict[str, list[tuple[float, float]]] = {}
        for cells in self._cells:
            name = self._name(cells)
            if name:
                found.setdefault(name, [])
                with_times = found[name].append
                try:
                    with_times(begin_and_end(cells, self._layout, self._path))
                except (RowError, IndexError):
                    continue
        return found

    def _require_places(self) -> None:
        """Make sure that it can be known where in its recording a row begins."""
        if self._offset is not None or len(self._recordings) < 2 or self._times_start_again():
            return
        first, second = map(shortened, list(self._recordings)[:2])
        raise TableError(
            f"{self._path} holds rows of {len(self._recordings)} recordings, such as {first} and "
            f"{second}, whose times run on: add the measurement File Offset (s) in Raven and save "
            "it again, or save a table of each recording"
        )

    def _times_start_again(self) -> bool:
        """Tell whether times count from the start of each recording: they go back somewhere."""
        latest = 0.0
        for times in self._recordings.values():
            if times and min(times)[0] < latest:
                return True
            latest = max([latest, *(end for _, end in times)])
        return False

    def _name(self, cells: Sequence[str]) -> str:
        """Return path or name of the recording of a row."""
        name = cell(cells, self._recording)
        if self._recording is None or self._recording.name.lower() not in ("begin path", _FILE):
            return name
        file = cell(cells, self._begin_file)
        if name and file and re.split(r"[\\/]", name)[-1].casefold() != file.casefold():
            return f"{name.rstrip('/')}/{file}"  # the path is that of its folder
        return name or file

    def read(self, cells: Sequence[str], row: int) -> tuple[object, LabelledEvent]:
        """Return what is the same for all views of a selection, and its event."""
        event = read_cells(self._path, cells, row, self._layout, times=self._times)
        name = self._name(cells)
        selection = cell(cells, self._selection) or row
        same = selection, name, event.start_s, event.end_s, event.label
        return same, dataclasses.replace(event, recording=name or None)

    def _times(self, cells: Sequence[str], layout: Layout, path: Path) -> tuple[float, float]:
        begin_s, end_s = begin_and_end(cells, layout, path)
        text = cell(cells, self._offset)
        if text:
            in_file = to_number(text, comma=layout.comma)
            return in_file, round(in_file + (end_s - begin_s), _ROUNDING)
        if self._offset is not None and len(self._recordings) > 1:
            raise RowError("has no file offset, so where in its recording it begins is not known")
        return begin_s, end_s

    def notes(self) -> list[str]:
        """Return what is odd about the table."""
        n_over = sum(
            cell(cells, self._end_file) not in ("", cell(cells, self._begin_file))
            for cells in self._cells
            if self._begin_file is not None
        )
        notes = [f"{n_over} rows go on into the next recording"] if n_over else []
        if self._offset is None and len(self._recordings) > 1:
            notes.append(
                f"{len(self._recordings)} recordings: times are taken to count from the start of "
                "each, since they go back"
            )
        return notes
