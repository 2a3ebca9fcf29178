"""Recordings mixed out of a folder of clips, as files: wavs, and the tables of what is in them."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.audio.recordings import find_sounds
from animal_spot.data.inspection import inspect_labelled
from animal_spot.data.noise_class import noise_class_of
from animal_spot.data.sources import find_source
from animal_spot.data.splits import load_split, split_exists
from animal_spot.detections.annotation_tables import RAVEN_ENDING, write_table
from animal_spot.detections.annotations import Annotation
from animal_spot.mixing.backgrounds import Background, choose_background
from animal_spot.mixing.call_stretch import BAND_HZ
from animal_spot.mixing.clips import MixClip
from animal_spot.mixing.mixture import Mixture
from animal_spot.utils.files import atomic_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MixSource:
    """What recordings are mixed of.

    Attributes:
        calls: Clips of calls.
        background: What they are mixed into.
    """

    calls: list[MixClip]
    background: Background


def mix_source(
    folder: Path,
    *,
    partition: str | None = None,
    noise_class: str | None = None,
    background_dir: Path | None = None,
) -> MixSource:
    """Find the clips of a folder, and what they are mixed into.

    That is the recordings of ``background_dir``, else the clips of the noise class, else noise made
    after the quiet parts of the clips. Clips that cannot be read are left out with a warning.

    Args:
        folder: Clips as training takes them.
        partition: Only those of this part of the split that is stored in the folder.
        noise_class: Class that is background; None: the one called noise.
        background_dir: Recordings without calls.

    Raises:
        ValueError: If there is no call, or the split or class is not there.
        OSError: If a folder cannot be read.
    """
    source = find_source(folder)
    clips = list(source.clips)
    if partition is not None:
        if not split_exists(folder):
            raise ValueError(f"--partition {partition}: no split is stored in {folder}")
        split, _ = load_split(folder, source.clip_of)
        wanted = {clip.path for clip in split[partition]}
        clips = [clip for clip in clips if clip.path in wanted]
    noise = noise_class_of(noise_class, sorted(source.class_names))
    infos, reasons = inspect_labelled(source.folder, clips, exclude_silent=True, n_processes=1)
    for path, reason in reasons.items():
        log.warning("%s is left out: %s", path, reason)
    found = [
        MixClip(source.folder / clip.file, clip.class_name, infos[clip.path].span)
        for clip in clips
        if clip.path in infos
    ]
    calls = [clip for clip in found if clip.label != noise]
    if not calls:
        raise ValueError(f"no clip of a call in {folder}" + (f", {partition}" if partition else ""))
    noises = [clip for clip in found if clip.label == noise]
    recordings = find_sounds([str(background_dir)]).recordings if background_dir else ()
    return MixSource(calls, choose_background(calls, noises, recordings))


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
