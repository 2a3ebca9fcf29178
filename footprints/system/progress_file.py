"""How far a long step is, as lines of JSON for programs that watch."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from footprints.system.errors import UserError
from footprints.system.flags import some_path
from footprints.system.progress import warn
from footprints.system.typed import json_object

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 10.0
_LONGEST_LINE = 4096  # bytes


def add_progress_flag(parser: argparse._ActionsContainer) -> None:
    """Add the flag that names the file."""
    parser.add_argument(
        "--progress_file",
        type=some_path,
        metavar="FILE",
        help="append a line of JSON to it every ten seconds: photos done, photos a second, seconds "
        "left (default: to none)",
    )


class PhotoProgress:
    """Counts photos and says so in a file, see ``record``; a full disk does not stop the work.

    Args:
        file: None: in none.
        total: Photos to be worked on.
    """

    def __init__(self, file: Path | None, total: int) -> None:
        self._file, self._total = file, total
        self._done = self._failed = 0
        self._started = time.monotonic()
        self._write("running")

    def photo(self, *, failed: bool) -> None:
        """Note that a photo is done, or could not be used."""
        self._done += not failed
        self._failed += failed
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_LINES:
            self._write("running")

    def over(self, found: Iterable[T], is_failed: Callable[[T], bool]) -> Iterator[T]:
        """Pass on what is found, one of a photo, and note each."""
        for one in found:
            self.photo(failed=is_failed(one))
            yield one

    def close(self) -> None:
        """Note whether all photos were reached."""
        self._write("done" if self._done + self._failed >= self._total else "stopped")

    def record(self, state: str) -> dict[str, str | int | float | None]:
        """Return the state of the work; ``seconds_left`` is None until a photo is done."""
        reached = self._done + self._failed
        rate = reached / max(time.monotonic() - self._started, 1e-9)
        left = max(0, self._total - reached)
        return {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "state": state,
            "photos_done": self._done,
            "photos_failed": self._failed,
            "photos_total": self._total,
            "photos_per_s": round(rate, 2),
            "seconds_left": round(left / rate) if reached else None,
        }

    def _write(self, state: str) -> None:
        self._written = time.monotonic()
        if self._file is None:
            return
        try:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(json.dumps(self.record(state)) + "\n")
        except OSError as error:
            warn(f"{self._file}: cannot be written: {error.strerror}")
            self._file = None


@contextmanager
def photo_progress(file: Path | None, total: int) -> Iterator[PhotoProgress]:
    """Have progress noted while the block runs, and how it ended."""
    noted = PhotoProgress(file, total)
    try:
        yield noted
    finally:
        noted.close()


def refuse_other_file(path: Path | None) -> None:
    """Make sure that lines are appended to no file but one of such lines.

    Raises:
        UserError: If there is another, or a folder.
        OSError: If it cannot be read.
    """
    if path is None or not path.exists():
        return
    if not path.is_file():
        raise UserError(f"{path}: --progress_file wants a file; name another")
    with open(path, "rb") as file:
        first = file.readline(_LONGEST_LINE)
    try:
        is_own = not first or "photos_total" in json_object(first)
    except ValueError:
        is_own = False
    if not is_own:
        raise UserError(
            f"{path}: holds something else and is left as it is; name another --progress_file"
        )
