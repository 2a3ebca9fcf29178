"""Decide where the classes and tapes of a data folder come from: names, folders or a table."""

from __future__ import annotations

from pathlib import Path

from animal_spot.data.clip_source import ClipSource
from animal_spot.data.convention import clips_by_name
from animal_spot.data.labels import find_files


class SourceError(ValueError):
    """What says the labels of clips cannot be read; one line says why and what to do."""


def find_source(
    data_dir: Path, *, labels: Path | None = None, tape_pattern: str | None = None
) -> ClipSource:
    """Find the labelled clips of a folder.

    Args:
        data_dir: The folder.
        labels: Table that says the clips and their classes; None: ``labels.csv`` in the folder, if
            there is one, else the names of the clips or their folders.
        tape_pattern: Regular expression that finds the tape in the path of a clip.

    Raises:
        SourceError: If what says the labels cannot be read.
    """
    files = find_files(data_dir)
    files.report()
    return clips_by_name(data_dir, files)
