"""Temperature and thresholds for a model or an ensemble that is trained already."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from animal_spot.detections.calibration import Calibration
from animal_spot.experiments.scoring_flags import CalibrationSettings
from animal_spot.experiments.scoring_run import new_files, scores_of
from animal_spot.model_files.ensemble_file import Ensemble, load_members, save_ensemble
from animal_spot.model_files.model_file import save_model
from animal_spot.training.class_report import write_results
from animal_spot.training.clip_scores import fit_calibration
from animal_spot.utils.plots import reliability_figure

log = logging.getLogger("CALIBRATE")


def calibrate(settings: CalibrationSettings) -> None:
    """Calibrate a model on the validation clips, and write it with its figures.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    output = settings.output
    with new_files(output, "--output", beside=(".json", ".png")):
        ensemble = load_members(settings.models, noise_class=settings.noise_class)
        scores = scores_of(ensemble, settings)
        scored = {part: (said.logits_of(ensemble), said.labels) for part, said in scores.items()}
        calibration, report = fit_calibration(
            scored, ensemble[0].names, settings.calibration_precision, ensemble.noise_class
        )
        _save(ensemble, calibration, output)
        write_results({"model": output.name, **report}, output.with_suffix(".json"))
        reliability_figure(report["partitions"]).savefig(output.with_suffix(".png"))
        log.info("written: %s, with .json and .png beside it", output)


def _save(ensemble: Ensemble, calibration: Calibration, path: Path) -> None:
    if len(ensemble) == 1:
        save_model(dataclasses.replace(ensemble[0], calibration=calibration), path)
    else:
        save_ensemble(dataclasses.replace(ensemble, calibration=calibration), path)
