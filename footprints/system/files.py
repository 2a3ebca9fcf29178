"""Files that are whole or not there at all, folders for one process, paths that stay inside."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from footprints.system.errors import UserError
from footprints.system.text import printable, text_of_cell

LOCK = ".lock"  # in an output folder, while a step works there
MARK = ".unfinished-"  # how the names of temporary files and folders begin
MAX_TEXT_BYTES = 2**28
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}  # what drives without locks say


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it; folders are made.

    A kill at any moment leaves the old file or the new one, and perhaps a leftover that
    ``remove_leftovers`` finds.

    Raises:
        OSError: Naming the file, if it cannot be written.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=MARK, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; see ``write_bytes``."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write readable JSON; see ``write_bytes``."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an ``OSError`` of the block name this file: what the user knows, and never a blank."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_text(path: Path) -> str:
    """Return the text of a file, UTF-8 with or without a byte order mark.

    Raises:
        UserError: If there is no such regular file (a pipe would block for ever), or it is no text
            or larger than any text for us.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path}: a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: not a regular file")
        if status.st_size > MAX_TEXT_BYTES:
            raise UserError(f"{path}: too large for a text, {status.st_size} bytes")
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except ValueError:  # a NUL in its name
        raise UserError(f"{path}: no such file") from None


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table in CSV with a head, with the texts that were meant.

    A cell that is not there is empty.

    Raises:
        UserError: If it cannot be read, or is no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path)), restkey="", restval=""))
    except csv.Error as error:
        raise UserError(f"{path}: not a table in CSV: {error}") from None
    return [
        {key: text_of_cell(text) if isinstance(text, str) else "" for key, text in row.items()}
        for row in rows
    ]


@contextlib.contextmanager
def output_folder(
    folder: Path, *ours: str, check: Callable[[Path], None] | None = None
) -> Iterator[None]:
    """Have a folder that a step writes into for this process alone; made if it is not there.

    Links in it would lead elsewhere and are refused; what killed steps left is removed.

    Args:
        folder: The output folder; it may be a link itself.
        *ours: Names of the folders and files in it that only our steps write. Links are refused
            in them and below; all leftovers below are removed.
        check: Called when the folder is locked, before anything is removed.

    Raises:
        UserError: If the folder is a file or another process works there, or there is a link.
        OSError: If it cannot be made or written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{printable(folder)}: is a file; choose another folder for the output")
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with sole_process(folder / LOCK, "at work in this folder"):
        if check is not None:
            check(folder)
        for name in ours:
            refuse_links(folder / name, folder)
            _refuse_links_below(folder / name)
        remove_leftovers(folder, *ours)
        yield


@contextlib.contextmanager
def sole_process(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock on a file while the block runs; it ends with the process, however that ends.

    Args:
        path: The lock's file; it is made, and removed at the end.
        purpose: What another process that holds it is doing, as in ``at work in this folder``.

    Raises:
        UserError: If another process holds it, or it is a link.
        OSError: If the file cannot be made.
    """
    path = Path(path)
    refuse_links(path, path.parent)
    try:
        lock = _acquired(path)
    except Timeout as error:
        where = printable(path.parent)
        advice = "wait for it or end it"
        if error.lock_file != str(path):
            advice += f", or remove {printable(error.lock_file)} if there is none"
        raise UserError(f"{where}: another process is {purpose}; {advice}") from error
    try:
        yield
    finally:
        try:
            with contextlib.suppress(OSError):  # Windows: it is open, by us
                path.unlink()
        finally:  # also after a Ctrl-C just here
            lock.release()


def remove_leftovers(folder: Path, *below: str) -> None:
    """Delete what killed processes left under temporary names. Only under the folder's lock.

    Args:
        folder: Looked through itself, without its folders.
        *below: Names of folders in it that are looked through with all below.
    """
    folder = Path(folder)
    found = list(folder.glob(f"{MARK}*"))
    for name in below:
        found += (folder / name).rglob(f"{MARK}*")
    for path in found:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def path_inside(folder: Path, name: str) -> Path:
    """Return the path of a name that was read from a file, if it stays inside a folder.

    Args:
        folder: The folder that it must stay in.
        name: A path relative to the folder.

    Raises:
        ValueError: If it is no text, is absolute, has a ``..``, or leaves the folder by a link.
    """
    given = Path(name) if isinstance(name, str) and "\0" not in name else None
    if given is None or given.anchor or not given.parts or ".." in given.parts:
        raise ValueError(f"{name!r} is not a name of a file inside {folder}")
    path = Path(folder) / given
    try:
        is_inside = path.resolve().is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError):  # a link to itself
        is_inside = False
    if not is_inside:
        raise ValueError(f"{name!r} leads out of {folder} by a link")
    return path


def refuse_links(path: Path, below: Path) -> None:
    """Make sure that what is written to a path stays where it seems to be.

    Args:
        path: A path below the folder, which need not be there yet.
        below: The folder, which may itself be a link.

    Raises:
        UserError: If the path or a folder between the two is a link.
        ValueError: If the path is not below the folder.
    """
    place = Path(below)
    for part in Path(path).relative_to(below).parts:
        place = place / part
        if place.is_symlink():
            raise UserError(
                f"{printable(place)}: is a link, and nothing is written through links; remove it "
                "or choose another folder"
            )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _refuse_links_below(place: Path) -> None:
    for parent, folders, files in os.walk(place):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(parent, name)):
                refuse_links(Path(parent, name), Path(parent))


def _acquired(path: Path) -> BaseFileLock:
    """Lock a file; on drives without locks, as some network drives, a file names the process.

    Raises:
        Timeout: If another process has it.
    """
    lock: BaseFileLock = FileLock(path, blocking=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = SoftFileLock(f"{path}.owner", blocking=False, thread_local=False)
        lock.acquire()
    return lock


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
