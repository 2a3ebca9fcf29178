"""Progress over recordings and hours of sound: a bar, plain lines, and lines for programs."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from tqdm import tqdm

from animal_spot.audio.recordings import estimated_duration_s
from animal_spot.remote.addresses import is_remote
from animal_spot.remote.stores import size_of

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_RECORDS = 10.0
_LONGEST_RECORD = 4096  # bytes


class SoundProgress:
    """Says how much sound is done, how many times faster than real time, and what is left.

    Args:
        file: A line of JSON is appended to it now and then, see ``record``; None: to none.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._total_s = self._done_s = 0.0
        self._n_total = self._n_done = self._n_failed = 0
        self._started = self._last_line = self._last_record = time.perf_counter()
        self._is_measured = False
        self._bar: tqdm | None = None
        self._file = file

    def start(self, paths: Sequence[Path]) -> None:
        """Begin; how long the recordings are is found out beside the work."""
        self._started = self._last_line = time.perf_counter()
        self._n_total = len(paths)
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=0.0,
                unit="h",
                bar_format="{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} h of sound{postfix}, "
                "{remaining} left",
            )
        self._record("running")
        threading.Thread(target=self._measure, args=(paths,), daemon=True).start()

    def _measure(self, paths: Sequence[Path]) -> None:
        bytes_per_s: dict[tuple[Path, str], float] = {}
        for path in paths:
            self._total_s += _about_s(path, bytes_per_s)
        self._is_measured = True

    def add(self, seconds: float) -> None:
        """Note that more sound is done."""
        self._done_s += seconds
        self._say()

    def recording(self, *, failed: bool = False) -> None:
        """Note that a recording is done, or could not be used."""
        self._n_done += not failed
        self._n_failed += failed
        self._say()

    def _say(self) -> None:
        now = time.perf_counter()
        n = self._n_done + self._n_failed
        if self._bar is not None:
            self._bar.total = self._total_s / 3600
            done = min(self._done_s, self._total_s) / 3600
            recordings = f", {n}/{self._n_total} recordings, {self.speed:.0f} x real time"
            self._bar.set_postfix_str(recordings[2:], refresh=False)
            self._bar.update(done - self._bar.n)
        elif now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            log.info(
                "%d of %d recordings, %.2f of %.2f h of sound, %.0f x real time, %s left",
                *(n, self._n_total, self._done_s / 3600, self._total_s / 3600, self.speed),
                tqdm.format_interval(self._seconds_left),
            )
        if now - self._last_record > _SECONDS_BETWEEN_RECORDS:
            self._record("running")

    def _record(self, state: str) -> None:
        """Append a line for programs; a full disk does not stop the work."""
        self._last_record = time.perf_counter()
        if self._file is None:
            return
        try:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(json.dumps(self.record(state)) + "\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._file, error.strerror)
            self._file = None

    def record(self, state: str) -> dict[str, str | int | float | None]:
        """Return the state of the work.

        ``hours_total`` grows until all recordings were looked at; ``seconds_left`` is None until
        then.
        """
        return {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "state": state,
            "recordings_done": self._n_done,
            "recordings_failed": self._n_failed,
            "recordings_total": self._n_total,
            "hours_done": round(self._done_s / 3600, 4),
            "hours_total": round(self._total_s / 3600, 4),
            "times_real_time": round(self.speed, 2),
            "seconds_left": round(self._seconds_left) if self._is_measured else None,
        }

    @property
    def _seconds_left(self) -> float:
        return max(0.0, self._total_s - self._done_s) / self.speed

    @property
    def speed(self) -> float:
        """Seconds of sound a second."""
        return max(self._done_s / max(time.perf_counter() - self._started, 1e-9), 1e-9)

    def close(self) -> None:
        """Leave the bar as it stands, and note whether all recordings were reached."""
        if self._bar is not None:
            self._bar.close()
        n = self._n_done + self._n_failed
        self._record("done" if n == self._n_total else "stopped")


def refuse_other_file(path: Path) -> None:
    """Make sure that lines are appended to no file but one of such lines.

    Raises:
        ValueError: If there is another, or a folder.
        OSError: If it cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"--progress_file {path} is a folder: name a file")
    if not path.is_file() or not path.stat().st_size:
        return
    with open(path, "rb") as file:
        first = file.readline(_LONGEST_RECORD)
    try:
        is_own = "recordings_total" in json.loads(first)
    except (ValueError, TypeError, RecursionError):
        is_own = False
    if not is_own:
        raise ValueError(
            f"--progress_file {path} is there and holds something else: it is left as it is; name "
            "another file"
        )


def _about_s(path: Path, bytes_per_s: dict[tuple[Path, str], float]) -> float:
    """Return about how long a recording is; 0 if that cannot be told.

    Of those at addresses one of a folder tells for the others, whose sizes the listing has said.
    """
    if not is_remote(path):
        return estimated_duration_s(path)
    kind = path.parent, path.suffix
    try:
        if kind not in bytes_per_s:
            seconds = estimated_duration_s(path)
            bytes_per_s[kind] = size_of(path) / seconds if seconds else 0.0
        return size_of(path) / bytes_per_s[kind] if bytes_per_s[kind] else 0.0
    except OSError:
        return 0.0
