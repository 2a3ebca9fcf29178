"""Progress over hours of sound: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from animal_spot.audio.recordings import estimated_duration_s

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 30.0


class SoundProgress:
    """Says how much sound is done, how many times faster than real time, and what is left."""

    def __init__(self) -> None:
        self._total_s = self._done_s = 0.0
        self._started = self._last_line = time.perf_counter()
        self._bar: tqdm | None = None

    def start(self, paths: Sequence[Path]) -> None:
        """Begin; how long the recordings are is found out beside the work."""
        self._started = self._last_line = time.perf_counter()
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=0.0,
                unit="h",
                bar_format="{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} h of sound{postfix}, "
                "{remaining} left",
            )

        threading.Thread(target=self._measure, args=(paths,), daemon=True).start()

    def _measure(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self._total_s += estimated_duration_s(path)

    def add(self, seconds: float) -> None:
        """Note that more sound is done."""
        self._done_s += seconds
        if self._bar is not None:
            self._bar.total = self._total_s / 3600
            done = min(self._done_s, self._total_s) / 3600
            self._bar.set_postfix_str(f" {self.speed:.0f} x real time", refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.perf_counter() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.perf_counter()
            left = max(0.0, self._total_s - self._done_s) / self.speed
            log.info(
                "%.2f of %.2f h of sound, %.0f x real time, %s left",
                self._done_s / 3600,
                self._total_s / 3600,
                self.speed,
                tqdm.format_interval(left),
            )

    @property
    def speed(self) -> float:
        """Seconds of sound a second."""
        return max(self._done_s / max(time.perf_counter() - self._started, 1e-9), 1e-9)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
