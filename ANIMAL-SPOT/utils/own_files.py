"""What a program wrote into a folder, so that it replaces nothing that people made or edited."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animal_spot.utils.files import atomic_path, file_digest, file_state, path_inside
from animal_spot.utils.text import printable

_LARGEST = 2**63
_LONGEST_NAME = 1024
_DIGEST = re.compile(r"[0-9a-f]{32}")
_SEPARATOR = re.compile(r"[/\\\0:]" if os.name == "nt" else r"[/\0]")
_BACKUP = re.compile(r"\.bak\d*\Z")
_REPLACE = "--replace_edited replaces it and keeps a copy"

log = logging.getLogger(__name__)


class LineError(ValueError):
    """A line of a journal that cannot be used; the message says why."""


class JsonLines:
    """A file of JSON objects, one a line, to which objects are appended.

    A line that a killed program left unfinished is not read, and ended before the next one.

    Args:
        path: The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = None

    def read(self, use: Callable[[dict[str, Any]], None]) -> None:
        """Give each object to ``use``; of those that raise ``LineError`` a warning is logged.

        Raises:
            OSError: If the file is there and cannot be read, or is a link or no regular file.
        """
        if not os.path.lexists(self.path):
            return
        if not stat.S_ISREG(os.lstat(self.path).st_mode):
            raise OSError(f"{self.path} is a link or no regular file: take it away")
        with open(self.path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # empty, or cut off when the program was killed
                try:
                    if not isinstance(content, dict):
                        raise LineError("not an object")
                    use(content)
                except LineError as error:
                    log.warning("%s: line %d is passed over: %s", self.path, number, error)

    def append(self, content: dict[str, Any]) -> None:
        """Write a line.

        Raises:
            OSError: If it cannot be written.
        """
        if self._file is None:
            self._file = open(self.path, "ab")  # noqa: SIM115 - open as long as the run
            self._file.write(b"\n")
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Written:
    """A file as a program left it.

    Attributes:
        size: Bytes.
        digest: Hash of them; empty if only the size is known.
        state: Size and times in ns; while they are the same the bytes need not be read.
        of: What it is about, such as the result that a table was made from.
    """

    size: int
    digest: str = ""
    state: tuple[int, ...] = ()
    of: str = ""


class OwnFiles:
    """The files in a folder that a program wrote there, by name.

    A file counts as own while it is as it was written. Anything else, edited, replaced or put
    there, is left alone unless it was said that it may be replaced; then a copy is kept.

    Args:
        folder: The folder.
        lines: Where it is kept what was written, in lines with a key ``wrote``.
        replace_edited: Replace what is not own too, and keep a copy.
    """

    def __init__(self, folder: Path, lines: JsonLines, *, replace_edited: bool = False) -> None:
        self._folder = folder
        self._lines = lines
        self._replace_edited = replace_edited
        # Since the last that is sure to be there: a killed program may have left any of them.
        self._written: dict[str, list[Written]] = {}
        self._said: set[str] = set()

    def read(self, content: dict[str, Any]) -> None:
        """Take a line with a key ``wrote``.

        Raises:
            LineError: If something of it is not of its type, or is no name of a file in the folder.
        """
        name = file_name(content.get("wrote"), self._folder)
        size, digest, of = content.get("size"), content.get("digest"), content.get("of", "")
        state = content.get("state", [])
        if not is_count(size) or not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise LineError("size or digest of a file is none")
        if not isinstance(state, list) or len(state) > 3 or not all(map(is_count, state)):
            raise LineError("state of a file is no list of numbers")
        if not isinstance(of, str) or len(of) > _LONGEST_NAME:
            raise LineError("what a file is of is no name")
        self._remember(name, Written(size, digest, tuple(state), of))

    def _remember(self, name: str, written: Written) -> None:
        before = [] if written.state else self._written.get(name, [])
        self._written[name] = [*before, written]

    @property
    def left(self) -> frozenset[str]:
        """The files that were left as they are."""
        return frozenset(self._said)

    def names_of(self, of: str) -> list[str]:
        """Return the files that are about something."""
        return [name for name, versions in self._written.items() if versions[-1].of == of]

    def is_known(self, name: str) -> bool:
        """Tell whether the program ever wrote a file of that name here."""
        return name in self._written

    def is_as_written(self, name: str, size: int | None = None) -> bool:
        """Tell whether a file is as the program left it.

        Args:
            name: Of the file.
            size: What is known of it where no more is, in bytes.

        Raises:
            OSError: If it is there and cannot be read.
        """
        path = self._folder / name
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode):
            return False
        versions = self._written.get(name, [])
        if not versions:
            return size is not None and status.st_size == size
        if any(written.state == tuple(file_state(path)) for written in versions):
            return True
        if all(written.size != status.st_size for written in versions):
            return False
        return file_digest(path) in {written.digest for written in versions}

    def is_edited(self, name: str, size: int | None = None) -> bool:
        """Tell whether there is a file that is not, or no more, as the program left it."""
        return os.path.lexists(self._folder / name) and not self.is_as_written(name, size)

    def say_left(self, name: str, size: int | None = None) -> None:
        """Say once of a file that it is left as it is."""
        if name not in self._said:
            self._said.add(name)
            known = self.is_known(name) or size is not None
            what = "was edited after it was written" if known else "was not written by this program"
            log.warning("%s %s and is left as it is (%s)", self._folder / name, what, _REPLACE)

    def may_write(self, name: str, *, size: int | None = None, ours_by_name: bool = False) -> bool:
        """Make way for a file; False if what is there is left alone, which is then said.

        Args:
            name: Of the file.
            size: What is known of an own one where no more is.
            ours_by_name: Nobody else calls a file so: what is there unknown may be replaced, and
                a copy is kept.

        Raises:
            OSError: If a folder is there, or it cannot be renamed.
        """
        path = self._folder / name
        if path.is_symlink():
            log.warning("%s was a link: it is replaced, not followed", path)
            path.unlink()
            return True
        if path.is_dir():
            raise OSError(f"{path} is a folder: move it away")
        if not self.is_edited(name, size):
            return True
        if self._replace_edited or (ours_by_name and not self.is_known(name) and size is None):
            log.warning("%s is replaced; what it was is in %s", path, keep_copy(path).name)
            return True
        self.say_left(name, size)
        return False

    @contextlib.contextmanager
    def writing(self, name: str, *, of: str = "") -> Iterator[Path]:
        """Give a temporary path that becomes the file when the block ends well.

        What will be there is noted before, so that it is known whenever the program is killed.

        Args:
            name: Of the file.
            of: What it is about.

        Raises:
            OSError: If something cannot be written.
        """
        path = self._folder / name
        with atomic_path(path) as temporary:
            yield temporary
            written = Written(temporary.stat().st_size, file_digest(temporary), of=of)
            self._note(name, written)
        self._note(name, Written(written.size, written.digest, tuple(file_state(path)), of))

    def adopt(self, name: str, source: Path, *, digest: str, of: str = "") -> None:
        """Take a whole file that another process of this program wrote, flushed to disk.

        Args:
            name: What it becomes.
            source: Where it is, on the same drive.
            digest: Hash of its bytes.
            of: What it is about.

        Raises:
            OSError: If it is no regular file or cannot be moved.
        """
        status = os.lstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{source} is no regular file")
        self._note(name, Written(status.st_size, digest, of=of))
        path = self._folder / name
        os.replace(source, path)
        self._note(name, Written(status.st_size, digest, tuple(file_state(path)), of))

    def has_text(self, name: str, text: str) -> bool:
        """Tell whether a file holds this very text already.

        Raises:
            OSError: If it cannot be read.
        """
        path = self._folder / name
        content = _encoded(text)
        if path.is_symlink() or not path.is_file() or path.stat().st_size != len(content):
            return False
        return path.read_bytes() == content

    def write_text(self, name: str, text: str, *, of: str = "") -> None:
        """Write UTF-8 text unless it is there already.

        Bytes of file names that are not UTF-8 are written as they are.

        Raises:
            OSError: If something cannot be written.
        """
        path = self._folder / name
        if self.has_text(name, text):
            if not self.is_as_written(name):  # written by somebody else, or before there was a note
                state = tuple(file_state(path))
                self._note(name, Written(state[0], file_digest(path), state, of))
            return
        with self.writing(name, of=of) as temporary:
            temporary.write_bytes(_encoded(text))

    def remove(self, name: str, *, size: int | None = None) -> bool:
        """Remove an own file; one that is edited is left alone, which is then said.

        Returns:
            Whether there was one.

        Raises:
            OSError: If it cannot be removed.
        """
        if self.is_edited(name, size):
            self.say_left(name, size)
            return False
        path = self._folder / name
        if not path.exists():
            return False
        path.unlink()
        return True

    def _note(self, name: str, written: Written) -> None:
        line = {"wrote": name, "size": written.size, "digest": written.digest}
        if written.state:
            line["state"] = list(written.state)
        if written.of:
            line["of"] = written.of
        self._lines.append(line)
        self._remember(name, written)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def file_name(value: object, folder: Path) -> str:
    """Return what a journal calls a file in a folder, once it is shown to be one.

    Raises:
        LineError: If it is no name, or leads out of the folder.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise LineError("the name of a file is none")
    if value in (".", "..") or _SEPARATOR.search(value):
        raise LineError(f"{printable(value)} is no name of a file in the folder")
    if os.path.islink(folder / value):  # nothing else leads a name without folders out of it
        try:
            path_inside(folder, value)
        except ValueError as error:
            raise LineError(str(error)) from error
    return value


def is_count(value: object) -> bool:
    """Tell whether a value is a whole number from 0 on, of reasonable size."""
    return type(value) is int and 0 <= value < _LARGEST


def is_copy(name: str) -> bool:
    """Tell whether a name is that of a copy which ``keep_copy`` made."""
    return _BACKUP.search(name) is not None


def keep_copy(path: Path) -> Path:
    """Rename a file to ``.bak``, or ``.bak2`` and so on where there is one; return its new path.

    Raises:
        OSError: If it cannot be renamed.
    """
    number = 1
    while True:
        copy = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        if not os.path.lexists(copy):
            return path.rename(copy)
        number += 1
