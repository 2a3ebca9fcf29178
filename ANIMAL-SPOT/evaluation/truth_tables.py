"""Tables of the truth: which belong to a result, what they say, which a program wrote itself."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from animal_spot.detections.annotations import Annotation
from animal_spot.detections.event_tables import as_annotations
from animal_spot.detections.journal import FILE_NAME, Journal
from animal_spot.evaluation.annotated import Evaluated
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import TableError
from animal_spot.tables.matching import NamedThings, most_alike, of_another, rows_of
from animal_spot.tables.reading import is_table, read_events
from animal_spot.tables.rows import shown_rows
from animal_spot.utils.own_files import OwnFiles

log = logging.getLogger("EVALUATE")


class TruthTables:
    """Tables of the truth, and the results that they belong to.

    A table belongs to the recording that it is called after, or to the result; of tables of one
    name in several folders to that whose folder is called as the recording's. For results without
    one, those count whose rows say that they are of the recording.

    Args:
        truth_dir: Folder of tables, with the folders in it.
        evaluated: Result files.
        own: Tells of a table that a program wrote it, and that it is no truth.
        label_column: Column that holds what was heard; None: found by itself.

    Attributes:
        by_result: Tables of each result that has any.
    """

    def __init__(
        self,
        truth_dir: Path,
        evaluated: Mapping[Path, Evaluated],
        *,
        own: Callable[[Path], bool],
        label_column: str | None = None,
    ) -> None:
        columns = Columns(label=label_column)
        read = functools.partial(read_events, columns=columns, label_flag="--truth_column")
        self._read = functools.lru_cache(maxsize=8)(read)  # one of many recordings is read once
        files = [path for path in sorted(truth_dir.rglob("*")) if is_table(path) and not own(path)]
        called = _called_after(files, evaluated)
        self.by_result = {
            path: most_alike(called[path], PurePosixPath(_posix(one.recording)).parent)
            for path, one in evaluated.items()
            if path in called
        }
        self._called = {table for tables in called.values() for table in tables}
        self._add_those_that_say_so(files, evaluated)

    def _add_those_that_say_so(
        self, files: Sequence[Path], evaluated: Mapping[Path, Evaluated]
    ) -> None:
        without = {path: one for path, one in evaluated.items() if path not in self.by_result}
        for table in files if without else ():
            if table in self._called:
                continue
            try:
                events = self._read(table).events
            except (TableError, OSError) as error:
                log.debug("no table of the truth: %s", error)
                continue
            for path, one in without.items():
                if rows_of(events, one.recording):
                    self.by_result.setdefault(path, []).append(table)

    def owners(self, table: Path) -> list[Path]:
        """Return the results that a table belongs to by its name."""
        return [
            path
            for path, tables in self.by_result.items()
            if table in tables and table in self._called
        ]

    def rows(self, table: Path, recording: str) -> list[Annotation]:
        """Return what a table says of a recording, but for what is marked as a false alarm.

        Raises:
            TableError: If it cannot be used, or is of another recording.
            OSError: If it cannot be read.
        """
        read = self._read(table)
        events = read.events
        named = list(dict.fromkeys(event.recording for event in events if event.recording))
        if named:
            events = rows_of(events, recording)
            if not events:
                raise TableError(of_another(table, " and ".join(named[:2]), recording))
        for note in read.notes:
            log.info("%s: %s", table, note)
        if read.left_out:
            n, shown = len(read.left_out), shown_rows(read.left_out)
            log.warning("%s: left out %d of %d rows: %s", table, n, n + len(read.events), shown)
        return as_annotations(events)


def _called_after(
    files: Sequence[Path], evaluated: Mapping[Path, Evaluated]
) -> dict[Path, list[Path]]:
    """Return the tables that are called after each recording, else after its result."""
    of_recordings = NamedThings(
        (PurePosixPath(_posix(one.recording)).stem, path) for path, one in evaluated.items()
    )
    of_results = NamedThings((one.stem, path) for path, one in evaluated.items())
    found: dict[Path, list[Path]] = {}
    for things in (of_recordings, of_results):
        before = set(found)
        for table in files:
            for path in things.of(table.name):
                if path not in before:
                    found.setdefault(path, []).append(table)
    return found


def _posix(path: str) -> str:
    return path.replace("\\", "/")


def is_own_table(
    prediction_dir: Path, truth_dir: Path, own: OwnFiles, output_dir: Path
) -> Callable[[Path], bool]:
    """Return what tells of a table that a program wrote it, and that it is no truth.

    An edited one is truth if its very folder was named as that of the truth.

    Args:
        prediction_dir: Folder of results, whose tables a prediction wrote.
        truth_dir: Folder of the truth.
        own: Tables that the evaluation wrote.
        output_dir: Their folder.
    """
    truth_dir = truth_dir.resolve()
    folders = {output_dir.resolve(): own}
    if (prediction_dir / FILE_NAME).is_file():
        with contextlib.closing(Journal(prediction_dir)) as journal:
            folders.setdefault(prediction_dir.resolve(), journal.own)
    said = set()

    def is_own(path: Path) -> bool:
        files = folders.get(path.parent.resolve())
        if files is None or not files.is_known(path.name):
            return False
        is_named = truth_dir == path.parent.resolve()
        if is_named and files.is_edited(path.name):
            return False
        if is_named and path.parent not in said:
            said.add(path.parent)
            log.warning(
                "%s: tables in it are what was found, and no truth until they are edited or copied "
                "to another folder",
                path.parent,
            )
        return True

    return is_own
