"""Decide where the classes and tapes of a data folder come from: a table, names or folders.

A table that is named, or a ``labels.csv`` in the data folder, comes first. Without one it is the
names of the clips, if most of them follow the rule of ``data.labels``, else the folders that they
lie in. A stored split says which of both it was made with, so that this does not change under it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from animal_spot.data.class_folders import class_folder, clips_in_folders
from animal_spot.data.clip_source import ClipSource, Kind
from animal_spot.data.convention import clips_by_name
from animal_spot.data.labels import find_files
from animal_spot.data.labels_csv import LABELS_FILE, NoLabelsError, clips_of_table
from animal_spot.tables.event import TableError
from animal_spot.utils.errors import one_line


class SourceError(ValueError):
    """What says the labels of clips cannot be read; one line says why and what to do."""


def find_source(
    data_dir: Path,
    *,
    labels: Path | None = None,
    tape_pattern: str | None = None,
    stored: Kind | None = None,
) -> ClipSource:
    """Find the labelled clips of a folder.

    Args:
        data_dir: The folder.
        labels: Table that says the clips and their classes; None: ``labels.csv`` in the folder, if
            there is one, else the names of the clips or their folders.
        tape_pattern: Regular expression that finds the tape in the path of a clip.
        stored: What the stored split was made with; None: there is none.

    Raises:
        SourceError: If what says the labels cannot be read.
    """
    files = find_files(data_dir)
    files.report()
    table = labels if labels is not None else data_dir / LABELS_FILE
    no_labels = ()
    if labels is not None or table.is_file():
        try:
            source = clips_of_table(table, data_dir, files, tape_pattern)
            if labels is not None or stored == "table" or source.clips or not files.clips:
                return source
            no_labels = (f"no row of {table} names a clip that is there: it is not read",)
        except NoLabelsError as error:
            if labels is not None:
                raise SourceError(f"--labels: {error}") from error
            no_labels = (f"{error}: it is not read",)
        except (TableError, OSError) as error:
            raise SourceError(f"the labels cannot be read: {one_line(error)}") from error
    if stored == "table":
        raise SourceError(
            f"the stored split is of clips in a table, and there is no {LABELS_FILE} in "
            f"{data_dir}; name the table with --labels"
        )
    named = clips_by_name(data_dir, files, tape_pattern)
    n_in_folders = sum(class_folder(path) is not None for path in files.clips)
    n = len(files.clips)
    by_name = 2 * len(named.clips) > n or 2 * n_in_folders <= n
    if stored == "names" or (stored is None and by_name):
        source = named
    else:
        source = clips_in_folders(data_dir, files, tape_pattern)
        if named.clips:
            mix = f"{len(named.clips)} of {n} names follow the rule of named clips"
            source = dataclasses.replace(source, how=f"{source.how}; {mix}, which does not count")
    return dataclasses.replace(source, warnings=(*no_labels, *source.warnings))
