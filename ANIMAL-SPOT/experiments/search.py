"""A search for good settings: trials, each a cross-validation, until there are enough."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from animal_spot.data.corpus import SPLIT_FOLDER, load_corpus
from animal_spot.data.noise_class import noise_class_of
from animal_spot.data.tape_folds import ClipPool, assign_folds, pool_of, warn_of_weak_folds
from animal_spot.experiments.cross_validation import SideBySide, run_folds
from animal_spot.experiments.fold_result import FoldResult
from animal_spot.experiments.fold_workers import FoldWorkers
from animal_spot.experiments.search_space import suggest
from animal_spot.experiments.trial_settings import in_words, is_of_search, preset_of
from animal_spot.experiments.tune_study import TuneStudy
from animal_spot.training.config import FREE_TO_CHANGE, TrainConfig, as_dict
from animal_spot.training.network import tell_start
from animal_spot.training.run_folders import RunFolders
from animal_spot.training.run_setup import RunSetup
from animal_spot.utils.errors import RunError, is_memory_error, one_line
from animal_spot.utils.files import digest_of, refuse_links, require_writable_folder
from animal_spot.utils.hardware import n_processes
from animal_spot.utils.interrupt import Interrupted
from animal_spot.utils.tape_bootstrap import accuracies

log = logging.getLogger("TUNE")

# What trainings say in these modules is left out.
_QUIET = (
    *("data", "trainer", "training"),
    *("experiments.cross_validation", "experiments.network_training"),
    "experiments.fold_workers",
)


def search_quietly(config: TrainConfig, *search_arguments: Any, **options: Any) -> None:
    """Search as ``search`` does, with what trainings say left out."""
    if not config.debug:
        for name in ("TRAIN", *(f"animal_spot.{part}" for part in _QUIET)):
            logging.getLogger(name).setLevel(logging.WARNING)
    search(config, *search_arguments, **options)


def search(
    config: TrainConfig,
    output_dir: Path,
    n_trials: int,
    timeout: float | None,
    *,
    replace_edited: bool = False,
) -> None:
    """Try settings until there are enough trials or the time is over.

    Args:
        config: What all trials have in common, with ``folds`` set; with ``ray``, the folds of a
            trial are trained side by side.
        output_dir: Folder of the search.
        n_trials: Trials in all, those of other processes and earlier runs counted.
        timeout: Seconds after which no trial is begun; None: no limit.
        replace_edited: Replace what was edited of its results, and keep a copy.

    Raises:
        RunError: If no trial was completed.
        CorpusError: If the clips cannot be used.
        ValueError: If the folder holds a search with other settings or clips.
    """
    require_writable_folder(output_dir, "the output folder")
    workers = None
    if config.ray is not None:
        workers, config = FoldWorkers.of(config)
    pool = _pool_without_test(config, output_dir)
    noise_class_of(config.noise_class, list(pool.classes))
    warn_of_weak_folds(pool, assign_folds(pool.clips, config.folds, config.seed))
    tell_start(config, pool.classes)
    # It has been said once.
    logging.getLogger("animal_spot.data.tape_folds").setLevel(logging.ERROR)
    started = time.monotonic()
    preset = functools.partial(preset_of, base=config)
    counts = functools.partial(is_of_search, base=config)
    with (
        TuneStudy(
            output_dir, _in_common(config, pool), config.seed, replace_edited=replace_edited
        ) as study,
        workers.held() if workers else contextlib.nullcontext() as side_by_side,
    ):
        log.info("%d clips, %d folds, up to %d trials", len(pool.clips), config.folds, n_trials)
        while timeout is None or time.monotonic() - started < timeout:
            trial = study.next_trial(n_trials)
            if trial is None:
                break
            _try(trial, study, config, pool, side_by_side)
            study.write(preset, counts)
        study.write(preset, counts)
        best = study.best(counts)
    if best is None:
        raise RunError(f"no trial is complete; see {output_dir / 'trials.csv'}")
    log.info("best: trial %d, mean of classes %.1f %%", best.number, 100 * best.value)
    log.info("train with it: --preset %s", output_dir / "best_preset")


def _in_common(config: TrainConfig, pool: ClipPool) -> dict[str, Any]:
    """Return what all trials of a search have in common."""
    digests = "".join(pool.samples[clip.path].digest for clip in pool.clips)
    settings = {k: v for k, v in as_dict(config).items() if k not in FREE_TO_CHANGE}
    return settings | {"clips": digest_of(digests.encode())}


def _pool_without_test(config: TrainConfig, output_dir: Path) -> ClipPool:
    """Return the clips of train and val of the stored split, which is made if there is none."""
    corpus = load_corpus(
        Path(config.data_dir).resolve(),
        num_classes=config.num_classes,
        exclude_silent=config.filter_broken_audio,
        strict_split=config.strict_split,
        split_dir=Path(config.split_dir).resolve() if config.split_dir else None,
        fallback_split_dirs=[output_dir / SPLIT_FOLDER],
        seed=config.seed,
        n_processes=n_processes(config.num_workers),
        channel=config.channel,
        labels=Path(config.labels).resolve() if config.labels else None,
        tape_pattern=config.tape_pattern,
    )
    return pool_of(corpus, ("train", "val"))


def _try(
    trial: optuna.Trial,
    study: TuneStudy,
    base: TrainConfig,
    pool: ClipPool,
    side_by_side: SideBySide | None,
) -> None:
    """Cross-validate the settings of a trial and tell the study how good they are."""
    folder = study.folder / "running" / str(trial.number)
    done: list[FoldResult] = []
    refuse_links(folder, study.folder)
    try:
        config = dataclasses.replace(base, **suggest(trial, base))
        trial.set_user_attr("settings", as_dict(config))
        log.info("trial %d: %s", trial.number, in_words(trial.params))
        setup = _setup_in(folder, config, study.folder / "cache")
        _cross_validate(setup, pool, trial, done, side_by_side)
        labels = [label for result in done for label in result.labels]
        predictions = [p for result in done for p in result.predictions]
        _, value = accuracies(labels, predictions, len(pool.classes))
        study.tell(trial, value)
        log.info("trial %d: mean of classes %.1f %%", trial.number, 100 * value)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
        log.info("trial %d: given up after %d folds", trial.number, len(done))
    except (KeyboardInterrupt, Interrupted):
        study.repeat(trial.number)
        raise
    except Exception as error:
        study.tell(trial, state=TrialState.FAIL)
        if not (isinstance(error, (RunError, ValueError, OSError)) or is_memory_error(error)):
            raise
        log.error("trial %d failed: %s", trial.number, one_line(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _setup_in(folder: Path, config: TrainConfig, cache_dir: Path) -> RunSetup:
    folders = RunFolders(
        data=Path(config.data_dir).resolve(),
        model=folder / "models",
        summary=folder / "summaries",
        cache=Path(config.cache_dir).resolve() if config.cache_dir else cache_dir,
    )
    for path in (folders.model, folders.cache):
        path.mkdir(parents=True, exist_ok=True)
    return RunSetup.of(config, folders)


def _cross_validate(
    setup: RunSetup,
    pool: ClipPool,
    trial: optuna.Trial,
    done: list[FoldResult],
    side_by_side: SideBySide | None,
) -> None:
    """Add the result of each fold to ``done``, unless the trial is given up before."""

    def after_fold(result: FoldResult) -> None:
        done.append(result)
        means = [accuracies(r.labels, r.predictions, len(pool.classes))[1] for r in done]
        trial.report(math.fsum(means) / len(means), len(done))
        if len(done) < setup.config.folds and trial.should_prune():
            raise optuna.TrialPruned

    run_folds(setup, pool, after_fold, side_by_side)
