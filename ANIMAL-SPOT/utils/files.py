"""Files that are whole or absent, folders that are checked before use, locks, safe paths."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

_READ_BYTES = 2**20
WAIT_S = 0.2  # between two looks at a lock that another process holds
TEMPORARY = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}\.tmp")

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}  # what drives without locks say
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

log = logging.getLogger(__name__)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes ``path`` when the block ends well.

    The file is flushed to disk before it is renamed. When the block raises, the temporary file is
    removed and whatever was at ``path`` stays.
    """
    with temporary_beside(path) as temporary:
        yield temporary
        flush_to_disk(temporary)
        os.replace(temporary, path)


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of another; what is there when the block ends goes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            error.filename = os.fspath(path)  # what writes into an open file does not know it
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until what was written to a file is on its disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text, line ends as given, so that no reader ever sees half of it.

    Bytes of file names that are not UTF-8 are written as they are.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


def require_writable_folder(path: Path, purpose: str) -> None:
    """Create a folder if need be and prove that a file can be written into it.

    Raises:
        OSError: With a message that names the folder, its purpose and the cause.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        with open(probe, "wb") as file:
            file.write(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{purpose} {path} cannot be written: {reason}") from error


def file_state(path: Path) -> list[int]:
    """Return what changes whenever a file is written: size and times in ns.

    Raises:
        OSError: If there is no such file.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def digest_of(content: bytes | memoryview) -> str:
    """Return the hash of bytes that files, clips and settings are known by."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """Return what ``digest_of`` says of the file's bytes.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class DigestAlong:
    """Computes ``file_digest`` while the file is read for something else, in step with that.

    So its bytes come from the disk once, and nothing is left to do at its end.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read; by all methods.
    """

    def __init__(self, path: Path) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._file = open(path, "rb")  # noqa: SIM115 - closed by __exit__
        self._n_bytes = os.fstat(self._file.fileno()).st_size
        self._n_read = 0

    def __enter__(self) -> DigestAlong:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def up_to(self, share: float) -> None:
        """Go on until about a share of the file is done; 0 to 1."""
        while self._n_read + _READ_BYTES <= share * self._n_bytes and self._next():
            pass

    def finish(self) -> str:
        """Go on to the end; return the hash."""
        while self._next():
            pass
        return self._digest.hexdigest()

    def _next(self) -> bool:
        chunk = self._file.read(_READ_BYTES)
        self._n_read += len(chunk)
        self._digest.update(chunk)
        return bool(chunk)


@contextlib.contextmanager
def sole_process(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock on a file while the block runs; it ends with the process, however that ends.

    What killed programs left half written in the file's folder is removed first.

    Args:
        path: The lock's file; it stays.
        purpose: What another process that holds it is doing, as in ``training in this folder``.

    Raises:
        OSError: If another process holds it, or the file cannot be made.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path))
        except BlockingIOError as error:
            raise OSError(f"another process is {purpose}; wait for it or end it{error}") from error
        remove_leftovers(path.parent)
        yield


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time into the block, by a lock on a file that is then removed.

    The lock ends with its process, however that ends.

    Raises:
        OSError: If the file cannot be made.
    """
    with contextlib.ExitStack() as held:
        waits = False
        while True:
            try:
                held.enter_context(locked(path, remove=True))
                break
            except BlockingIOError as error:
                if not waits:
                    log.info("waiting for another process, which holds %s; end it%s", path, error)
                waits = True
                time.sleep(WAIT_S)
        yield


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of this module that a killed program left in a folder.

    Those of a running program stay.
    """
    for path in folder.iterdir():
        found = TEMPORARY.fullmatch(path.name)
        if found and (os.name == "nt" or not _is_running(int(found[1]))):
            _unlink(path)  # which Windows refuses while it is open


@contextlib.contextmanager
def locked(path: Path, *, remove: bool = False) -> Iterator[None]:
    """Lock a file while the block runs, or fail at once; for those that know what to do then.

    Drives that cannot lock files, as some network drives, get a file that names its process.

    Args:
        path: The lock's file.
        remove: Whether it is removed at the end.

    Raises:
        BlockingIOError: If another process holds it; its text is empty, or continues a sentence
            with how to end that.
        OSError: If the file cannot be made.
    """
    refuse_links(path, path.parent)
    lock = _acquired(path)
    try:
        yield
    finally:
        if remove:
            _unlink(path)
        lock.release()


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
    path = folder / given
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link to itself
        is_inside = False
    if not is_inside:
        raise ValueError(f"{name!r} leads out of {folder} by a symbolic link")
    return path


def refuse_links(path: Path, below: Path) -> None:
    """Make sure that what is written to a path stays where it seems to be.

    Args:
        path: A path below the folder, which need not be there yet.
        below: The folder, which may itself be a link.

    Raises:
        OSError: If the path or a folder between the two is a symbolic link.
        ValueError: If the path is not below the folder.
    """
    place = below
    for part in path.relative_to(below).parts:
        place = place / part
        if place.is_symlink():
            raise OSError(
                f"{place} is a symbolic link, through which nothing is written: remove the link or "
                "choose another folder"
            )


def _acquired(path: Path) -> BaseFileLock:
    """Take the lock of a file; see ``locked``."""
    lock: BaseFileLock = FileLock(path, blocking=False, thread_local=False)
    hint = ""
    try:
        try:
            lock.acquire()
        except Timeout:
            raise
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            lock = SoftFileLock(f"{path}.owner", blocking=False, thread_local=False)
            hint = f", or remove {path}.owner if there is none"
            lock.acquire()
    except Timeout as error:
        raise BlockingIOError(hint) from error
    return lock


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # where asking so would end it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
