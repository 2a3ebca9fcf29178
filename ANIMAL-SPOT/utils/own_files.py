"""What a program wrote into a folder, so that it replaces nothing that people made or edited."""

from __future__ import annotations

import bisect
import contextlib
import filecmp
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from animal_spot.utils.compact import TextIndex
from animal_spot.utils.files import (
    atomic_path,
    file_digest,
    file_state,
    flush_to_disk,
    path_inside,
    temporary_beside,
)
from animal_spot.utils.text import printable

_LARGEST = 2**63
_LONGEST_NAME = 1024
_DIGEST = re.compile(r"[0-9a-f]{32}")
_SEPARATOR = re.compile(r"[/\\\0:]" if os.name == "nt" else r"[/\0]")
_BACKUP = re.compile(r"\.bak\d*\Z")
_MOST_READERS = 16  # files that are open to be read
_REPLACE = "--replace_edited replaces it and keeps a copy"

log = logging.getLogger(__name__)


class LineError(ValueError):
    """A line of a journal that cannot be used; the message says why."""


class JsonLines:
    """A file of JSON objects, one a line, to which objects are appended.

    A line that a killed program left unfinished is not read, and ended before the next one. Each
    line has a place, by which it can be read again, so that nobody need keep what it says.

    Args:
        path: The file; it need not exist yet.
        before: Files of such lines that are read first, and not appended to.
    """

    def __init__(self, path: Path, before: Sequence[Path] = ()) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._paths = [*before, path]
        self._starts = [0]  # of each file, as if they were one; so far as they were read
        self._readers: dict[Path, BinaryIO] = {}  # the one used last at the end
        self._line: tuple[int, dict[str, Any]] = (-1, {})  # the last that was asked for

    def read(self, use: Callable[[dict[str, Any]], None]) -> None:
        """Give each object to ``use``; of those that raise ``LineError`` a warning is logged.

        Raises:
            OSError: If a file is there and cannot be read, or is a link or no regular file.
        """
        self.read_places(lambda content, _: use(content))

    def read_places(self, use: Callable[[dict[str, Any], int], None]) -> None:
        """Give each object and the place of its line to ``use``; else as ``read``."""
        self._starts = [0]
        for path in self._paths:
            end = self._read_one(path, self._starts[-1], use)
            if path != self.path:
                self._starts.append(end)

    def _read_one(self, path: Path, start: int, use: Callable[[dict[str, Any], int], None]) -> int:
        """Read a file whose first byte has a place; return the one behind its last."""
        if not os.path.lexists(path):
            return start
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(f"{path} is a link or no regular file: take it away")
        place = start
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                here, place = place, place + len(line)
                try:
                    content = json.loads(line.decode("utf-8", "surrogatepass"))
                except (ValueError, RecursionError):
                    continue  # empty, or cut off when the program was killed
                try:
                    if not isinstance(content, dict):
                        raise LineError("not an object")
                    use(content, here)
                except LineError as error:
                    log.warning("%s: line %d is passed over: %s", path, number, error)
        return place

    def line(self, place: int) -> dict[str, Any]:
        """Read the object again that has a place; it is not to be changed.

        Raises:
            OSError: If it is not there any more.
        """
        if self._line[0] == place:
            return self._line[1]
        number = bisect.bisect_right(self._starts, place) - 1
        reader = self._reader(self._paths[number])
        reader.seek(place - self._starts[number])
        try:
            content = json.loads(reader.readline().decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise OSError(f"{reader.name} was changed by another program: start again")
        self._line = place, content
        return content

    def _reader(self, path: Path) -> BinaryIO:
        reader = self._readers.pop(path, None) or open(path, "rb")  # noqa: SIM115 - see close
        self._readers[path] = reader
        if len(self._readers) > _MOST_READERS:
            self._readers.pop(next(iter(self._readers))).close()
        return reader

    def append(self, content: dict[str, Any]) -> int:
        """Write a line; return its place.

        Raises:
            OSError: If it cannot be written.
        """
        if self._file is None:
            self._file = open(self.path, "ab")  # noqa: SIM115 - open as long as the run
            self._file.write(b"\n")
        line = json.dumps(content).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        return self._starts[-1] + self._file.tell() - len(line)

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, *self._readers.values()):
            if file is not None:
                file.close()
        self._file = None
        self._readers.clear()


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
        many: Read what is known of a file again from ``lines`` when it is asked for, rather than
            keep it in memory.
    """

    def __init__(
        self, folder: Path, lines: JsonLines, *, replace_edited: bool = False, many: bool = False
    ) -> None:
        self._folder = folder
        self._lines = lines
        self._replace_edited = replace_edited
        self._many = many
        # Of each file the last that is sure to be there, by the place of its line or itself, and
        # what came after it: a killed program may have left any of them.
        self._settled = TextIndex()
        self._written: dict[str, list[Written]] = {}
        self._said: set[str] = set()

    def read(self, content: dict[str, Any], place: int | None = None) -> None:
        """Take a line with a key ``wrote``.

        Args:
            content: Of the line.
            place: Of the line; None: ``content`` is kept.

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
        self._remember(name, _written(content), place)

    def _remember(self, name: str, written: Written, place: int | None) -> None:
        if not written.state:
            self._written.setdefault(name, []).append(written)
        elif place is None or not self._many:
            self._written[name] = [written]
        else:
            self._settled[name] = place
            self._written.pop(name, None)

    def _versions(self, name: str) -> list[Written]:
        """Return all that a file may be as."""
        after = self._written.get(name, [])
        place = self._settled.get(name)
        if place is None or (after and after[0].state):
            return after
        return [_written(self._lines.line(place)), *after]

    @property
    def left(self) -> frozenset[str]:
        """The files that were left as they are."""
        return frozenset(self._said)

    def names_of(self, of: str) -> list[str]:
        """Return the files that are about something."""
        found = []
        for place in self._settled.numbers():
            line = self._lines.line(place)
            if line.get("of", "") == of and line["wrote"] not in self._written:
                found.append(line["wrote"])
        return found + [name for name, versions in self._written.items() if versions[-1].of == of]

    def is_known(self, name: str) -> bool:
        """Tell whether the program ever wrote a file of that name here."""
        return name in self._written or name in self._settled

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
        versions = self._versions(name)
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
        if self.has_text(name, text):
            self._note_as_it_is(name, of)
            return
        with self.writing(name, of=of) as temporary:
            temporary.write_bytes(_encoded(text))

    def update(self, names: Sequence[str], texts: Iterable[tuple[str, str]]) -> None:
        """Write tables of any length as ``write_text`` does, but those that were edited.

        Nobody else calls files so: what is there unknown is replaced, and a copy is kept.

        Args:
            names: Of the files.
            texts: Pieces of text, each after the name of the file that it belongs to.

        Raises:
            OSError: If something cannot be written.
        """
        with contextlib.ExitStack() as held:
            new = {n: held.enter_context(temporary_beside(self._folder / n)) for n in names}
            with contextlib.ExitStack() as opened:
                options = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
                files = {n: opened.enter_context(open(p, "w", **options)) for n, p in new.items()}
                for name, text in texts:
                    files[name].write(text)
            for name, source in new.items():
                if self._is_copy_of(source, name):
                    self._note_as_it_is(name, "")
                elif self.may_write(name, ours_by_name=True):
                    flush_to_disk(source)
                    self.adopt(name, source, digest=file_digest(source))

    def _is_copy_of(self, source: Path, name: str) -> bool:
        path = self._folder / name
        is_file = path.is_file() and not path.is_symlink()
        return is_file and filecmp.cmp(path, source, shallow=False)

    def _note_as_it_is(self, name: str, of: str) -> None:
        if not self.is_as_written(name):  # written by somebody else, or before there was a note
            path = self._folder / name
            state = tuple(file_state(path))
            self._note(name, Written(state[0], file_digest(path), state, of))

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
        self._remember(name, written, self._lines.append(line))


def _written(line: dict[str, Any]) -> Written:
    return Written(line["size"], line["digest"], tuple(line.get("state", ())), line.get("of", ""))


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
    if os.path.islink(
        os.path.join(folder, value)
    ):  # nothing else leads a name without folders out of it
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
