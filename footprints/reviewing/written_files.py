"""Files of an export: written anew when decisions change, left alone where people edited them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from footprints.system.files import path_inside, refuse_links, sha256_of, write_bytes

RECORD = ".review.jsonl"  # a line for each file: its name and checksum


class WrittenFiles:
    """What an export wrote into a folder, by name; for one process.

    Args:
        folder: It is made.

    Attributes:
        left: Names of the files that are not as they were written, and stay as they are.

    Raises:
        UserError: If the folder or its record is a link.
        OSError: If it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left: set[str] = set()
        self._sums: dict[str, set[str]] = {}
        refuse_links(folder / RECORD, folder)
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError), open(folder / RECORD, "rb") as lines:
            for line in lines:
                self._remember(line)
        self._record = open(folder / RECORD, "ab")  # noqa: SIM115 - open as long as the export
        self._record.write(b"\n")  # ends a line that a killed export left half done

    def _remember(self, line: bytes) -> None:
        try:
            content = json.loads(line)
            name, digest = content["name"], content["sha256"]
            path_inside(self.folder, name)
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # empty, cut off, or edited
        if digest is None:
            self._sums.pop(name, None)
        elif isinstance(digest, str):
            self._sums.setdefault(name, set()).add(digest)

    def _note(self, name: str, digest: str | None) -> None:
        self._record.write(json.dumps({"name": name, "sha256": digest}).encode() + b"\n")
        self._record.flush()

    def close(self) -> None:
        """Close the record."""
        self._record.close()

    def is_own(self, name: str) -> bool:
        """Tell whether a file is not there, or as it was written."""
        path = self.folder / name
        if not os.path.lexists(path):
            return True
        try:
            return not path.is_symlink() and sha256_of(path) in self._sums.get(name, ())
        except OSError:
            return False

    def write(self, name: str, content: bytes) -> None:
        """Write a file, unless it is there already, or somebody's."""
        path = self.folder / name
        refuse_links(path.parent, self.folder)
        digest = hashlib.sha256(content).hexdigest()
        if not self.is_own(name):
            if digest != sha256_of(path):
                self.left.add(name)
            return
        if digest not in self._sums.get(name, ()):
            self._note(name, digest)  # before it is there: a kill between makes no edit of it
            self._sums.setdefault(name, set()).add(digest)
        if not path.exists() or sha256_of(path) != digest:
            write_bytes(path, content)

    def remove_others(self, prefix: str, names: Iterable[str]) -> int:
        """Remove what an earlier export wrote below a folder and this one does not; count it."""
        n = 0
        for name in sorted({one for one in self._sums if one.startswith(prefix)} - {*names}):
            path = self.folder / name
            if not path.exists():
                continue
            if not self.is_own(name):
                self.left.add(name)
                continue
            path.unlink()
            n += 1
            del self._sums[name]
            self._note(name, None)
            with contextlib.suppress(OSError):  # other files are in it
                path.parent.rmdir()
        return n
