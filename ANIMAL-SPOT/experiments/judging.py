"""Several models and their average, judged on the clips that none has learned from, in one file."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from animal_spot.data.corpus import Corpus
from animal_spot.detections.calibration import Calibration, log_mean, negative_log_likelihood
from animal_spot.experiments.scoring_flags import ScoringSettings
from animal_spot.experiments.scoring_run import corpus_of, decoder_of, new_files, scores_of
from animal_spot.model_files.ensemble_file import Ensemble, load_members, save_ensemble
from animal_spot.training.class_report import result_entry, write_results
from animal_spot.training.clip_scores import Scores, split_fingerprint
from animal_spot.training.outputs import class_counts, n_tapes, program_versions
from animal_spot.training.phase_result import PhaseResult
from animal_spot.utils.files import digest_of
from animal_spot.utils.metrics import ConfusionMatrix, accuracy, mean_present, per_class_accuracy
from animal_spot.utils.text import printable

AVERAGE = "average"
RESULTS_ENDING = ".json"  # of the file of figures beside an ensemble

log = logging.getLogger("ENSEMBLE")


def judge(settings: ScoringSettings) -> None:
    """Judge models and the mean of their probabilities, and write them into one file.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    if settings.output.suffix == RESULTS_ENDING:
        raise ValueError(
            f"--output {settings.output}: that is the name of its figures; call it "
            f"{settings.output.stem}.pk"
        )
    with new_files(settings.output, "--output", beside=(RESULTS_ENDING,)):
        loaded = load_members(settings.models, noise_class=settings.noise_class)
        if len(loaded) < 2:
            raise ValueError(f"{settings.models[0]} alone is no ensemble: name two models or more")
        # A temperature or thresholds of an average that was taken apart would mean nothing here.
        ensemble = dataclasses.replace(loaded, calibration=Calibration())
        corpus = corpus_of(ensemble, settings)
        scores = scores_of(ensemble, corpus, settings)
        print("\n".join(map(printable, table_lines(ensemble, scores))))
        if all(member.calibration.decoder for member in ensemble):
            decoder = decoder_of(ensemble, corpus, settings)
            ensemble = dataclasses.replace(ensemble, calibration=Calibration(decoder=decoder))
        save_ensemble(ensemble, settings.output)
        results = settings.output.with_suffix(RESULTS_ENDING)
        write_results(_results(ensemble, corpus, scores, settings.output), results)
        log.info(
            "written: %s, for --model_path of predict.py, and its figures, %s",
            *(settings.output, results.name),
        )


def _results(
    ensemble: Ensemble, corpus: Corpus, scores: Mapping[str, Scores], output: Path
) -> dict[str, Any]:
    """Return what is written beside the ensemble: what ``results.json`` says of one network."""
    names = list(ensemble[0].names)
    return {
        "model": output.name,
        "model_digest": digest_of(output.read_bytes()),
        "versions": program_versions(),
        "classes": corpus.classes,
        "noise_class": ensemble.noise_class,
        "members": list(ensemble.names),
        "clips": {part: len(samples) for part, samples in corpus.samples.items()},
        "tapes": {part: n_tapes(samples) for part, samples in corpus.samples.items()},
        "classes_of_clips": {
            part: class_counts(samples, names) for part, samples in corpus.samples.items()
        },
        "split": split_fingerprint(corpus.samples),
        "partitions": {
            part: result_entry(
                _pass(part, log_mean(said.log_probabilities(ensemble)), said.labels),
                names,
                [sample.name for sample in corpus.samples[part]],
            )
            for part, said in scores.items()
        },
    }


def _pass(part: str, log_probabilities: np.ndarray, labels: np.ndarray) -> PhaseResult:
    """Return what networks said of a partition, as one pass over its clips.

    Args:
        part: Name of it.
        log_probabilities: Of the average, shape ``(clip, class)``.
        labels: Class index of each clip.
    """
    probabilities = torch.from_numpy(np.exp(log_probabilities))
    answers, truth = probabilities.argmax(1), torch.from_numpy(labels)
    confusion = ConfusionMatrix(probabilities.shape[1])
    confusion.update(truth, answers)
    of_two = probabilities.shape[1] == 2
    return PhaseResult(
        phase=part,
        loss=negative_log_likelihood(log_probabilities, labels),
        confusion=confusion.get(),
        labels=truth,
        predictions=answers,
        confidences=probabilities[:, 1] if of_two else probabilities.amax(1),
        indices=torch.arange(len(truth)),
        seconds=0.0,
        loading_seconds=0.0,
    )


def table_lines(ensemble: Ensemble, scores: Mapping[str, Scores]) -> list[str]:
    """Return the table: each model, their average, and what is lost without each.

    Args:
        ensemble: The models.
        scores: Of ``val`` and, if there are such clips, ``test``.
    """
    logs = {part: said.log_probabilities(ensemble) for part, said in scores.items()}
    labels = {part: said.labels for part, said in scores.items()}
    names = ensemble.names
    rows = [(name, {part: logs[part][i] for part in logs}) for i, name in enumerate(names)]
    rows.append((AVERAGE, {part: log_mean(values) for part, values in logs.items()}))
    width = max(len(name) for name in [*names, "model", AVERAGE]) + len("without ")
    heads = "".join(f"   {f'{part} accuracy':>13} {'macro':>7} {'loss':>7}" for part in scores)
    lines = [f"{'model':<{width}}{heads}", *(_row(*row, labels, width) for row in rows)]
    if len(ensemble) > 2:
        lines.append("the average without one of them, on val:")
        for i, name in enumerate(names):
            others = logs["val"][:i] + logs["val"][i + 1 :]
            lines.append(_row(f"without {name}", {"val": log_mean(others)}, labels, width))
    else:
        lines.append("with two models, the average without one is the other")
    lines.append("choose models by val alone: a choice by test would make its figures flatter")
    return lines


def _row(
    title: str, said: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], width: int
) -> str:
    cells = (figures(values, labels[part]) for part, values in said.items())
    return f"{title:<{width}}" + "".join(
        f"   {right:>13.1%} {macro:>7.1%} {loss:>7.3f}" for right, macro, loss in cells
    )


def figures(log_probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Return accuracy, mean accuracy of the classes that are present, and mean cross entropy.

    Args:
        log_probabilities: Shape ``(clip, class)``.
        labels: Class index of each clip.
    """
    confusion = ConfusionMatrix(log_probabilities.shape[1])
    confusion.update(torch.from_numpy(labels), torch.from_numpy(log_probabilities.argmax(1)))
    counts = confusion.get()
    macro = mean_present(per_class_accuracy(counts))
    return accuracy(counts), macro, negative_log_likelihood(log_probabilities, labels)
