"""Grouped cross-validation: each clip is judged by a network that never heard its tape."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from animal_spot.data.clip_dataset import Sample, end_workers
from animal_spot.data.corpus import Corpus, noise_samples, report_excluded
from animal_spot.data.hearing import hearing_warnings
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import no_noise_warning, noise_class_of
from animal_spot.data.splits import Split
from animal_spot.data.tape_folds import (
    ClipPool,
    assign_folds,
    fold_split,
    load_pool,
    warn_of_weak_folds,
)
from animal_spot.model_files.model_file import FILE_NAME, calibrated_network, load_model
from animal_spot.model_files.signal_path import Pipeline
from animal_spot.models.precision import Precision
from animal_spot.training.class_report import results_text
from animal_spot.training.config import FREE_TO_CHANGE, TrainConfig, as_dict
from animal_spot.training.finished_run import RESULTS, require_no_model, write_if_changed
from animal_spot.training.loaders import evaluation_loader
from animal_spot.training.recipe import changes
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import (
    refuse_links,
    remove_leftovers,
    require_writable_folder,
    write_text_atomic,
)
from animal_spot.utils.hardware import n_cores
from animal_spot.utils.metrics import ConfusionMatrix, most_confused
from animal_spot.utils.tape_bootstrap import (
    N_DRAWS,
    accuracies,
    class_intervals,
    draw_tapes,
    middle,
)
from animal_spot.utils.typed import ContentError, read_json, typed

FOLDS_FILE = "folds.json"  # what a run that goes on must have in common with the one before
# Complete folds hold probabilities, which calibration changes.
FREE_FOR_FOLDS = FREE_TO_CHANGE - {"calibrate", "calibration_precision"}
PREDICTIONS_FILE = "predictions.json"  # of a fold; written last, so a fold that has it is complete

log = logging.getLogger(__name__)

Folders = dict[str, Path | None]
Train = Callable[[TrainConfig, Corpus, Folders, Pipeline, Precision], None]


@dataclass(frozen=True)
class _Predictions:
    """What ``PREDICTIONS_FILE`` holds; see ``FoldResult``."""

    clips: dict[str, int]
    names: list[str]
    labels: list[int]
    probabilities: list[list[float]]


@dataclass(frozen=True)
class FoldResult:
    """What the network of one fold said of the clips that it never heard.

    Attributes:
        fold: Number, from 0.
        clips: Number of clips in train, val and test.
        names: Judged clips.
        labels: Their class indices.
        probabilities: Shape ``(clips, classes)``.
    """

    fold: int
    clips: dict[str, int]
    names: list[str]
    labels: list[int]
    probabilities: np.ndarray

    @property
    def predictions(self) -> list[int]:
        """Most probable class of each clip."""
        return self.probabilities.argmax(1).tolist()


def cross_validate(
    config: TrainConfig,
    folders: Folders,
    pipeline: Pipeline,
    precision: Precision,
    train: Train,
) -> None:
    """Train and judge ``config.folds`` networks on all clips of the data folder.

    The model folder gets ``fold_<k>/ANIMAL-SPOT.pk`` for k from 1, and ``results.json``. A run that
    was ended in any way goes on where it was.

    Args:
        config: With ``folds`` set.
        folders: By purpose: data, model, checkpoint, log, summary, cache; those not wanted None.
        pipeline: Signal path.
        precision: Arithmetic and device.
        train: Trains, tests and saves one network.

    Raises:
        CorpusError: If the clips cannot be divided so.
        ValueError: If the model folder holds folds of other clips or settings.
    """
    pool = load_pool(
        folders["data"],
        num_classes=config.num_classes,
        exclude_silent=config.filter_broken_audio,
        n_processes=max(1, min(config.num_workers, n_cores())),
        channel=config.channel,
    )
    report_excluded(pool.excluded, folders["log"])
    noise_class = noise_class_of(config.noise_class, names_by_index(pool.classes))
    samples = {"train": list(pool.samples.values())}
    for warning in hearing_warnings(samples, pool.classes, pipeline.config, config.sequence_len):
        log.warning("%s", warning)
        pool.warnings.append(warning)
    require_no_model(folders["model"])
    results = run_folds(config, pool, folders, pipeline, precision, train)
    content = {
        "settings": as_dict(config),
        "precision": precision.name,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "classes": pool.classes,
        "noise_class": noise_class,
        "warnings": [
            *pool.warnings,
            *([] if noise_class else [no_noise_warning(names_by_index(pool.classes))]),
        ],
        "excluded_files": len(pool.excluded),
        **summarise(results, pool, config.seed),
    }
    write_if_changed(folders["model"] / RESULTS, results_text(content))
    for line in result_lines(content):
        log.info("%s", line)
    log.info("models: %s", folders["model"] / f"fold_<k>/{FILE_NAME}")
    log.info("all figures and predictions: %s", folders["model"] / RESULTS)


def run_folds(
    config: TrainConfig,
    pool: ClipPool,
    folders: Folders,
    pipeline: Pipeline,
    precision: Precision,
    train: Train,
    after_fold: Callable[[FoldResult], None] | None = None,
) -> list[FoldResult]:
    """Train and judge one network for each fold; those that are complete are left as they are.

    Args:
        config: With ``folds`` set.
        pool: The clips.
        folders: See ``cross_validate``.
        pipeline: Signal path.
        precision: Arithmetic and device.
        train: Trains, tests and saves one network.
        after_fold: Called with each result; may raise to leave the rest out.

    Returns:
        In the order of the folds.
    """
    fold_of = assign_folds(pool.clips, config.folds, config.seed)
    warn_of_weak_folds(pool, fold_of)
    _check_same_folds(config, pool, fold_of, folders["model"])
    everything = pool.corpus_of(Split(pool.clips, (), ()))
    noise_pool = _noise_of(everything, config) if config.embedding_views else []
    results = []
    for fold in range(config.folds):
        split = fold_split(pool.clips, fold_of, fold, config.seed)
        corpus = pool.corpus_of(split)
        corpus.noise_pool = noise_pool
        folder = folders["model"] / f"fold_{fold + 1}"
        result = _complete_fold(folder, fold, corpus)
        if result is None:
            tapes = len({clip.tape for clip in split.test})
            log.info(
                "fold %d of %d: %d training clips, %d for validation; judged on %d clips of %d "
                "tapes",
                fold + 1,
                config.folds,
                *(len(split[name]) for name in ("train", "val", "test")),
                tapes,
            )
            result = _run_fold(config, corpus, fold, folders, pipeline, precision, train)
        else:
            log.info("fold %d of %d: complete", fold + 1, config.folds)
        results.append(result)
        if after_fold is not None:
            after_fold(result)
    return results


def _run_fold(
    config: TrainConfig,
    corpus: Corpus,
    fold: int,
    folders: Folders,
    pipeline: Pipeline,
    precision: Precision,
    train: Train,
) -> FoldResult:
    name = f"fold_{fold + 1}"
    own = {
        key: path / name if path is not None and key in ("model", "checkpoint", "summary") else path
        for key, path in folders.items()
    }
    for key in ("model", "checkpoint", "summary"):
        if own[key] is not None:
            refuse_links(own[key], folders[key])
            require_writable_folder(own[key], f"the {key} folder")
            remove_leftovers(own[key])
    corpus.noise = _noise_of(corpus, config)
    train(config, corpus, own, pipeline, precision)
    judged = corpus.samples["test"]
    probabilities = clip_probabilities(
        calibrated_network(load_model(own["model"] / FILE_NAME)),
        judged,
        config,
        pipeline,
        precision,
        own["cache"],
    )
    result = FoldResult(
        fold,
        {part: len(samples) for part, samples in corpus.samples.items()},
        [s.name for s in judged],
        [s.label for s in judged],
        probabilities,
    )
    content = {
        "clips": result.clips,
        "names": result.names,
        "labels": result.labels,
        "probabilities": probabilities.tolist(),
    }
    write_text_atomic(own["model"] / PREDICTIONS_FILE, json.dumps(content) + "\n")
    return result


def _noise_of(corpus: Corpus, config: TrainConfig) -> list[Sample]:
    return noise_samples(
        corpus,
        Path(config.noise_dir) if config.noise_dir else None,
        config.noise_from_class,
        exclude_silent=config.filter_broken_audio,
        n_processes=max(1, min(config.num_workers, n_cores())),
        channel=config.channel,
    )


@torch.inference_mode()
def clip_probabilities(
    model: nn.Module,
    samples: Sequence[Sample],
    config: TrainConfig,
    pipeline: Pipeline,
    precision: Precision,
    cache_dir: Path | None = None,
) -> np.ndarray:
    """Return the probability of each class for each clip, shape ``(clips, classes)``.

    They are rounded to six decimals, as they are written.
    """
    model = model.to(precision.device, memory_format=precision.memory_format).eval()
    loader = evaluation_loader(
        samples,
        pipeline,
        config.sequence_len,
        batch_size=config.batch_size,
        n_workers=config.num_workers,
        device=precision.device,
        cache_dir=cache_dir,
    )
    batches = []
    try:
        for features, _, _ in loader:
            features = features.to(precision.device).contiguous(
                memory_format=precision.memory_format
            )
            with precision.autocast():
                logits = model(features)
            batches.append(logits.float().softmax(1).cpu())
    finally:
        end_workers(loader)
    return torch.cat(batches).double().numpy().round(6)


def _complete_fold(folder: Path, fold: int, corpus: Corpus) -> FoldResult | None:
    """Read the result of a fold; None if it is not complete."""
    path = folder / PREDICTIONS_FILE
    try:
        said = typed(_Predictions, read_json(path), str(path))
    except FileNotFoundError:
        return None
    except (OSError, ContentError) as error:
        log.warning("fold %d is trained again: %s", fold, one_line(error))
        return None
    judged = corpus.samples["test"]
    fits = (
        said.names == [s.name for s in judged]
        and said.labels == [s.label for s in judged]
        and len(said.probabilities) == len(judged)
        and all(len(row) == len(corpus.classes) for row in said.probabilities)
    )
    if not fits or not (folder / FILE_NAME).is_file():
        return None
    return FoldResult(fold, said.clips, said.names, said.labels, np.array(said.probabilities))


def _check_same_folds(
    config: TrainConfig, pool: ClipPool, fold_of: np.ndarray, model_dir: Path
) -> None:
    """Refuse a model folder with folds of other clips or settings; forget those not wanted."""
    settings = {k: v for k, v in as_dict(config).items() if k not in FREE_FOR_FOLDS}
    digests = [pool.samples[clip.path].digest for clip in pool.clips]
    content = {
        "settings": settings,
        "clips": {
            clip.path: [digest, int(fold)]
            for clip, digest, fold in zip(pool.clips, digests, fold_of, strict=True)
        },
    }
    text = json.dumps(content, indent=1) + "\n"
    path = model_dir / FOLDS_FILE
    if config.start_scratch:
        for predictions in model_dir.glob(f"fold_*/{PREDICTIONS_FILE}"):
            predictions.unlink()
    elif path.is_file():
        try:
            before = typed(dict[str, Any], read_json(path), str(path))
            old = typed(dict[str, Any], before.get("settings", {}), f"settings of {path}")
        except ContentError:
            before, old = {}, {}
        now = json.loads(text)
        changed = list(changes(old, settings).values())
        if changed or before.get("clips") != now["clips"]:
            what = f"other settings ({'; '.join(changed)})" if changed else "other clips"
            raise ValueError(
                f"{model_dir} holds folds of {what}; use another --model_dir and "
                "--checkpoint_dir, or --start_from_scratch"
            )
    write_if_changed(path, text)


def summarise(results: Sequence[FoldResult], pool: ClipPool, seed: int) -> dict[str, Any]:
    """Pool the folds: what ``results.json`` says of them.

    Intervals are 95 % bootstrap intervals over tapes, see ``utils.tape_bootstrap``.
    """
    names = names_by_index(pool.classes)
    tape_of = {clip.path: clip.tape for clip in pool.clips}
    clips = sorted(
        (name, result.fold, label, predicted, probabilities)
        for result in results
        for name, label, predicted, probabilities in zip(
            result.names,
            result.labels,
            result.predictions,
            result.probabilities.tolist(),
            strict=True,
        )
    )
    labels, predictions = [c[2] for c in clips], [c[3] for c in clips]
    tapes = [tape_of[c[0]] for c in clips]
    confusion = ConfusionMatrix(len(names))
    confusion.update(torch.tensor(labels), torch.tensor(predictions))
    counts = confusion.get()
    per_class, macro = accuracies(labels, predictions, len(names))
    draws = draw_tapes(labels, predictions, tapes, len(names), seed=seed)
    intervals = class_intervals(draws, labels, tapes)
    return {
        "folds": [_fold_entry(result, tape_of, len(names)) for result in results],
        "pooled": {
            "clips": len(clips),
            "tapes": len(set(tapes)),
            "accuracy": float(np.mean(np.equal(labels, predictions))),
            "accuracy_interval_95": middle(draws.accuracy),
            "macro_accuracy": macro,
            "macro_accuracy_interval_95": middle(draws.macro),
            "classes": [
                {
                    "class": name,
                    "clips": labels.count(i),
                    "tapes": len({t for t, label in zip(tapes, labels, strict=True) if label == i}),
                    "correct": int(counts[i, i]),
                    "accuracy": per_class[i],
                    "interval_95": intervals[i],
                }
                for i, name in enumerate(names)
            ],
            "confusion_matrix": counts.tolist(),
            "most_confused": [
                {"true": t, "predicted": p, "clips": n} for t, p, n in most_confused(counts, names)
            ],
        },
        "bootstrap": {"over": "tapes", "draws": N_DRAWS, "seed": seed, "interval": "percentile"},
        "clips": [
            {
                "file": name,
                "tape": tape,
                "fold": fold + 1,
                "true": names[label],
                "predicted": names[predicted],
                "probabilities": probabilities,
            }
            for (name, fold, label, predicted, probabilities), tape in zip(
                clips, tapes, strict=True
            )
        ],
    }


def _fold_entry(result: FoldResult, tape_of: Mapping[str, str], n_classes: int) -> dict[str, Any]:
    right = np.equal(result.labels, result.predictions)
    return {
        "fold": result.fold + 1,
        "model": f"fold_{result.fold + 1}/{FILE_NAME}",
        "clips": result.clips,
        "tapes": len({tape_of[name] for name in result.names}),
        "accuracy": float(right.mean()),
        "macro_accuracy": accuracies(result.labels, result.predictions, n_classes)[1],
    }


def result_lines(content: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of a cross-validation, from what ``results.json`` holds."""
    pooled = content["pooled"]
    rows = pooled["classes"]
    width = max(len(name) for name in [*(r["class"] for r in rows), "mean of classes"])
    lines = [
        "accuracy per class, each clip judged by a network that never heard its tape",
        f"{'class':<{width}} {'clips':>6} {'tapes':>6} {'correct':>8} {'accuracy':>9}   "
        "95 % interval (over tapes)",
    ]
    correct = sum(r["correct"] for r in rows)
    total = {
        "class": "all clips",
        "clips": pooled["clips"],
        "tapes": pooled["tapes"],
        "correct": correct,
        "accuracy": pooled["accuracy"],
        "interval_95": pooled["accuracy_interval_95"],
    }
    mean = {
        "class": "mean of classes",
        "clips": "",
        "tapes": "",
        "correct": "",
        "accuracy": pooled["macro_accuracy"],
        "interval_95": pooled["macro_accuracy_interval_95"],
    }
    for row in [*rows, total, mean]:
        line = f"{row['class']:<{width}} {row['clips']:>6} {row['tapes']:>6} {row['correct']:>8} "
        line += f"{'absent':>9}" if row["accuracy"] is None else f"{row['accuracy']:>9.1%}"
        if row["interval_95"] is not None:
            low, high = row["interval_95"]
            line += f"   {low:.1%} to {high:.1%}"
        elif row["accuracy"] is not None:
            line += "   unknown: one tape"
        lines.append(line)
    lines += [
        f"fold {f['fold']}: {f['clips']['test']} clips, {f['accuracy']:.1%} right, mean of "
        f"classes {f['macro_accuracy']:.1%}"
        for f in content["folds"]
    ]
    pairs = pooled["most_confused"]
    if pairs:
        lines.append(
            "most confused: "
            + ", ".join(f"{p['true']} taken for {p['predicted']} ({p['clips']})" for p in pairs)
        )
    return lines
