"""How windows become events, found on recordings that are mixed from validation clips.

Thresholds that are chosen on clips are wrong for recordings: there most windows hold a part of a
call, or none. So the clips that a network never learned from are mixed into background at known
times, predicted as any recording is, and the settings of the decoder are chosen by what is found.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from animal_spot.data.clip_dataset import Sample
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decoders import ORIGINAL
from animal_spot.detections.event_settings import EventSettings
from animal_spot.evaluation.decoder_fit import Heard, figures_of, fit_decoder, original_rows_of
from animal_spot.mixing.backgrounds import Background, choose_background
from animal_spot.mixing.clips import LONGEST_S, MixClip
from animal_spot.mixing.mixture import mix
from animal_spot.mixing.placement import LEAST_GAP_S
from animal_spot.model_files.ensemble_file import Ensemble
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.settled import settled

log = logging.getLogger(__name__)

MIN_CALLS = 10  # clips of calls; fewer say nothing
N_CALLS = 80  # in the recording with calls
_SLOT_WINDOWS = 2.5  # window lengths for each call
_HOPS = 6  # in a window
SNR_DB = (-3.0, 15.0)
_FEWEST_NOISE = 3  # clips of background that make a recording


def tune_decoder(
    models: Ensemble,
    samples: Sequence[Sample],
    *,
    sequence_len_s: float,
    background: Sequence[Path] = (),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> EventSettings | None:
    """Find how the windows of a network become events.

    Args:
        models: The network, or several whose probabilities are averaged.
        samples: Clips that it has not learned from.
        sequence_len_s: Length of a window, seconds.
        background: Recordings without calls, to mix calls into where the samples have too few clips
            of the noise class.
        seed: Of the mixing.
        settings: Further settings of the prediction, such as the embedding model.

    Returns:
        The settings with how they were found; None, and a line in the log, where they cannot be.
    """
    noise = models.noise_class
    names = sorted(models.classes, key=models.classes.__getitem__)
    if noise is None:
        log.warning(
            "no background class, so events are not told from windows: annotations are windows of "
            "one class that overlap"
        )
        return None
    clips = [MixClip(s.path, names[s.label], s.span) for s in samples]
    calls = [clip for clip in clips if clip.label != noise]
    if len(calls) < MIN_CALLS:
        log.warning(
            "only %d validation clips of calls: from under %d nothing is learned about recordings, "
            "so annotations are windows of one class that overlap",
            *(len(calls), MIN_CALLS),
        )
        return None
    signal = models[0].signal
    bed = _background([c for c in clips if c.label == noise], calls, background, models)
    minutes = _minutes(samples, sequence_len_s)
    log.info(
        "%d validation calls are mixed into %s, for how events are found in recordings",
        *(len(calls), bed.about),
    )
    heard = []
    with tempfile.TemporaryDirectory() as folder:
        for number, per_hour in enumerate((N_CALLS / minutes * 60, 0)):
            mixture = mix(
                *(calls, bed),
                minutes=minutes if per_hour else minutes / 2,
                calls_per_hour=per_hour,
                snr_db=SNR_DB,
                rate=signal.sr,
                rng=np.random.default_rng([seed, number]),
                channel=signal.channel,
                band_hz=(max(signal.fmin, 1.0), min(signal.fmax, signal.sr / 2)),
            )
            path = Path(folder) / f"mixture_{number}.wav"
            sf.write(path, mixture.waveform, mixture.rate, subtype="FLOAT")
            truth = [Annotation(e.begin_s, e.end_s, e.label, np.nan) for e in mixture.events]
            heard.append((path, truth))
        windows = list(_predicted(models, [path for path, _ in heard], sequence_len_s, settings))
    recordings = [
        Heard(*said, truth=truth) for said, (_, truth) in zip(windows, heard, strict=True)
    ]
    found = fit_decoder(recordings, tuple(names), noise)
    before = figures_of(original_rows_of(recordings, tuple(names), noise), recordings, names, noise)
    report = {
        "validation_calls": len(calls),
        "mixed_calls": N_CALLS,
        "minutes": round(1.5 * minutes, 1),
        "snr_db": list(SNR_DB),
        "background": bed.about,
        "window_s": sequence_len_s,
        "hop_s": round(sequence_len_s / _HOPS, 4),
        **found.found,
        "original": before,
    }
    log.info(
        "events on these mixtures: F1 %.2f (mean of classes), %.2f whatever class, %.0f false an "
        "hour; by the original's rule %.2f, %.2f and %.0f",
        *(found.found[k] for k in ("f1", "f1_whatever_class", "false_per_hour")),
        *(before[k] for k in ("f1", "f1_whatever_class", "false_per_hour")),
    )
    return dataclasses.replace(found, found=report)


def _minutes(samples: Sequence[Sample], sequence_len_s: float) -> float:
    """Return how long the recording with calls is, so that they are apart."""
    call_s = np.mean([min(s.duration_s or sequence_len_s, LONGEST_S) for s in samples])
    slot_s = max(_SLOT_WINDOWS * sequence_len_s, 1.5 * LEAST_GAP_S + float(call_s))
    return N_CALLS * slot_s / 60


def _background(
    noise: Sequence[MixClip], calls: Sequence[MixClip], recordings: Sequence[Path], models: Ensemble
) -> Background:
    """Choose what calls are mixed into: what the network never learned from, if there is enough."""
    signal = models[0].signal
    held_out = noise if len(noise) >= _FEWEST_NOISE else []
    if not held_out and not recordings:
        log.warning(
            "only %d validation clips of background: noise is made up for the mixtures, which "
            "lacks what makes false alarms",
            len(noise),
        )
    band_hz = (max(signal.fmin, 1.0), signal.fmax)
    used = () if held_out else recordings
    return choose_background(calls, held_out, used, signal.channel, band_hz)


def _predicted(
    models: Ensemble,
    paths: Sequence[Path],
    sequence_len_s: float,
    settings: Mapping[str, Any] | None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield starts, ends and probabilities of the windows of each recording."""
    config = PredictConfig(
        model_path=tuple(models.called),
        hop=sequence_len_s / _HOPS,
        precision="fp32",  # the same numbers on every machine, as nearly as can be
        decoder=ORIGINAL,
        num_workers=1,
        **(settings or {}),
    )
    run = settled(config, models)
    grid = run.grid_of(models[0])
    outcomes = {outcome.path: outcome for outcome in run.predictor(paths).run(paths)}
    for path in paths:
        outcome = outcomes[path]
        if outcome.reason:
            raise ValueError(f"a mixed recording could not be predicted: {outcome.reason}")
        probabilities = np.concatenate(list(outcome.probabilities.batches(4096)))
        start, end = grid.extents(0, len(probabilities), outcome.n_samples)
        outcome.close()
        yield np.asarray(grid.rounded_s(start)), np.asarray(grid.rounded_s(end)), probabilities
