"""Grouped cross-validation: each clip is judged by a network that never heard its tape."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from animal_spot.data.clip_dataset import Sample, end_workers
from animal_spot.data.corpus import Corpus, noise_samples, report_excluded
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
from animal_spot.experiments.fold_report import result_lines, summarise
from animal_spot.experiments.fold_result import PREDICTIONS_FILE, FoldResult, complete_fold
from animal_spot.experiments.network_training import train
from animal_spot.model_files.model_file import FILE_NAME, calibrated_network, load_model
from animal_spot.training.background import add_background_of
from animal_spot.training.class_report import results_text
from animal_spot.training.config import FREE_TO_CHANGE, TrainConfig, as_dict
from animal_spot.training.finished_run import RESULTS, holds, require_no_model, write_if_changed
from animal_spot.training.loaders import evaluation_loader
from animal_spot.training.network import tell_start
from animal_spot.training.outputs import program_versions
from animal_spot.training.recipe import changes
from animal_spot.training.run_setup import RunSetup, warn_of_clips
from animal_spot.utils.hardware import n_processes
from animal_spot.utils.typed import ContentError, read_json, typed

FOLDS_FILE = "folds.json"  # what a run that goes on must have in common with the one before
# Complete folds hold probabilities, which calibration changes.
FREE_FOR_FOLDS = FREE_TO_CHANGE - {"calibrate", "calibration_precision"}

# Trains and judges the networks of folds, by number from 0, in whatever order.
SideBySide = Callable[[RunSetup, Mapping[int, Corpus]], Generator[FoldResult, None, None]]

log = logging.getLogger(__name__)


def cross_validate(setup: RunSetup, side_by_side: SideBySide | None = None) -> bool:
    """Train and judge ``config.folds`` networks on all clips of the data folder.

    The model folder gets ``fold_<k>/ANIMAL-SPOT.pk`` for k from 1, and ``results.json``. A run that
    was ended in any way goes on where it was.

    Args:
        setup: Of the training, whose settings have ``folds`` set.
        side_by_side: Trains several networks at once; None: one after another here.

    Returns:
        Whether there is something new; False: it was finished already.

    Raises:
        CorpusError: If the clips cannot be divided so.
        ValueError: If the model folder holds folds of other clips or settings.
    """
    pool, model_dir = _pool(setup), setup.folders.model
    noise_class = noise_class_of(setup.config.noise_class, names_by_index(pool.classes))
    pool.warnings.extend(warn_of_clips(setup, {"train": list(pool.samples.values())}, pool.classes))
    pool.warnings.extend(tell_start(setup.config, pool.classes))
    require_no_model(model_dir)
    begin_run, is_begun = setup.begin, False

    def begin() -> None:
        nonlocal is_begun
        if not is_begun:
            is_begun = True
            begin_run()
            report_excluded(pool.excluded, setup.folders.log)

    setup = dataclasses.replace(setup, begin=begin)
    results = run_folds(setup, pool, side_by_side=side_by_side)
    content = _content(setup, pool, noise_class, results)
    text = results_text(content)
    if not holds(model_dir / RESULTS, text):
        begin()
    write_if_changed(model_dir / RESULTS, text)
    for line in result_lines(content):
        log.info("%s", line)
    log.info("models: %s", model_dir / f"fold_<k>/{FILE_NAME}")
    log.info("all figures and predictions: %s", model_dir / RESULTS)
    if not is_begun:
        log.info("finished already, and nothing is changed")
    return is_begun


def _content(
    setup: RunSetup, pool: ClipPool, noise_class: str | None, results: Sequence[FoldResult]
) -> dict[str, Any]:
    """Return what ``results.json`` says."""
    unnamed = [] if noise_class else [no_noise_warning(names_by_index(pool.classes))]
    return {
        "settings": as_dict(setup.config),
        "precision": _precision_of(setup),
        "versions": program_versions(),
        "classes": pool.classes,
        "noise_class": noise_class,
        "warnings": [*pool.warnings, *unnamed],
        "excluded_files": len(pool.excluded),
        **summarise(results, pool, setup.config.seed),
    }


def _precision_of(setup: RunSetup) -> str:
    """Return the arithmetic of the folds; other machines may have chosen it."""
    path = setup.folders.model / "fold_1" / RESULTS
    try:
        return typed(str, read_json(path)["precision"], f"precision of {path}")
    except (OSError, ContentError, LookupError, TypeError):
        return setup.precision.name


def _pool(setup: RunSetup) -> ClipPool:
    config = setup.config
    return load_pool(
        setup.folders.data,
        num_classes=config.num_classes,
        exclude_silent=config.filter_broken_audio,
        n_processes=n_processes(config.num_workers),
        channel=config.channel,
        labels=Path(config.labels).resolve() if config.labels else None,
        tape_pattern=config.tape_pattern,
    )


def run_folds(
    setup: RunSetup,
    pool: ClipPool,
    after_fold: Callable[[FoldResult], None] | None = None,
    side_by_side: SideBySide | None = None,
) -> list[FoldResult]:
    """Train and judge one network for each fold; those that are complete are left as they are.

    Args:
        setup: Of the training, whose settings have ``folds`` set.
        pool: The clips.
        after_fold: Called with each result, in the order of the folds; may raise to leave the rest
            out.
        side_by_side: Trains several networks at once; None: one after another here.

    Returns:
        In the order of the folds.
    """
    results = []
    made = _one_by_one(setup, pool) if side_by_side is None else _at_once(setup, pool, side_by_side)
    with contextlib.closing(made):
        for result in made:
            results.append(result)
            if after_fold is not None:
                after_fold(result)
    return results


def _one_by_one(setup: RunSetup, pool: ClipPool) -> Generator[FoldResult, None, None]:
    for fold, corpus, result in _folds(setup, pool):
        yield run_fold(setup, corpus, fold) if result is None else result


def _at_once(
    setup: RunSetup, pool: ClipPool, side_by_side: SideBySide
) -> Generator[FoldResult, None, None]:
    """Yield what ``_one_by_one`` does, with folds that are not complete trained at once."""
    folds = list(_folds(setup, pool))
    results = {fold.number: fold.result for fold in folds if fold.result is not None}
    todo = {fold.number: fold.corpus for fold in folds if fold.result is None}
    if todo:
        setup.begin()
    with contextlib.closing(side_by_side(setup, todo)) as made:
        for number in range(len(folds)):
            while number not in results:
                result = next(made)
                results[result.fold] = result
            yield results[number]


class _Fold(NamedTuple):
    """A fold, and what is known of its clips; ``result``: None if it is not complete."""

    number: int
    corpus: Corpus
    result: FoldResult | None


def _folds(setup: RunSetup, pool: ClipPool) -> Iterator[_Fold]:
    """Divide clips into folds and look which are complete, each when it is asked for."""
    config, model_dir = setup.config, setup.folders.model
    fold_of = assign_folds(pool.clips, config.folds, config.seed)
    warn_of_weak_folds(pool, fold_of)
    _check_same_folds(config, pool, fold_of, model_dir)
    everything = pool.corpus_of(Split(pool.clips, (), ()))
    noise_pool = _noise_of(everything, config) if config.embedding_views else []
    for fold in range(config.folds):
        split = fold_split(pool.clips, fold_of, fold, config.seed)
        corpus = pool.corpus_of(split)
        corpus.noise_pool = noise_pool
        result = complete_fold(model_dir / f"fold_{fold + 1}", fold, corpus)
        if result is None:
            _log_fold(fold, config.folds, split)
        else:
            log.info("fold %d of %d: complete", fold + 1, config.folds)
        yield _Fold(fold, corpus, result)


def _log_fold(fold: int, n_folds: int, split: Split) -> None:
    log.info(
        "fold %d of %d: %d training clips, %d for validation; judged on %d clips of %d tapes",
        *(fold + 1, n_folds),
        *(len(split[name]) for name in ("train", "val", "test")),
        len({clip.tape for clip in split.test}),
    )


def run_fold(setup: RunSetup, corpus: Corpus, fold: int) -> FoldResult:
    """Train and judge the network of one fold, from its newest checkpoint if there is one.

    Args:
        setup: Of all folds.
        corpus: Clips of this one.
        fold: Number, from 0.
    """
    own = dataclasses.replace(setup, folders=setup.folders.of_fold(fold))
    corpus.noise = _noise_of(corpus, setup.config)
    add_background_of(setup.config, corpus)
    train(own, corpus)
    network = calibrated_network(load_model(own.folders.model / FILE_NAME))
    said = _clip_probabilities(network, corpus.samples["test"], setup)
    result = FoldResult.of(fold, corpus, said)
    result.write(own.folders.model)
    return result


def _noise_of(corpus: Corpus, config: TrainConfig) -> list[Sample]:
    return noise_samples(
        corpus,
        Path(config.noise_dir) if config.noise_dir else None,
        config.noise_from_class,
        exclude_silent=config.filter_broken_audio,
        n_processes=n_processes(config.num_workers),
        channel=config.channel,
    )


@torch.inference_mode()
def _clip_probabilities(model: nn.Module, samples: Sequence[Sample], setup: RunSetup) -> np.ndarray:
    """Return the probability of each class for each clip, shape ``(clips, classes)``.

    They are rounded to six decimals, as they are written.
    """
    precision = setup.precision
    model = model.to(precision.device, memory_format=precision.memory_format).eval()
    loader = evaluation_loader(
        samples,
        setup.pipeline,
        setup.config.sequence_len,
        batch_size=setup.config.batch_size,
        n_workers=setup.config.num_workers,
        device=precision.device,
        cache_dir=setup.folders.cache,
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


def _check_same_folds(
    config: TrainConfig, pool: ClipPool, fold_of: np.ndarray, model_dir: Path
) -> None:
    """Refuse a model folder with folds of other clips or settings; forget those not wanted."""
    settings = {k: v for k, v in as_dict(config).items() if k not in FREE_FOR_FOLDS}
    clips = {
        clip.path: [pool.samples[clip.path].digest, int(fold)]
        for clip, fold in zip(pool.clips, fold_of, strict=True)
    }
    text = json.dumps({"settings": settings, "clips": clips}, indent=1) + "\n"
    path = model_dir / FOLDS_FILE
    if config.start_scratch:
        for predictions in model_dir.glob(f"fold_*/{PREDICTIONS_FILE}"):
            predictions.unlink()
    elif path.is_file():
        _refuse_other_folds(path, settings, json.loads(text)["clips"])
    write_if_changed(path, text)


def _refuse_other_folds(path: Path, settings: dict[str, Any], clips: dict[str, Any]) -> None:
    try:
        before = typed(dict[str, Any], read_json(path), str(path))
        old = typed(dict[str, Any], before.get("settings", {}), f"settings of {path}")
    except ContentError:
        before, old = {}, {}
    changed = list(changes(old, settings).values())
    if changed or before.get("clips") != clips:
        what = f"other settings ({'; '.join(changed)})" if changed else "other clips"
        raise ValueError(
            f"{path.parent} holds folds of {what}; use another --model_dir and "
            "--checkpoint_dir, or --start_from_scratch"
        )
