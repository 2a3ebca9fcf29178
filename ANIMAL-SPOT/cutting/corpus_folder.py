"""The folder of a corpus: its journal, what is in it, and what may be added."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from animal_spot.audio.sound_kinds import is_read
from animal_spot.cutting import labels_file
from animal_spot.cutting.labels_file import LabelsFileError, add_labels, read_labels
from animal_spot.cutting.tapes import TapeBook
from animal_spot.utils.own_files import JsonLines, LineError, OwnFiles, file_name

LOCK = ".clips.lock"
JOURNAL = ".clips.jsonl"
_N_PARTS = 4  # of a name, from the right: what comes before, tape, begin, end

log = logging.getLogger(__name__)


class CorpusFolder:
    """A corpus on disk, to which clips are added; nothing in it is replaced.

    Args:
        folder: The folder, which no other process writes to.
        replace_edited: Replace lists that a person edited too, and keep a copy.

    Attributes:
        folder: The folder.
        tapes: Which recording is which tape.
        own: Lists that the program writes.

    Raises:
        OSError: If something cannot be read.
    """

    def __init__(self, folder: Path, *, replace_edited: bool = False) -> None:
        self.folder = folder
        self._lines = JsonLines(folder / JOURNAL)
        self.tapes = TapeBook(self._lines)
        self.own = OwnFiles(folder, self._lines, replace_edited=replace_edited)
        self._listed: set[str] = set()  # stems of clips that were complete once, and have a row
        self._settings: dict[str, Any] | None = None
        self._lines.read(self._use)
        self._by_tape: dict[str, list[str]] | None = None
        names = (name for name in os.listdir(folder) if is_read(name))
        self._there = {_stem(name): name for name in names}
        try:
            self._rows = read_labels(folder / labels_file.NAME)
        except LabelsFileError as error:
            log.warning("%s: rows of new clips come into %s", error, labels_file.NEW_NAME)
            self._rows = []
            self._labels = folder / labels_file.NEW_NAME
        else:
            self._labels = folder / labels_file.NAME

    def _use(self, content: dict[str, Any]) -> None:
        if "tape" in content:
            self.tapes.read(content)
        elif "wrote" in content:
            self.own.read(content)
        elif "listed" in content:
            self._listed.add(_stem(file_name(content["listed"], self.folder)))
        elif isinstance(content.get("settings"), dict):
            self._settings = content["settings"]
        else:
            raise LineError("unknown")

    def require_settings(self, settings: Mapping[str, Any]) -> None:
        """Make sure that a corpus is cut in one way; the first run says which.

        Raises:
            ValueError: If it was cut in another way before.
        """
        if self._settings is None:
            self._lines.append({"settings": dict(settings)})
            self._settings = dict(settings)
        for name, value in settings.items():
            before = self._settings.get(name, value)
            if before != value:
                was, now = ("not given" if v is None else f"{v:g}" for v in (before, value))
                raise ValueError(
                    f"{self.folder} was cut with --{name} {was}, now it is {now}: every call would "
                    "be in it twice; use the same, or another --output_dir"
                )

    def file_of(self, stem: str) -> str | None:
        """Return the clip of a name without ending, whatever its ending; None: there is none."""
        return self._there.get(stem.casefold())

    def was_removed(self, stem: str) -> bool:
        """Tell whether a clip was there, and a person took it away."""
        return stem.casefold() in self._listed and self.file_of(stem) is None

    def stems_of(self, tape: str) -> list[str]:
        """Return the names of the clips of a tape, in small letters, also of such as were removed.

        Args:
            tape: As names of clips have it.
        """
        if self._by_tape is None:
            self._by_tape = {}
            for stem in self._there.keys() | self._listed:
                parts = stem.rsplit("_", 3)
                if len(parts) == _N_PARTS:
                    self._by_tape.setdefault(parts[1], []).append(stem)
        return self._by_tape.get(tape.casefold(), [])

    def is_listed(self, stem: str) -> bool:
        """Tell whether a clip was given its row once."""
        return stem.casefold() in self._listed

    def rows(self) -> list[dict[str, str]]:
        """Return the rows of ``labels.csv`` whose clips are there."""
        return [row for row in self._rows if _stem(row.get("file", "")) in self._there]

    def add(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Give clips that are there their rows in ``labels.csv``, unless they have them.

        Raises:
            OSError: If it cannot be written.
        """
        added = [
            {name: str(cell) for name, cell in row.items() if cell is not None} for row in rows
        ]
        in_table = {_stem(row.get("file", "")) for row in self._rows}
        missing = [row for row in added if _stem(row["file"]) not in in_table]
        if missing:
            add_labels(self._labels, missing)
        self._rows += missing
        self._by_tape = None
        for row in added:
            self._lines.append({"listed": row["file"]})
            self._there[_stem(row["file"])] = row["file"]
            self._listed.add(_stem(row["file"]))

    def close(self) -> None:
        """Close the journal."""
        self._lines.close()


def _stem(file: str) -> str:
    return os.path.splitext(file)[0].casefold()
