"""Files that are whole or not there at all, folders for one process, paths that stay inside."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footprints.errors import UserError
from footprints.text import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

LOCK = ".lock"  # in an output folder, while a step works there
MARK = ".unfinished-"  # how the names of temporary files and folders begin
MAX_TEXT_BYTES = 2**28
_held: set[int] = set()  # locked files, which processes made by fork must not keep locked


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


@contextlib.contextmanager
def output_folder(folder: Path, *ours: str) -> Iterator[None]:
    """Have a folder that a step writes into for this process alone; made if it is not there.

    Links in it would lead elsewhere and are refused; what killed steps left is removed.

    Args:
        folder: The output folder; it may be a link itself.
        *ours: Names of the folders and files in it that only our steps write. Links are refused
            in them and below; all leftovers below are removed.

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
    while True:
        descriptor = _open_lock(path)
        try:
            if not _lock(descriptor):
                where = printable(Path(path).parent)
                raise UserError(f"{where}: another process is {purpose}; wait for it or end it")
            if _is_at(descriptor, path):  # else its last owner has removed it meanwhile
                _held.add(descriptor)
                yield
                return
        finally:
            try:
                if descriptor in _held:
                    with contextlib.suppress(OSError):  # Windows: it is open, by us
                        os.unlink(path)
            finally:
                _held.discard(descriptor)
                os.close(descriptor)


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


def _open_lock(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags, 0o666)
    except OSError:
        refuse_links(Path(path), Path(path).parent)
        raise


def _lock(descriptor: int) -> bool:
    """Lock an open file; False if another process holds it. Drives without locks: only warned."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if isinstance(error, BlockingIOError) or error.errno in (errno.EACCES, errno.EDEADLK):
            return False
        print(
            f"warning: this drive has no locks ({error.strerror}): see that only one process "
            "works in the folder",
            file=sys.stderr,
        )
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _leave_locks_to_parent() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks_to_parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
