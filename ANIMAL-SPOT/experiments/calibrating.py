"""Temperature, thresholds and decoder for a model or an ensemble that is trained already."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from animal_spot.detections.calibration import Calibration
from animal_spot.experiments.scoring_flags import CalibrationSettings
from animal_spot.experiments.scoring_run import corpus_of, decoder_of, new_files, scores_of
from animal_spot.figures.look import save
from animal_spot.figures.reliability import reliability_figure
from animal_spot.model_files.ensemble_file import (
    Ensemble,
    ensemble_of_one,
    load_members,
    save_ensemble,
)
from animal_spot.model_files.model_file import save_model
from animal_spot.training.class_report import write_results
from animal_spot.training.clip_scores import fit_calibration

log = logging.getLogger("CALIBRATE")


def calibrate(settings: CalibrationSettings) -> None:
    """Calibrate a model on the validation clips, and write it with its figures.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    output = settings.output
    with new_files(output, "--output", beside=(".json", ".png", ".svg")):
        ensemble = load_members(settings.models, noise_class=settings.noise_class)
        corpus = corpus_of(ensemble, settings)
        scores = scores_of(ensemble, corpus, settings)
        scored = {part: (said.logits_of(ensemble), said.labels) for part, said in scores.items()}
        calibration, report = fit_calibration(
            scored, ensemble[0].names, settings.calibration_precision, ensemble.noise_class
        )
        # A decoder that was found before the temperature changed the evidence would be wrong.
        if settings.tune_decoder or ensemble.calibration.decoder is not None:
            decoder = decoder_of(_with(ensemble, calibration), corpus, settings)
            calibration = dataclasses.replace(calibration, decoder=decoder)
        _save(ensemble, calibration, output)
        if calibration.decoder is not None:
            report["decoder"] = calibration.decoder.entries()
        write_results({"model": output.name, **report}, output.with_suffix(".json"))
        figure = reliability_figure(report["partitions"])
        for kind in ("png", "svg"):
            save(figure, output.with_suffix(f".{kind}"), kind)
        log.info("written: %s, with .json, .png and .svg beside it", output)


def _save(ensemble: Ensemble, calibration: Calibration, path: Path) -> None:
    calibrated = _with(ensemble, calibration)
    if len(calibrated) == 1:
        save_model(calibrated[0], path)
    else:
        save_ensemble(calibrated, path)


def _with(ensemble: Ensemble, calibration: Calibration) -> Ensemble:
    if len(ensemble) == 1:
        content = dataclasses.replace(ensemble[0], calibration=calibration)
        return ensemble_of_one(content, ensemble.names[0])
    return dataclasses.replace(ensemble, calibration=calibration)
