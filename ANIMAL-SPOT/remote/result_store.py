"""Results in a bucket: put together in a folder of this computer, and copied there as they come."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from animal_spot.remote.addresses import path_of, shown
from animal_spot.remote.stores import (
    RemoteError,
    State,
    fetch,
    files_at,
    keep_copy,
    probe,
    put,
    state_now,
)
from animal_spot.utils.errors import RunError, one_line
from animal_spot.utils.files import (
    atomic_path,
    file_digest,
    file_state,
    path_inside,
    refuse_links,
    require_writable_folder,
)
from animal_spot.utils.own_files import JsonLines, LineError

log = logging.getLogger(__name__)

NOTE = ".copied.jsonl"  # what was copied, and what it was there afterwards
_JOURNAL = re.compile(r"\.completed(\.[^/]*)?\.jsonl|\.shard\.[^/]*\.json")
_EVERY_S = 300.0  # results are copied while others are made
_AT_ONCE = 8  # files


class ResultStore:
    """Keeps the files of a folder at an address too.

    What others wrote or edited there is left as it is, and a line says so.

    Args:
        folder: Of this computer.
        address: Of the folder elsewhere.
        replace_edited: Replace what was edited there too, and keep a copy beside it.
    """

    def __init__(self, folder: Path, address: str, *, replace_edited: bool = False) -> None:
        self._folder, self._there = folder, path_of(address)
        self._replace_edited = replace_edited
        self._copied: dict[str, tuple[State, State]] = {}  # state here, and there
        self._said: set[str] = set()
        self._note = JsonLines(folder / NOTE)
        self._noting = threading.Lock()

    @contextlib.contextmanager
    def kept_up(self) -> Iterator[None]:
        """Copy results while the block makes them, and all that is left at its end.

        If nothing is known here of what the folder elsewhere holds, it is fetched first.

        Raises:
            RunError: If something could not be copied; the message says what to do.
            OSError: If one of the folders cannot be written.
        """
        require_writable_folder(self._folder, "the work folder")
        self._note.read(self._read)
        probe(self._there)
        if not any(_JOURNAL.fullmatch(name) for name in os.listdir(self._folder)):
            self._fetch()
        ended = threading.Event()
        beside = threading.Thread(target=self._copy_on, args=(ended,), daemon=True)
        beside.start()
        try:
            yield
        except KeyboardInterrupt:  # at once
            raise
        except BaseException:
            self._end(ended, beside)
            with contextlib.suppress(OSError):  # what ended the block is to be said
                self.copy()
            raise
        else:
            self._end(ended, beside)
            failed = self.copy()
        finally:
            self._note.close()
        if failed:
            name, reason = next(iter(failed.items()))
            raise RunError(
                f"{len(failed)} results could not be copied to {shown(self._there)}, such as "
                f"{name} ({reason}); they are in {self._folder}: start the same command again"
            )
        log.info("results: also at %s", shown(self._there))

    @staticmethod
    def _end(ended: threading.Event, beside: threading.Thread) -> None:
        ended.set()
        beside.join()

    def _copy_on(self, ended: threading.Event) -> None:
        while not ended.wait(_EVERY_S):
            reasons = list(self.copy().values())
            if reasons:
                log.warning("%d results wait to be copied: %s", len(reasons), reasons[0])

    def _read(self, content: dict[str, Any]) -> None:
        name, here, there = (content.get(key) for key in ("name", "here", "there"))
        states = isinstance(here, list) and isinstance(there, list)
        if not isinstance(name, str) or not states:
            raise LineError("not what is noted of a copy")
        self._copied[name] = here, there

    def _noted(self, name: str, here: State, there: State) -> None:
        with self._noting:
            self._copied[name] = here, there
            self._note.append({"name": name, "here": here, "there": there})

    def _path(self, name: str) -> Path:
        return self._there.joinpath(*name.split("/"))

    # -- from there -------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """Fetch what is there and not here, so that a run goes on from it."""
        try:
            found, _ = files_at(shown(self._there), hidden=True)
        except FileNotFoundError:
            return
        names = [path.relative_to(self._there).as_posix() for path in found]
        names = [name for name in names if _is_result(name)]
        if not any(map(_JOURNAL.fullmatch, names)):
            return
        log.info("%d files of an earlier run are fetched from %s", len(names), shown(self._there))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._fetch_one, names):
                pass

    def _fetch_one(self, name: str) -> None:
        place = path_inside(self._folder, name)
        if os.path.lexists(place):
            return
        refuse_links(place, self._folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as temporary:
            there = fetch(self._path(name), temporary)
        self._noted(name, file_state(place), there)

    # -- to there ---------------------------------------------------------------------------------

    def copy(self) -> dict[str, str]:
        """Copy what is new or has changed; return what could not be, and why.

        The journal goes last, as it was before the results were looked for: it never names one
        that is not there.
        """
        with tempfile.TemporaryDirectory() as held:
            journals = {}
            for path in self._folder.iterdir():
                if _JOURNAL.fullmatch(path.name) and self._has_changed(path.name, file_state(path)):
                    journals[path.name] = file_state(path)
                    shutil.copyfile(path, Path(held, path.name))
            results = {}
            for name in self._names():
                with contextlib.suppress(FileNotFoundError):  # it was moved since
                    results[name] = file_state(self._folder / name)
            failed = self._copy_all(self._folder, results)
            return failed or self._copy_all(Path(held), journals)

    def _names(self) -> Iterator[str]:
        for parent, folders, files in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = Path(parent).relative_to(self._folder)
            for name in sorted(files):
                relative = (inside / name).as_posix()
                if _is_result(relative) and not _JOURNAL.fullmatch(relative):
                    yield relative

    def _copy_all(self, folder: Path, states: dict[str, State]) -> dict[str, str]:
        todo = [name for name, state in states.items() if self._has_changed(name, state)]

        def copied(name: str) -> str:
            try:
                self._copy_one(name, folder / name, states[name])
            except RemoteError as error:
                return error.reason
            except OSError as error:
                return one_line(error)
            return ""

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            reasons = dict(zip(todo, pool.map(copied, todo), strict=True))
        return {name: reason for name, reason in reasons.items() if reason}

    def _has_changed(self, name: str, here: State) -> bool:
        return self._copied.get(name, ([], []))[0] != here

    def _copy_one(self, name: str, source: Path, here: State) -> None:
        path = self._path(name)
        there = state_now(path)
        known = self._copied.get(name, ([], []))[1]
        if there is not None and there != known:
            if self._is_same(path, there, source):
                self._noted(name, here, there)
                return
            if not self._replace_edited:
                self._say_left(name)
                return
            keep_copy(path)
        self._noted(name, here, put(source, path))

    def _is_same(self, path: Path, there: State, source: Path) -> bool:
        if there[0] != source.stat().st_size:
            return False
        with tempfile.TemporaryDirectory() as held:
            copy = Path(held, "copy")
            fetch(path, copy)
            return file_digest(copy) == file_digest(source)

    def _say_left(self, name: str) -> None:
        if name not in self._said:
            self._said.add(name)
            log.warning(
                "%s was edited or written by others there and is left as it is "
                "(--replace_edited replaces it and keeps a copy)",
                shown(self._path(name)),
            )


def _is_result(name: str) -> bool:
    """Tell whether a file is one that people see, or a journal."""
    hidden = any(part.startswith((".", "%~")) for part in name.split("/"))
    return not hidden or _JOURNAL.fullmatch(name) is not None
