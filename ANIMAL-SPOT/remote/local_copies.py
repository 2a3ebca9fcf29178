"""Copies of recordings that lie elsewhere, for as long as they are read, in bounded space."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_spot.remote.addresses import is_remote
from animal_spot.remote.stores import RemoteError, State, fetch, size_of
from animal_spot.utils.files import locked

log = logging.getLogger(__name__)

_PREFIX = "animal-spot-sounds-"
_LOCK = ".lock"
_FETCHERS = 8  # files that are fetched at the same time
_AHEAD = 32  # files that lie ready at most, however small


@dataclass(frozen=True)
class LocalCopies:
    """Where copies may lie, and how much of them.

    Attributes:
        parent: Folder in which they get one of their own; None: the system's for temporary files.
        limit: Bytes that copies may take. The recording in hand is copied even if it is larger.
    """

    parent: Path | None = None
    limit: int = 10**10

    @contextlib.contextmanager
    def ahead(self, paths: Sequence[Path]) -> Iterator[CopiesAhead]:
        """Fetch those of these recordings that lie elsewhere, a few before they are asked for."""
        folder = _Folder(self.parent or Path(tempfile.gettempdir()))
        copies = CopiesAhead(folder, [path for path in paths if is_remote(path)], self.limit)
        try:
            yield copies
        finally:
            copies.stop()
            folder.remove()


class _Folder:
    """A folder of copies, made when the first one comes; it is gone with the program at the latest.

    What a killed program left beside it is removed.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._numbers = itertools.count()
        self._made: Path | None = None
        self._making = threading.Lock()
        self.remove: Callable[[], object] = lambda: None

    def new_place(self, path: Path) -> Path:
        """Return where a copy is to be made: a name of its own, with the ending of the original.

        Raises:
            OSError: If the folder cannot be made.
        """
        with self._making:
            if self._made is None:
                self._made = self._make()
        return self._made / f"{next(self._numbers)}{path.suffix}"

    def free(self) -> float:
        """Return the bytes that its disk has left; without end where nothing says so."""
        try:
            return shutil.disk_usage(self._made or self._parent).free
        except OSError:
            return math.inf

    def _make(self) -> Path:
        held = contextlib.ExitStack()
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            _remove_left(self._parent)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent))
            held.enter_context(locked(folder / _LOCK))
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(
                f"the folder for copies {self._parent} cannot be written ({reason}): choose "
                "another by --cache_dir"
            ) from error
        self.remove = weakref.finalize(self, _remove, folder, held)  # also called at the end
        return folder


def _remove(folder: Path, held: contextlib.ExitStack) -> None:
    held.close()
    shutil.rmtree(folder, ignore_errors=True)


def _remove_left(parent: Path) -> None:
    """Remove the folders of programs that were killed: nobody holds their lock."""
    for folder in parent.glob(f"{_PREFIX}*"):
        if folder.is_symlink() or not (folder / _LOCK).is_file():
            continue
        with contextlib.suppress(OSError):
            with locked(folder / _LOCK):
                pass
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Copy:
    """A recording that is being fetched, lies ready, or is read."""

    size: int
    place: Path | None = None
    state: State | None = None
    error: Exception | None = None
    in_hand: bool = False


class CopiesAhead:
    """Fetches recordings in their order, as far as there is room.

    Room is given in the order of the recordings. So whatever is asked for first gets it first, and
    nothing waits for ever for room that later ones hold.

    Args:
        folder: Where they go.
        paths: Recordings that lie elsewhere, in the order in which they are read.
        limit: Bytes that copies may take, as far as the disk has them, unless one alone takes more.
    """

    def __init__(self, folder: _Folder, paths: Sequence[Path], limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._waiting = deque(paths)
        self._expected = set(paths)
        self._there: dict[Path, _Copy] = {}
        self._next = threading.Lock()  # held by who gives room, so that it is given in order
        self._changed = threading.Condition()
        self._stopped = False
        for _ in range(min(_FETCHERS, len(paths))):
            threading.Thread(target=self._fetch_on, daemon=True).start()

    @contextlib.contextmanager
    def held(self, path: Path) -> Iterator[tuple[Path, State | None]]:
        """Give a recording as a file of this computer while the block runs, and its state.

        One that is here is given as it is, without a state.

        Raises:
            RemoteError: If it cannot be fetched.
        """
        if not is_remote(path):
            yield path, None
            return
        if path not in self._expected:
            raise RemoteError(path, "was not expected")
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._is_settled(path))
            copy = self._there.get(path)
            if copy is None or not (copy.state or copy.error):
                raise RemoteError(path, "the program was stopped")
            copy.in_hand = True
            self._changed.notify_all()
        try:
            if copy.error is not None:
                raise copy.error
            yield copy.place, copy.state
        finally:
            self._drop(path, copy)

    def stop(self) -> None:
        """End fetching, and remove what lies ready."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
            ready = [(path, copy) for path, copy in self._there.items() if copy.state]
        for path, copy in ready:
            self._drop(path, copy)

    def _is_settled(self, path: Path) -> bool:
        copy = self._there.get(path)
        return copy is not None and bool(copy.state or copy.error)

    def _drop(self, path: Path, copy: _Copy) -> None:
        if copy.place is not None:
            with contextlib.suppress(OSError):
                os.unlink(copy.place)
        with self._changed:
            if self._there.get(path) is copy:
                del self._there[path]
            self._changed.notify_all()

    def _fetch_on(self) -> None:
        while (begun := self._begin()) is not None:
            path, copy = begun
            state, error = None, copy.error
            if error is None:
                try:
                    copy.place = self._folder.new_place(path)
                    state = fetch(path, copy.place)
                except Exception as failed:  # one recording never stops the others
                    error = failed
            with self._changed:
                copy.state, copy.error = state, error
                self._changed.notify_all()
                stopped = self._stopped
            if stopped:
                self._drop(path, copy)

    def _begin(self) -> tuple[Path, _Copy] | None:
        """Wait for room for the next recording, and take it; None for no more."""
        with self._next:
            if not self._waiting:
                return None
            path, size, error = self._waiting[0], 0, None
            try:
                size = size_of(path)
            except Exception as failed:
                error = failed
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._has_room(size))
                if self._stopped:
                    return None
                self._waiting.popleft()
                copy = self._there[path] = _Copy(size, error=error)
                self._changed.notify_all()
                return path, copy

    def _has_room(self, size: int) -> bool:
        if not self._there:
            return True
        there = self._there.values()
        taken = sum(copy.size for copy in there)
        n_ready = sum(not copy.in_hand for copy in there)
        if taken + size > self._limit or n_ready >= _AHEAD:
            return False
        still_to_come = sum(copy.size for copy in there if not (copy.state or copy.error))
        return still_to_come + size <= self._folder.free()
