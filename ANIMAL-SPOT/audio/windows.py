"""Sliding windows over a recording, and their network inputs, many at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WindowGrid:
    """Where windows start and end.

    Attributes:
        length: Samples of a window.
        hop: Samples between window starts.
        sample_rate: Hz.
        last_window: Add a window that ends with the recording, where the others stop short of it.
    """

    length: int
    hop: int
    sample_rate: int
    last_window: bool = False

    @classmethod
    def of_seconds(
        cls, sequence_len: float, hop: float, sample_rate: int, *, last_window: bool = False
    ) -> WindowGrid:
        """Round length and hop in seconds up to whole samples."""
        return cls(
            math.ceil(sequence_len * sample_rate),
            math.ceil(hop * sample_rate),
            sample_rate,
            last_window,
        )

    def n_windows(self, n_samples: int) -> int:
        """Return how many windows a recording has; a short one has one, of its own length."""
        n_regular = self.n_regular(n_samples)
        return n_regular + int(self._has_tail(n_samples, n_regular))

    def n_regular(self, n_samples: int) -> int:
        """Return the same without the window that ends with the recording."""
        return max(1, -(-(n_samples + 1 - self.length) // self.hop))

    def _has_tail(self, n_samples: int, n_regular: int) -> bool:
        return self.last_window and (n_regular - 1) * self.hop + self.length < n_samples

    def extents(self, first_window: int, n: int, n_samples: int) -> tuple[list[int], list[int]]:
        """Return the first and the last sample of ``n`` windows of a recording."""
        index = np.arange(first_window, first_window + n, dtype=np.int64)
        start = index * self.hop
        n_regular = self.n_regular(n_samples)
        if self._has_tail(n_samples, n_regular):
            start = np.where(index < n_regular, start, n_samples - self.length)
        end = np.minimum(start + self.length - 1, n_samples - 1)
        return start.tolist(), end.tolist()

    def rounded_s(self, samples: Sequence[int]) -> list[float]:
        """Return sample numbers as seconds with three decimals."""
        return [round(sample / self.sample_rate, 3) for sample in samples]


class WindowCutter:
    """Cuts a stream of samples into stretches that hold a number of windows each.

    Args:
        grid: Where windows lie.
        n_at_once: Windows of a full stretch.
        first_window: Of the recording, to begin with.
        end_window: Before which to end; None: no other than the recording's.
        first_sample: Of the recording, that is fed first; that window does not start before it.
    """

    def __init__(
        self,
        grid: WindowGrid,
        n_at_once: int,
        first_window: int = 0,
        end_window: int | None = None,
        first_sample: int = 0,
    ) -> None:
        self._grid = grid
        self._n_at_once = n_at_once
        self._parts: list[np.ndarray] = []
        self._n_held = 0
        self._first = first_sample  # sample of the recording that the held ones start with
        self._next = first_window  # window to cut next
        self._end = math.inf if end_window is None else end_window

    def feed(self, samples: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """Add samples; yield each full stretch and its number of windows."""
        self._hold(samples)
        grid, n = self._grid, self._n_at_once
        needed = (n - 1) * grid.hop + grid.length
        while (
            self._next + n <= self._end
            and self._first + self._n_held >= self._next * grid.hop + needed
        ):
            yield self._cut(self._next * grid.hop, needed), n
            self._next += n
            # A last window may start up to a hop before the next regular one.
            self._drop_before((self._next - int(grid.last_window)) * grid.hop)

    @property
    def window_counts(self) -> tuple[int, bool]:
        """Regular windows up to the end of what was fed, and whether a last one comes besides."""
        n_samples = self._first + self._n_held
        n_regular = self._grid.n_regular(n_samples)
        return n_regular, self._grid.n_windows(n_samples) > n_regular

    def finish(self, n_regular: int, has_last: bool) -> Iterator[tuple[np.ndarray, int]]:
        """Yield what is left when the recording ends.

        Args:
            n_regular: Windows of the recording, or before the one to end before; at another rate
                it may be one more or less than here, where rounding then adds a silent sample.
            has_last: Whether there is a window that ends with the recording besides.
        """
        grid = self._grid
        n_samples = self._first + self._n_held
        n_left = n_regular - self._next
        if n_left > 0:
            start = self._next * grid.hop
            needed = (n_left - 1) * grid.hop + grid.length
            if n_regular == 1:
                needed = min(needed, n_samples)
            self._hold(np.zeros(max(0, start + needed - n_samples), np.float32))
            yield self._cut(start, needed), n_left
        if has_last:
            yield self._cut(max(0, n_samples - grid.length), min(grid.length, n_samples)), 1

    def _hold(self, samples: np.ndarray) -> None:
        if len(samples):
            self._parts.append(samples)
            self._n_held += len(samples)

    def _cut(self, start: int, n: int) -> np.ndarray:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        offset = start - self._first
        return self._parts[0][offset : offset + n]

    def _drop_before(self, sample: int) -> None:
        """Let go of samples that no window to come needs."""
        n = min(max(0, sample - self._first), self._n_held)
        if n:
            (held,) = self._parts
            self._parts = [held[n:]]
            self._first += n
            self._n_held -= n
