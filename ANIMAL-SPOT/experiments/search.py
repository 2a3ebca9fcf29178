"""A search for good settings: trials, each a cross-validation, until there are enough."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import shutil
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

    from animal_spot.data.tape_folds import ClipPool
    from animal_spot.experiments.fold_result import FoldResult
    from animal_spot.experiments.tune_study import TuneStudy
    from animal_spot.training.config import TrainConfig

log = logging.getLogger("TUNE")

# What trainings say in these modules is left out.
_QUIET = (
    *("data", "trainer", "training"),
    *("experiments.cross_validation", "experiments.network_training"),
)
# Settings of a run, not of a recipe: a preset does not hold them.
NOT_OF_A_RECIPE = frozenset({"seed", "folds", "cuda", "num_classes", "start_scratch"})


def search_quietly(config: TrainConfig, *search_arguments: Any) -> None:
    """Search as ``search`` does, with what trainings say left out."""
    if not config.debug:
        for name in ("TRAIN", *(f"animal_spot.{part}" for part in _QUIET)):
            logging.getLogger(name).setLevel(logging.WARNING)
    search(config, *search_arguments)


def search(config: TrainConfig, output_dir: Path, n_trials: int, timeout: float | None) -> None:
    """Try settings until there are enough trials or the time is over.

    Args:
        config: What all trials have in common, with ``folds`` set.
        output_dir: Folder of the search.
        n_trials: Trials in all, those of other processes and earlier runs counted.
        timeout: Seconds after which no trial is begun; None: no limit.

    Raises:
        RunError: If no trial was completed.
        CorpusError: If the clips cannot be used.
        ValueError: If the folder holds a search with other settings or clips.
    """
    from animal_spot.data.noise_class import noise_class_of
    from animal_spot.data.tape_folds import assign_folds, warn_of_weak_folds
    from animal_spot.experiments.tune_study import TuneStudy
    from animal_spot.training.config import FREE_TO_CHANGE, as_dict
    from animal_spot.utils.errors import RunError
    from animal_spot.utils.files import digest_of, require_writable_folder

    require_writable_folder(output_dir, "the output folder")
    pool = _pool_without_test(config, output_dir)
    noise_class_of(config.noise_class, list(pool.classes))
    warn_of_weak_folds(pool, assign_folds(pool.clips, config.folds, config.seed))
    logging.getLogger("animal_spot.data.tape_folds").setLevel(
        logging.ERROR
    )  # it has been said once
    digests = "".join(pool.samples[clip.path].digest for clip in pool.clips)
    settings = {k: v for k, v in as_dict(config).items() if k not in FREE_TO_CHANGE}
    settings["clips"] = digest_of(digests.encode())
    started = time.monotonic()
    preset_of = functools.partial(_preset_text, base=config)
    is_valid = functools.partial(_is_valid, base=config)
    with TuneStudy(output_dir, settings, config.seed) as study:
        log.info("%d clips, %d folds, up to %d trials", len(pool.clips), config.folds, n_trials)
        while timeout is None or time.monotonic() - started < timeout:
            trial = study.next_trial(n_trials)
            if trial is None:
                break
            _try(trial, study, config, pool)
            study.write(preset_of, is_valid)
        study.write(preset_of, is_valid)
        best = study.best(is_valid)
    if best is None:
        raise RunError(f"no trial is complete; see {output_dir / 'trials.csv'}")
    log.info("best: trial %d, mean of classes %.1f %%", best.number, 100 * best.value)
    log.info("train with it: --preset %s", output_dir / "best_preset")


def _pool_without_test(config: TrainConfig, output_dir: Path) -> ClipPool:
    """Return the clips of train and val of the stored split, which is made if there is none."""
    from animal_spot.data.corpus import SPLIT_FOLDER, load_corpus
    from animal_spot.data.tape_folds import pool_of
    from animal_spot.utils.hardware import n_processes

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
    )
    return pool_of(corpus, ("train", "val"))


def _try(trial: optuna.Trial, study: TuneStudy, base: TrainConfig, pool: ClipPool) -> None:
    """Cross-validate the settings of a trial and tell the study how good they are."""
    from optuna import TrialPruned
    from optuna.trial import TrialState

    from animal_spot.experiments.search_space import suggest
    from animal_spot.training.config import as_dict
    from animal_spot.utils.errors import RunError, is_memory_error, one_line
    from animal_spot.utils.files import refuse_links
    from animal_spot.utils.interrupt import Interrupted
    from animal_spot.utils.tape_bootstrap import accuracies

    folder = study.folder / "running" / str(trial.number)
    done: list[FoldResult] = []

    def after_fold(result: FoldResult) -> None:
        done.append(result)
        means = [accuracies(r.labels, r.predictions, len(pool.classes))[1] for r in done]
        trial.report(math.fsum(means) / len(means), len(done))
        if len(done) < base.folds and trial.should_prune():
            raise TrialPruned

    refuse_links(folder, study.folder)
    try:
        config = dataclasses.replace(base, **suggest(trial, base))
        trial.set_user_attr("settings", as_dict(config))
        log.info("trial %d: %s", trial.number, _in_words(trial.params))
        _cross_validate(config, pool, folder, study.folder / "cache", after_fold)
        labels = [label for result in done for label in result.labels]
        predictions = [p for result in done for p in result.predictions]
        _, value = accuracies(labels, predictions, len(pool.classes))
        study.tell(trial, value)
        log.info("trial %d: mean of classes %.1f %%", trial.number, 100 * value)
    except TrialPruned:
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


def _cross_validate(
    config: TrainConfig, pool: ClipPool, folder: Path, cache_dir: Path, after_fold: Any
) -> None:
    from animal_spot.experiments.cross_validation import run_folds
    from animal_spot.training.run_folders import RunFolders
    from animal_spot.training.run_setup import RunSetup

    folders = RunFolders(
        data=Path(config.data_dir).resolve(),
        model=folder / "models",
        summary=folder / "summaries",
        cache=Path(config.cache_dir).resolve() if config.cache_dir else cache_dir,
    )
    for path in (folders.model, folders.cache):
        path.mkdir(parents=True, exist_ok=True)
    run_folds(RunSetup.of(config, folders), pool, after_fold)


def _in_words(params: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )


def _settings_of(trial: optuna.trial.FrozenTrial, base: TrainConfig) -> TrainConfig:
    """Return the settings of a trial, by what was drawn for it and nothing else.

    Raises:
        ValueError: If that is not within the search space.
    """
    from optuna.trial import FixedTrial

    from animal_spot.experiments.search_space import suggest

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna only warns of a value out of its range
        try:
            return dataclasses.replace(base, **suggest(FixedTrial(dict(trial.params)), base))
        except (TypeError, ValueError, LookupError, Warning) as error:
            raise ValueError(f"trial {trial.number} is not of this search: {error}") from error


def _is_valid(trial: optuna.trial.FrozenTrial, base: TrainConfig) -> bool:
    try:
        _settings_of(trial, base)
    except ValueError as error:
        log.warning("%s; it does not count", error)
        return False
    return True


def _preset_text(best: optuna.trial.FrozenTrial, base: TrainConfig) -> str:
    """Write the settings of the best trial as a preset."""
    from animal_spot.settings.presets import preset_text
    from animal_spot.training.config import FREE_TO_CHANGE, TrainConfig, as_dict, build_parser

    left_out = FREE_TO_CHANGE | NOT_OF_A_RECIPE | {"noise_dir", "pretrained_weights"}
    values = {
        name: _plain(value)
        for name, value in as_dict(_settings_of(best, base)).items()
        if name not in left_out and _plain(value) != _plain(getattr(TrainConfig, name))
    }
    title = (
        f"Found by tune.py: trial {best.number}, mean of classes {best.value:.3f} in "
        f"{base.folds}-fold cross-validation.\nIt is the best of several, so it flatters; judge "
        "it on the test clips, or with --folds on other data."
    )
    return preset_text(values, build_parser(), title)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
