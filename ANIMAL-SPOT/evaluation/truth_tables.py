"""Tables of the truth: which belong to a result, and which a program wrote itself."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from animal_spot.detections.annotation_tables import tables_by_recording
from animal_spot.detections.journal import FILE_NAME, Journal
from animal_spot.evaluation.truth_scores import Evaluated
from animal_spot.utils.own_files import OwnFiles

log = logging.getLogger("EVALUATE")


def find_tables(
    truth_dir: Path, evaluated: Mapping[Path, Evaluated], *, own: Callable[[Path], bool]
) -> dict[Path, list[Path]]:
    """Find the tables of the truth of each result, by the recording's name or by the result's.

    Of tables of one name in several folders those count whose folder is called as the recording's.

    Args:
        truth_dir: Folder of tables, with the folders in it.
        evaluated: Result files.
        own: Tells of a table that a program wrote it, and that it is no truth.
    """
    files = [
        path
        for path in truth_dir.rglob("*")
        if path.suffix.lower() == ".txt" and path.is_file() and not own(path)
    ]
    names = {
        path: (PurePosixPath(one.recording.replace("\\", "/")).stem, one.stem)
        for path, one in evaluated.items()
    }
    tables = tables_by_recording(files, [name for both in names.values() for name in both])
    found = {}
    for path, both in names.items():
        name = next((name for name in both if name in tables), None)
        if name is not None:
            found[path] = _of_same_folder(tables[name], evaluated[path].recording, truth_dir)
    return found


def _of_same_folder(tables: Sequence[Path], recording: str, truth_dir: Path) -> list[Path]:
    """Return the tables in a folder like that of the recording, if there are any, else all."""
    place = PurePosixPath(recording.replace("\\", "/")).parent.parts

    def folders_in_common(table: Path) -> int:
        folders = table.parent.relative_to(truth_dir).parts
        return len(folders) if folders and place[-len(folders) :] == folders else 0

    most = max(map(folders_in_common, tables))
    return [table for table in tables if folders_in_common(table) == most]


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
