"""What a complete training leaves behind: tables, TensorBoard's last figures, files."""

from __future__ import annotations

import dataclasses
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import no_noise_warning, noise_class_of
from animal_spot.detections.calibration import Calibration
from animal_spot.model_files.model_file import FILE_NAME, ModelFile, bytes_of
from animal_spot.training.class_report import class_table, result_entry, results_text
from animal_spot.training.clip_scores import fit_calibration, split_fingerprint
from animal_spot.training.config import TrainConfig, as_dict
from animal_spot.training.finished_run import RESULTS, data_fingerprint
from animal_spot.training.finite_weights import require_finite_weights
from animal_spot.training.phase_result import PhaseResult
from animal_spot.training.recipe import recipe_of
from animal_spot.training.run_setup import RunSetup
from animal_spot.training.tensorboard import Summary
from animal_spot.utils.environment import tensorboard
from animal_spot.utils.files import digest_of, refuse_links
from animal_spot.utils.tensor_files import torch_file
from animal_spot.utils.version import own_version

log = logging.getLogger(__name__)

Scored = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Trained:
    """A network that was trained, and what its file says of it.

    Attributes:
        model: ``encoder`` and ``classifier``.
        encoder_opts: ``encoderOpts`` of the file.
        classifier_opts: ``classifierOpts`` of the file.
        signal: Signal path.
        normalization: See ``ModelFile``.
        precision: Arithmetic of the training.
        chosen: What the training itself chose, for ``results.json``.
    """

    model: nn.Sequential
    encoder_opts: dict[str, Any]
    classifier_opts: dict[str, Any]
    signal: SignalConfig
    normalization: str
    precision: str
    chosen: Mapping[str, Any] = field(default_factory=dict)


def finish_training(
    setup: RunSetup,
    corpus: Corpus,
    trained: Trained,
    results: Mapping[str, PhaseResult],
    scored: Scored,
    summary: Summary,
) -> None:
    """Say how good a network is, calibrate it and its decoder if wanted; write what is kept.

    Args:
        setup: Of the training.
        corpus: What it was trained and judged on.
        trained: The network.
        results: Of ``val`` and, if there are such clips, ``test``.
        scored: Logits ``(clip, class)`` and labels of the same; needed with ``config.calibrate``.
        summary: TensorBoard's folder.

    Raises:
        TrainingError: If the network has weights that are no numbers; nothing is written then.
        OSError: If one cannot be written.
    """
    require_finite_weights(trained.model.state_dict())
    config, model_dir = setup.config, setup.folders.model
    names = names_by_index(corpus.classes)
    for result in results.values():
        for line in class_table(result, names):
            log.info("%s", line)
    metrics = {
        f"{phase}_{metric}": result.value_of(metric)
        for phase, result in results.items()
        for metric in ("loss", "accuracy", "macro_accuracy")
    }
    summary.add_hyper_parameters(recipe_of(config), metrics)
    calibration, report = Calibration(), {}
    if config.calibrate:
        noise_class = noise_class_of(config.noise_class, names)
        calibration, report = fit_calibration(
            scored, names, config.calibration_precision, noise_class
        )
        summary.add_calibration(report["partitions"])
    content = _model_file(config, corpus, trained, metrics, calibration)
    if setup.tune_decoder is not None:
        decoder = setup.tune_decoder(content, corpus)
        content.calibration = dataclasses.replace(calibration, decoder=decoder)
    file_bytes = bytes_of(content, torchscript=config.jit_save)
    said = _results(config, corpus, trained, results, digest_of(file_bytes))
    said["tensorboard"] = str(summary.folder)
    if config.calibrate:
        said["calibration"] = report
    if content.calibration.decoder is not None:
        said["decoder"] = content.calibration.decoder.entries()
    write_results_and_model(said, file_bytes, model_dir)
    log.info("model: %s", model_dir / FILE_NAME)
    log.info("accuracy per class: %s", model_dir / RESULTS)
    log.info("TensorBoard: %s", tensorboard(summary.folder.parent))


def _model_file(
    config: TrainConfig,
    corpus: Corpus,
    trained: Trained,
    metrics: Mapping[str, float],
    calibration: Calibration,
) -> ModelFile:
    return ModelFile(
        model=trained.model.cpu(),
        encoder_opts=trained.encoder_opts,
        classifier_opts=trained.classifier_opts,
        signal=trained.signal,
        classes=corpus.classes,
        backbone=config.backbone,
        sequence_len_ms=config.sequence_len,
        normalization=trained.normalization,
        extra={
            "seed": config.seed,
            "metrics": {k: v for k, v in metrics.items() if k.startswith("val_")},
            "split": split_fingerprint(corpus.samples),
            **config.origin,
        },
        calibration=calibration,
        noise_class=noise_class_of(config.noise_class, names_by_index(corpus.classes)),
    )


def _results(
    config: TrainConfig,
    corpus: Corpus,
    trained: Trained,
    results: Mapping[str, PhaseResult],
    model_digest: str,
) -> dict[str, Any]:
    """Return what ``results.json`` says, but for the calibration."""
    names = names_by_index(corpus.classes)
    noise_class = noise_class_of(config.noise_class, names)
    return {
        "model": FILE_NAME,
        "model_digest": model_digest,
        "data": data_fingerprint(corpus),
        "settings": as_dict(config),
        "precision": trained.precision,
        **config.origin,
        **trained.chosen,
        "versions": program_versions(),
        "classes": corpus.classes,
        "noise_class": noise_class,
        "warnings": [*corpus.warnings, *([] if noise_class else [no_noise_warning(names)])],
        "clips": {name: len(samples) for name, samples in corpus.samples.items()},
        "tapes": {name: n_tapes(samples) for name, samples in corpus.samples.items()},
        "classes_of_clips": {
            name: class_counts(samples, names) for name, samples in corpus.samples.items()
        },
        "split": split_fingerprint(corpus.samples),
        "excluded_files": len(corpus.excluded),
        "partitions": {
            phase: result_entry(result, names, [s.name for s in corpus.samples[phase]])
            for phase, result in results.items()
        },
    }


def program_versions() -> dict[str, str]:
    """Return the versions of what trains."""
    return {
        "animal_spot": own_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def n_tapes(samples: Sequence[Sample]) -> int | None:
    """Return how many recordings clips are from; None if that of one is not known."""
    tapes = {sample.tape for sample in samples}
    return None if None in tapes else len(tapes)


def class_counts(samples: Sequence[Sample], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return how many clips and recordings of each class a part of the split has."""
    of_class = [[s for s in samples if s.label == label] for label in range(len(names))]
    return [
        {"class": name, "clips": len(own), "tapes": n_tapes(own)}
        for name, own in zip(names, of_class, strict=True)
    ]


def write_results_and_model(content: dict[str, Any], file_bytes: bytes, model_dir: Path) -> None:
    """Write both files of a run, each whole, and none if one cannot be written.

    The results come first: they name the model by its hash, so that a run that is ended between
    the two is known to be unfinished.

    Raises:
        OSError: Naming the file.
    """
    path, results = model_dir / FILE_NAME, model_dir / RESULTS
    for file in (path, results):
        refuse_links(file, model_dir)
    with torch_file(path) as temporary:
        temporary.write_bytes(file_bytes)
        with torch_file(results) as temporary_results:
            text = results_text(content).encode("utf-8", errors="surrogateescape")  # file names
            temporary_results.write_bytes(text)
