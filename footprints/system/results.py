"""Tables and pictures that people work on once they are written: edited ones are left alone."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from footprints.system.files import path_inside, sha256_of, write_bytes, write_json
from footprints.system.progress import warn
from footprints.system.typed import json_object

RECORD = ".written.json"  # name -> checksums of what we wrote there


def add_replace_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that lets edited results be replaced."""
    parser.add_argument(
        "--replace_edited",
        action="store_true",
        help="replace results that were edited since they were written; what is replaced is kept "
        "beside them as .bak (default: leave them as they are and say so)",
    )


def is_of_older_release(folder: Path, name: str, *keys: str) -> bool:
    """Tell whether a folder holds results of a release that noted no checksums.

    Args:
        folder: The output folder.
        name: Of the JSON file that such a release wrote.
        *keys: That it holds.
    """
    if os.path.lexists(Path(folder) / RECORD):
        return False
    try:
        return {*keys} <= json_object((Path(folder) / name).read_bytes()).keys()
    except (OSError, ValueError):
        return False


class Results:
    """Files of an output folder, each with a checksum of what was written; for one process.

    Files that were edited, or are not ours, stay as they are: a line says so, and nothing is
    written in their place.

    Args:
        folder: The output folder; made with the first file.
        names: Of the files that may be written.
        replace_edited: Move such files away, to ``NAME.bak`` (``NAME.bak2``, ...), and write anew.
        trusted: Take files without a checksum for ours, not for somebody's.
        record: Name of the file in the folder that keeps the checksums.

    Attributes:
        left: Names of the files that stay as they are.
    """

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        replace_edited: bool = False,
        *,
        trusted: bool = False,
        record: str = RECORD,
    ) -> None:
        self.folder = Path(folder)
        self._record = self.folder / record
        self._sums = self._recorded()
        edited = [name for name in names if self._is_edited(name, trusted)]
        self.left = frozenset() if replace_edited else frozenset(edited)
        for name in edited:
            path = self.folder / name
            if replace_edited:
                os.rename(path, _free_backup(path))
                continue
            known = name in self._sums
            what = "was edited after it was written" if known else "was not written by this program"
            warn(
                f"{path}: {what} and is left as it is (--replace_edited replaces it and keeps a "
                "copy)"
            )

    def write(self, name: str, content: bytes) -> None:
        """Write a file, unless these very bytes are there, or it is to be left as it is."""
        if name in self.left:
            return
        digest = hashlib.sha256(content).hexdigest()
        before = self._sums.get(name, [])
        if before != [digest]:
            # Noted before the file is there: a kill between the two makes no edit of it.
            self._note(name, [*before, digest])
        if not _holds(self.folder / name, digest):
            write_bytes(self.folder / name, content)
        if before != [digest]:
            self._note(name, [digest])

    def remove_others(self, names: Iterable[str]) -> None:
        """Remove what earlier runs wrote and this one has not; edited files stay."""
        self.remove({*self._sums} - {*names})

    def remove(self, names: Iterable[str]) -> None:
        """Remove what earlier runs wrote under these names; edited files stay."""
        for name in sorted({*names} & {*self._sums}):
            if not self._is_edited(name, trusted=False):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path_inside(self.folder, name))
            del self._sums[name]
            write_json(self._record, self._sums)

    def _note(self, name: str, sums: list[str]) -> None:
        self._sums = dict(sorted((self._sums | {name: sums}).items()))
        write_json(self._record, self._sums)

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text; see ``write``."""
        self.write(name, text.encode())

    def write_json(self, name: str, content: Any) -> None:
        """Write readable JSON; see ``write``."""
        self.write_text(name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def _recorded(self) -> dict[str, list[str]]:
        try:
            content = json_object(self._record.read_bytes())
        except (OSError, ValueError):
            return {}
        return {
            name: [one for one in sums if isinstance(one, str)]
            for name, sums in content.items()
            if isinstance(sums, list)
        }

    def _is_edited(self, name: str, trusted: bool) -> bool:
        path, known = self.folder / name, self._sums.get(name)
        if not os.path.lexists(path) or (trusted and known is None):
            return False
        try:
            return sha256_of(path) not in (known or ())
        except OSError:
            return True


def _holds(path: Path, digest: str) -> bool:
    with contextlib.suppress(OSError):
        return path.is_file() and sha256_of(path) == digest
    return False


def _free_backup(path: Path) -> Path:
    number, backup = 1, path.with_name(f"{path.name}.bak")
    while os.path.lexists(backup):
        number += 1
        backup = path.with_name(f"{path.name}.bak{number}")
    return backup
