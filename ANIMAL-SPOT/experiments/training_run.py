"""A training from settings to files: alone in its folders, with its log and its clips."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import time
from pathlib import Path

from animal_spot.data.corpus import SPLIT_FOLDER, Corpus, load_corpus, report_excluded
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import noise_class_of
from animal_spot.data.unlabelled import add_unlabelled
from animal_spot.experiments.cross_validation import cross_validate
from animal_spot.experiments.fold_workers import FoldWorkers
from animal_spot.experiments.network_training import train
from animal_spot.model_files.model_file import FILE_NAME
from animal_spot.training.background import add_background_of
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.clip_scores import split_fingerprint
from animal_spot.training.config import TrainConfig, preset_line
from animal_spot.training.distributed import ALONE, World
from animal_spot.training.finished_run import LOCK, is_finished
from animal_spot.training.network import tell_start
from animal_spot.training.run_folders import RunFolders, run_prefix
from animal_spot.training.run_setup import RunSetup, warn_of_clips
from animal_spot.training.seeding import compute_repeatably
from animal_spot.utils.files import remove_leftovers, sole_process
from animal_spot.utils.hardware import n_processes
from animal_spot.utils.logging import HeldLog

log = logging.getLogger("TRAIN")


def run(config: TrainConfig, world: World = ALONE) -> bool:
    """Train, test and save as configured.

    Args:
        config: Settings.
        world: The processes that train together, of which this is the first.

    Returns:
        Whether there is something new; False: it was finished already.

    Raises:
        RunError: If the training cannot go on.
        ValueError: If settings, clips or what the folders hold do not fit together.
        OSError: If something cannot be read or written.
    """
    if world.size > 1 and not config.kind.keeps_checkpoints:
        raise ValueError(
            f"--backbone {config.backbone} is trained in seconds by one process: start it without "
            "torchrun"
        )
    if world.size > 1 and config.ray is not None:
        raise ValueError("--ray starts processes itself: start it without torchrun")
    folders = RunFolders.made_for(config)
    with contextlib.ExitStack() as held:
        for folder in dict.fromkeys((folders.model, folders.checkpoint)):
            if folder is not None:
                held.enter_context(sole_process(folder / LOCK, f"training in {folder}"))
                held.callback(_remove_lock, folder / LOCK)
        log_file = _log_file(config, folders)
        try:
            return _run_alone(config, folders, log_file, world)
        except BaseException:
            if not log_file.append:
                log_file.release()  # what went wrong belongs there too
            raise
        finally:
            log_file.drop()  # what never began leaves the log of an earlier run as it is


def _remove_lock(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows keeps a file that is open
        path.unlink()


def _log_file(config: TrainConfig, folders: RunFolders) -> HeldLog:
    """Hold back the log until it is known what for; that of a run that goes on is kept."""
    pattern = "*.checkpoint" if config.folds is None else "fold_*/*.checkpoint"
    goes_on = folders.checkpoint is not None and any(folders.checkpoint.glob(pattern))
    is_done = any(folders.model.glob("*.json")) or (folders.model / FILE_NAME).exists()
    keeps_log = not config.start_scratch and (goes_on or is_done)
    if folders.log is None:
        return HeldLog(None, append=keeps_log)
    remove_leftovers(folders.log)
    return HeldLog(folders.log / "TRAIN.log", append=keeps_log)


def _run_alone(config: TrainConfig, folders: RunFolders, log_file: HeldLog, world: World) -> bool:
    """Run in folders that no other run trains in; return what ``run`` does."""
    log.info("start on %s: %s", time.strftime("%Y-%m-%d"), " ".join(sys.argv))
    workers = None
    if config.ray is not None:
        workers, config = FoldWorkers.of(config)
    setup = RunSetup.of(config, folders, world)
    compute_repeatably(setup.precision.device)
    _tell_setup(setup)
    config.encoder_opts  # noqa: B018 - refuses a name that timm does not know
    if config.distill is not None and not Path(config.distill).is_file():
        raise ValueError(f"--distill {config.distill} does not exist or is not a file")
    if config.init_from is not None:
        _refuse_own_model(config, folders)
    if config.folds is not None:
        setup = dataclasses.replace(setup, begin=log_file.release)
        return cross_validate(setup, workers and workers.train)
    corpus = _corpus(config, folders)
    if _is_finished(config, corpus, folders):
        log.info(
            "finished already: %s is of these settings and clips, and nothing is changed; to train "
            "anew, name other folders or use --start_from_scratch",
            folders.model / FILE_NAME,
        )
        return False
    corpus.warnings += warn_of_clips(setup, corpus.samples, corpus.classes)
    corpus.warnings += tell_start(config, corpus.classes, split_fingerprint(corpus.samples))

    def begin() -> None:
        log_file.release()
        report_excluded(corpus.excluded, folders.log)

    train(dataclasses.replace(setup, begin=begin), corpus)
    return True


def _refuse_own_model(config: TrainConfig, folders: RunFolders) -> None:
    own = folders.model / FILE_NAME
    if own.exists() and own.samefile(config.init_from):
        raise ValueError(
            f"--init_from {config.init_from} would be replaced by the model that comes of it; name "
            "another --model_dir"
        )


def _tell_setup(setup: RunSetup) -> None:
    config, precision = setup.config, setup.precision
    log.info("device %s, precision %s, seed %d", precision.device.type, precision.name, config.seed)
    if config.preset is not None:
        log.info("%s", preset_line(config))
    for warning in setup.pipeline.warnings():
        log.warning("%s", warning)
    if config.unused:
        log.warning("--backbone %s has no use for %s", config.backbone, ", ".join(config.unused))
    if not config.kind.keeps_checkpoints and setup.folders.checkpoint is not None:
        log.info("no checkpoints are kept, it takes seconds: after an interruption start again")


def _corpus(config: TrainConfig, folders: RunFolders) -> Corpus:
    """Find the clips of a training, with what has no label."""
    corpus = load_corpus(
        folders.data,
        num_classes=config.num_classes,
        noise_dir=Path(config.noise_dir) if config.noise_dir else None,
        noise_from_class=config.noise_from_class,
        exclude_silent=config.filter_broken_audio,
        strict_split=config.strict_split,
        by_time=config.split_by_time,
        join_new=not config.freeze_split,
        split_dir=Path(config.split_dir).resolve() if config.split_dir else None,
        fallback_split_dirs=[folders.model / SPLIT_FOLDER],
        seed=config.seed,
        n_processes=n_processes(config.num_workers),
        channel=config.channel,
        labels=Path(config.labels).resolve() if config.labels else None,
        tape_pattern=config.tape_pattern,
    )
    if config.unlabelled_dir is not None:
        _find_unlabelled(config, corpus)
    noise_class_of(config.noise_class, names_by_index(corpus.classes))  # refuses what is no class
    add_background_of(config, corpus)
    return corpus


def _find_unlabelled(config: TrainConfig, corpus: Corpus) -> None:
    """Add the sound of ``--unlabelled_dir`` to a corpus."""
    n_known = add_unlabelled(
        corpus,
        Path(config.unlabelled_dir),
        config.sequence_len / 1000,
        exclude_silent=config.filter_broken_audio,
        channel=config.channel,
    )
    n_train = len(corpus.samples["train"])
    log.info(
        "%d clips without a label in %s, %d of them in each epoch",
        len(corpus.unlabelled),
        config.unlabelled_dir,
        min(n_train, len(corpus.unlabelled)),
    )
    if n_known:
        log.warning("%d files there are clips of the data folder; they are left out", n_known)


def _is_finished(config: TrainConfig, corpus: Corpus, folders: RunFolders) -> bool:
    """Look whether the run is done already; see ``is_finished``."""
    keeps = folders.checkpoint is not None and config.kind.keeps_checkpoints
    goes_on = keeps and not config.start_scratch
    if goes_on:
        prefix = run_prefix(len(corpus.classes))
        goes_on = bool(CheckpointFolder(folders.checkpoint, prefix).files())
    return is_finished(config, corpus, folders.model, goes_on=goes_on)
