"""A recording mixed out of clips as files: a wav, and the Raven table that says what is in it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.detections.annotation_tables import RAVEN_ENDING, write_table
from animal_spot.detections.annotations import Annotation
from animal_spot.mixing.mixture import BAND_HZ, Mixture
from animal_spot.utils.files import atomic_path


def write_mixture(
    mixture: Mixture, folder: Path, stem: str, band_hz: tuple[float, float] = BAND_HZ
) -> None:
    """Write ``STEM.wav`` and ``STEM.Table.1.selections.txt``.

    Args:
        mixture: What to write.
        folder: Where to; made if it is not there.
        stem: Of both names.
        band_hz: Lower and upper end of the boxes in the table.

    Raises:
        OSError: If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / f"{stem}.wav") as temporary:
        sf.write(temporary, np.clip(mixture.waveform, -1, 1), mixture.rate, "PCM_16", format="WAV")
    # nobody gave a score
    rows = [Annotation(e.begin_s, e.end_s, e.label, math.nan) for e in mixture.events]
    write_table(rows, folder / f"{stem}{RAVEN_ENDING}", band_hz)
