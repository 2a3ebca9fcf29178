"""The training of one network on a corpus: built, taught, tested, saved."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from animal_spot.data.batch_augment import BatchAugmentation
from animal_spot.data.clip_dataset import end_workers
from animal_spot.data.corpus import Corpus
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import no_noise_warning, noise_class_of
from animal_spot.detections.event_settings import EventSettings
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.experiments.decoder_tuning import tune_decoder
from animal_spot.model_files.ensemble_file import ensemble_of_one
from animal_spot.model_files.model_file import ModelFile
from animal_spot.models.factory import batch_norms
from animal_spot.models.precision import Precision
from animal_spot.trainer import Trainer
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.class_shares import draw_shares, training_loss
from animal_spot.training.clip_scores import logits_of
from animal_spot.training.config import TrainConfig
from animal_spot.training.distillation import DistillationTargets, teach
from animal_spot.training.distributed import Team, World
from animal_spot.training.embedding_training import train_on_embeddings
from animal_spot.training.finished_run import data_fingerprint
from animal_spot.training.loaders import noise_label_of, training_loaders
from animal_spot.training.network import FirstNetwork, first_network
from animal_spot.training.optimizers import build_optimizer, build_scheduler
from animal_spot.training.outputs import Trained, finish_training
from animal_spot.training.phase_result import PhaseResult
from animal_spot.training.recipe import (
    WAYS_OUT,
    beside_the_end,
    changes,
    refuse_changes,
    settled_recipe,
)
from animal_spot.training.run_folders import RunFolders, run_prefix
from animal_spot.training.run_setup import RunSetup, pipeline_of_config
from animal_spot.training.scene_targets import SceneTargets
from animal_spot.training.seeding import (
    compute_repeatably,
    generator_state,
    restore_generators,
    seed_everything,
)
from animal_spot.training.shared_weights import Weights, mix_in, weights_of
from animal_spot.training.tensorboard import new_summary
from animal_spot.training.trainer_recipe import TargetFunction, TrainerRecipe

log = logging.getLogger(__name__)


def train(setup: RunSetup, corpus: Corpus) -> None:
    """Train a network on a corpus, from its newest checkpoint if there is one; test and save it.

    Args:
        setup: Of the training.
        corpus: Clips.

    Raises:
        TrainingError: If the training cannot go on.
        ValueError: If settings do not fit the clips, or checkpoints are of another run.
        OSError: If something cannot be read or written.
    """
    config, names = setup.config, names_by_index(corpus.classes)
    log.info("%d classes: %s", len(names), ", ".join(names))
    noise_class = noise_class_of(config.noise_class, names)
    if noise_class is None:
        log.warning("%s", no_noise_warning(names))
    else:
        log.info("noise class: %s", noise_class)
    seed_everything(config.seed)
    if config.tune_decoder:
        setup = dataclasses.replace(setup, tune_decoder=functools.partial(_decoder, config))
    if isinstance(setup.pipeline, EmbeddingPipeline):
        setup.begin()
        train_on_embeddings(setup, corpus)
    else:
        _train_on_spectrograms(setup, corpus)


def _decoder(config: TrainConfig, content: ModelFile, corpus: Corpus) -> EventSettings | None:
    """Find how windows of a trained network become events."""
    models = [config.embedding_model] if config.embedding_model else []
    return tune_decoder(
        ensemble_of_one(content),
        corpus.samples["val"],
        sequence_len_s=config.sequence_len / 1000,
        background=_recordings_without_calls(config, corpus),
        seed=config.seed,
        settings={
            "cuda": config.cuda,
            "device": config.device,
            "embedding_model": tuple(map(str, models)),
        },
    )


def _recordings_without_calls(config: TrainConfig, corpus: Corpus) -> list[Path]:
    """Return the recordings of ``--background_dir`` that are used."""
    folders = [Path(folder).absolute() for folder in config.background_dir or ()]
    paths = {sample.path for sample in corpus.noise}
    return sorted(p for p in paths if any(p.absolute().is_relative_to(f) for f in folders))


class SharedTask(NamedTuple):
    """What the first of several processes lets the others know of a training.

    Attributes:
        config: Settings.
        corpus: Clips, whose files all processes must see at the same paths.
        folders: Where the first process writes; the others keep features there, if wanted.
        precision: Name of the arithmetic.
        device: Kind of device.
    """

    config: TrainConfig
    corpus: Corpus
    folders: RunFolders
    precision: str
    device: str


def take_part(world: Team, task: SharedTask) -> None:
    """Train together with the first process, which says what.

    Args:
        world: The processes.
        task: What it is about.

    Raises:
        TrainingError: If the training cannot go on.
        ClipError: If a clip cannot be read.
    """
    config, corpus = task.config, task.corpus
    precision = Precision(task.precision, world.device(task.device))
    setup = RunSetup(config, task.folders, pipeline_of_config(config), precision, world=world)
    compute_repeatably(precision.device)
    seed_everything(config.seed)
    logging.disable(logging.WARNING)  # the first process has the same to say
    try:
        prepared = _prepare(setup, corpus)
    finally:
        logging.disable(logging.NOTSET)
    _train_and_save(setup, corpus, prepared)


class _Prepared(NamedTuple):
    """A training that can begin; ``before``: weights that are mixed in at its end, or None."""

    trainer: Trainer
    loaders: dict[str, DataLoader]
    first: FirstNetwork
    before: Weights | None


def _train_on_spectrograms(setup: RunSetup, corpus: Corpus) -> None:
    config, precision = setup.config, setup.precision
    if setup.world.size > 1:
        setup.world.device(precision.device.type)
        task = SharedTask(config, corpus, setup.folders, precision.name, precision.device.type)
        setup.world.from_first(lambda: task)
    prepared = _prepare(setup, corpus)
    setup.begin()
    _train_and_save(setup, corpus, prepared)


def _prepare(setup: RunSetup, corpus: Corpus) -> _Prepared:
    config, folders, world = setup.config, setup.folders, setup.world
    shares = draw_shares(config, corpus)
    loaders = training_loaders(setup, corpus, shares)
    first = world.from_first(lambda: first_network(config, corpus.classes, torch.device("cpu")))
    first.model.to(setup.precision.device)
    before = weights_of(first.model) if _keeps_share(config, first) else None
    prefix = run_prefix(len(corpus.classes))
    keeps = world.is_first and folders.checkpoint
    trainer = Trainer(
        first.model,
        _recipe(setup, corpus, first, shares, len(loaders["train"].batch_sampler)),
        checkpoints=CheckpointFolder(folders.checkpoint, prefix) if keeps else None,
        summary=(
            new_summary(folders.summary, prefix, names_by_index(corpus.classes))
            if world.is_first
            else None
        ),
        world=world,
    )
    _tell_processes(world, trainer)
    _go_on_or_begin(config, trainer)
    if world.size > 1:  # what layers draw is the same in all processes
        restore_generators(world.from_first(generator_state))
    return _Prepared(trainer, loaders, first, before)


def _tell_processes(world: World, trainer: Trainer) -> None:
    if world.size == 1:
        return
    device = trainer.recipe.precision.device.type
    statistics = "the network has no batch normalisation"
    if batch_norms(trainer.model):
        statistics = "batch normalisation takes its statistics over all of them"
        if trainer.recipe.freeze_batch_norm:
            statistics = "the statistics of batch normalisation are frozen"
    log.info(
        "%d processes (%s) share each batch; %s",
        *(world.size, "NCCL" if device == "cuda" else "gloo", statistics),
    )


def _keeps_share(config: TrainConfig, first: FirstNetwork) -> bool:
    """Tell whether weights of the start are mixed into those of the end."""
    if config.init_from is None or not config.init_share:
        return False
    if first.head_is_new:
        log.warning("--init_share does not count: weights of new classes have no before")
        return False
    return True


def _recipe(
    setup: RunSetup,
    corpus: Corpus,
    first: FirstNetwork,
    shares: np.ndarray | None,
    steps_per_epoch: int,
) -> TrainerRecipe:
    config, precision = setup.config, setup.precision
    _tell_what_is_frozen(config, first.model)
    # One kernel for all weights where layers are mixed; fp32 keeps to the golden path.
    optimizer = functools.partial(
        build_optimizer,
        config,
        fused=precision.is_mixed,
        head_is_new=first.head_is_new,
        known_rows=first.known_rows,
    )
    return TrainerRecipe(
        classes=corpus.classes,
        precision=precision,
        optimizer=optimizer,
        scheduler=functools.partial(build_scheduler, config, steps_per_epoch=steps_per_epoch),
        patience=config.in_validations(config.early_stopping_patience_epochs),
        val_metric=config.val_metric,
        epochs_per_eval=config.epochs_per_eval,
        gradient_clip_norm=config.gradient_clip_norm,
        loss=training_loss(config, corpus, shares).to(precision.device),
        ema_decay=config.ema_decay,
        freeze_epochs=config.freeze_epochs,
        freeze_batch_norm=config.freeze_batch_norm,
        make_targets=_targets(setup, corpus),
        batch_augmentation=_batch_augmentation(setup, len(corpus.classes)),
        settings=settled_recipe(config, corpus.classes),
        data=data_fingerprint(corpus),
    )


def _tell_what_is_frozen(config: TrainConfig, model: nn.Module) -> None:
    if config.freeze_epochs:
        log.info("the last layer alone is trained in the first %d epochs", config.freeze_epochs)
        if not config.pretrained and config.init_from is None:
            log.warning("--freeze_epochs without --pretrained keeps a random network")
    if config.freeze_batch_norm and not batch_norms(model):
        log.warning("--freeze_batch_norm does nothing: this network has no batch normalisation")


def _targets(setup: RunSetup, corpus: Corpus) -> TargetFunction | None:
    """Return what targets are made of; None: of the labels alone.

    That is what a teacher says of the training clips, and which parts of calls a window holds.
    """
    taught = _taught(setup, corpus)
    if not setup.config.scene_limits.is_on:
        return taught
    samples = [*corpus.samples["train"], *corpus.unlabelled]
    return SceneTargets(
        [sample.label for sample in samples],
        len(corpus.classes),
        noise_label_of(setup.config, corpus.classes),
        taught,
    )


def _taught(setup: RunSetup, corpus: Corpus) -> TargetFunction | None:
    """Return what a teacher says of the training clips as targets; None without one."""
    config = setup.config
    if config.distill is None:
        return None
    models = [Path(config.embedding_model)] if config.embedding_model else []
    said = setup.world.from_first(
        lambda: teach(
            *(Path(config.distill), corpus, setup.precision.device, config.num_workers), models
        )
    )
    return DistillationTargets(said, config.distill_temperature)


def _batch_augmentation(setup: RunSetup, n_classes: int) -> BatchAugmentation | None:
    config = setup.config
    if not config.mixup_alpha and not config.spec_augment:
        return None
    return BatchAugmentation(
        n_classes=n_classes,
        seed=config.seed,
        mixup_alpha=config.mixup_alpha,
        spec_augment=config.spec_augment,
        silence=setup.pipeline.silence,
    )


def _go_on_or_begin(config: TrainConfig, trainer: Trainer) -> None:
    """Go on from the newest checkpoint; from the start, if wanted, with those there set aside."""
    checkpoints = trainer.checkpoints
    if checkpoints is not None:
        checkpoints.remove_leftovers()
    if not config.start_scratch:
        if (resumed := trainer.resume()) and checkpoints is not None:
            _check_resumed(config, trainer, resumed)
    elif checkpoints is not None and (aside := checkpoints.set_aside()):
        log.info("checkpoints of an earlier run moved to %s", aside)


def _check_resumed(config: TrainConfig, trainer: Trainer, content: dict[str, Any]) -> None:
    """Refuse settings and clips that are not those of a run that is over; warn of others clips."""
    state, recipe = trainer.state, trainer.recipe
    before, folder = content.get("settings"), trainer.checkpoints.folder
    over = state.start_epoch >= config.max_train_epochs or state.early_stopping.should_stop
    if over and before:
        changed = beside_the_end(changes(before, recipe.settings))
        refuse_changes(changed, folder, over=True)
    if content.get("data") in (None, recipe.data):
        return
    if over:
        raise ValueError(f"the run in {folder} is over, and had other clips: {WAYS_OUT}")
    log.warning("the clips or their split are not those that the run in %s began with", folder)


def _train_and_save(setup: RunSetup, corpus: Corpus, prepared: _Prepared) -> None:
    trainer, loaders = prepared.trainer, prepared.loaders
    try:
        results = _trained_and_judged(setup.config, prepared)
        if setup.world.is_first:
            _save(setup, corpus, prepared, results)
    finally:
        for loader in loaders.values():
            end_workers(loader)
        if trainer.summary is not None:
            trainer.summary.close()


def _trained_and_judged(config: TrainConfig, prepared: _Prepared) -> dict[str, PhaseResult]:
    trainer, loaders, _, before = prepared
    started = time.perf_counter()
    trainer.fit(loaders["train"], loaders["val"], config.max_train_epochs)
    if before is not None:
        mix_in(trainer.model, before, config.init_share)
    results = {"val": trainer.validate_best(loaders["val"])}
    if "test" in loaders:
        results["test"] = trainer.test(loaders["test"])
    minutes, seconds = divmod(int(time.perf_counter() - started), 60)
    log.info("training took %dm %ds", minutes, seconds)
    return results


def _save(
    setup: RunSetup, corpus: Corpus, prepared: _Prepared, results: dict[str, PhaseResult]
) -> None:
    config, precision = setup.config, setup.precision
    trainer, loaders, first, _ = prepared
    scored = {}
    if config.calibrate:  # in fp32, as in prediction
        for phase in results:
            loaders[phase].batch_sampler.undivided()
            (logits,), labels = logits_of([trainer.model], loaders[phase], precision.device)
            scored[phase] = (logits, labels)
    trained = Trained(
        trainer.model,
        first.encoder_opts,
        first.classifier_opts,
        config.signal,
        config.signal.normalization,
        precision.name,
    )
    finish_training(setup, corpus, trained, results, scored, trainer.summary)
