"""Sections of a long recording, each of which gives the same numbers whoever reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from animal_spot.audio.clip_files import n_resampled
from animal_spot.audio.windows import WindowGrid

SECTION_S = 1800.0  # a recording up to one and a half times as long is read in one go
# More than is read before the first window and behind the last one: there a resampler that begins,
# or ends, makes other samples than one that goes on. soxr's needs 100 samples at the lower rate.
_MARGIN_S = 2


@dataclass(frozen=True)
class Section:
    """A part of a recording, of which no other has a window.

    Attributes:
        first_window: Number of its first window.
        end_window: Number of the window after its last one; None: it goes to the recording's end.
        start_s: Second to read from. Whole, so that at any rate a sample lies there.
        end_s: Second to read to; None: to the end.
    """

    first_window: int = 0
    end_window: int | None = None
    start_s: int = 0
    end_s: int | None = None


WHOLE = Section()


def sections_of(grids: Sequence[WindowGrid], rate: int, n_frames: int) -> list[Section]:
    """Divide a recording by its windows; one that is not long stays whole.

    Args:
        grids: Windows, all of the same times; the first one counts them.
        rate: Sampling rate of the recording, Hz.
        n_frames: Its samples.
    """
    grid = grids[0]
    n_windows = max(1, round(SECTION_S * grid.sample_rate / grid.hop))
    n_regular = grid.n_regular(n_resampled(n_frames, rate, grid.sample_rate))
    # The last section has half as many windows to one and a half times as many.
    firsts = range(0, max(1, n_regular - n_windows // 2), n_windows)
    if len(firsts) < 2:
        return [WHOLE]
    return [
        Section(
            first,
            None if first == firsts[-1] else first + n_windows,
            _start_s(grids, first),
            None if first == firsts[-1] else _end_s(grids, first + n_windows),
        )
        for first in firsts
    ]


def _start_s(grids: Sequence[WindowGrid], first: int) -> int:
    return max(0, min(first * grid.hop // grid.sample_rate for grid in grids) - _MARGIN_S)


def _end_s(grids: Sequence[WindowGrid], end: int) -> int:
    ends = [-(-((end - 1) * grid.hop + grid.length) // grid.sample_rate) for grid in grids]
    return max(ends) + _MARGIN_S
