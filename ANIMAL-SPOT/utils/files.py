"""Files that are either whole or absent, and folders that are checked before they are needed."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes ``path`` when the block ends well.

    The file is flushed to disk before it is renamed. When the block raises, the temporary file is
    removed and whatever was at ``path`` stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text, line ends as given, so that no reader ever sees half of it.

    Bytes of file names that are not UTF-8 are written as they are.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(text.encode("utf-8", errors="surrogateescape"))


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process at a time into the block, by a lock on a file that is then removed.

    The lock ends with its process, however that ends. On Windows, which lacks it, all enter.
    """
    if fcntl is None:
        yield
        return
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def require_writable_folder(path: Path, purpose: str) -> None:
    """Create a folder if need be and prove that a file can be written into it.

    Raises:
        OSError: With a message that names the folder, its purpose and the cause.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable.{os.getpid()}.{secrets.token_hex(4)}"
        with open(probe, "wb") as file:
            file.write(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{purpose} {path} cannot be written: {reason}") from error


@contextlib.contextmanager
def sole_process(path: Path, purpose: str) -> Iterator[None]:
    """Hold a lock on a file while the block runs; it ends with the process, however that ends.

    Raises:
        OSError: If another process holds it; ``purpose`` says what for.
    """
    with open(path, "ab") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(f"another process is {purpose}; wait for it or end it") from error
            except OSError as error:  # some network drives have no locks
                log.warning(
                    "%s cannot be locked (%s): see that only one process uses it", path, error
                )
        yield


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of ``atomic_path`` that a killed program left in a folder.

    Only for a folder that no other process writes to.
    """
    pattern = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")
    for path in folder.iterdir():
        if pattern.fullmatch(path.name):
            path.unlink(missing_ok=True)
