"""Lowest and highest frequency of what was found in a recording."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from animal_spot.audio.call_band import call_band
from animal_spot.audio.channels import ChannelError, pick
from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.detections.annotations import Annotation

Band = tuple[float, float]  # Hz
_AROUND_S = 1.0  # of sound before and after an annotation, to compare it with
_LONGEST_S = 30.0  # of an annotation that is looked at


def measured_bands(
    path: Path, rows: Sequence[Annotation], channel: str, band_hz: Band
) -> list[Band]:
    """Measure the band of each annotation in the sound itself.

    Args:
        path: The recording.
        rows: Annotations.
        channel: What is heard of it.
        band_hz: Where the network listens; also taken where nothing stands out enough, or the
            recording cannot be read any more.
    """
    bands = [band_hz] * len(rows)
    with (
        contextlib.suppress(SoundError, ChannelError, OSError),  # the row itself is good
        contextlib.closing(SoundFile(path)) as file,
    ):
        for number, row in enumerate(rows):
            first = max(0.0, row.begin_s - _AROUND_S)
            last = min(row.end_s, row.begin_s + _LONGEST_S) + _AROUND_S
            file.seek(round(first * file.rate))
            waveform = pick(file.read(round((last - first) * file.rate)), channel)
            top = min(band_hz[1], file.rate / 2)
            found = call_band(
                waveform, file.rate, row.begin_s - first, row.end_s - first, (band_hz[0], top)
            )
            bands[number] = band_hz if found is None else (round(found[0], 1), round(found[1], 1))
    return bands
