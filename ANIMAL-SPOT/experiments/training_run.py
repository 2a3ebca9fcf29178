"""A training from settings to files: folders, corpus, network, trainer, test, results."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.batch_augment import BatchAugmentation
from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, end_workers, make_loader
from animal_spot.data.corpus import SPLIT_FOLDER, Corpus, CorpusError, load_corpus, report_excluded
from animal_spot.data.hearing import hearing_warnings
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import no_noise_warning, noise_class_of
from animal_spot.data.sampling import draw_probabilities
from animal_spot.data.unlabelled import add_unlabelled
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.experiments.cross_validation import cross_validate
from animal_spot.model_files.model_file import FILE_NAME
from animal_spot.model_files.signal_path import Pipeline
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import batch_norms, build_encoder, build_model
from animal_spot.models.precision import Precision
from animal_spot.trainer import Trainer
from animal_spot.training.checkpoints import CheckpointFolder
from animal_spot.training.clip_scores import logits_of
from animal_spot.training.config import TrainConfig, as_dict, preset_line
from animal_spot.training.distillation import DistillationLoss, DistillationTargets, teach
from animal_spot.training.early_stopping import EarlyStopping
from animal_spot.training.embedding_training import train_on_embeddings
from animal_spot.training.finished_run import LOCK, data_fingerprint, is_finished
from animal_spot.training.loaders import pipeline_of_config, training_precision
from animal_spot.training.losses import TrainingLoss
from animal_spot.training.optimizers import build_optimizer, build_scheduler
from animal_spot.training.outputs import Trained, finish_training
from animal_spot.training.recipe import (
    WAYS_OUT,
    beside_the_end,
    changes,
    refuse_changes,
    settled_recipe,
)
from animal_spot.training.seeding import compute_repeatably, seed_everything
from animal_spot.training.tensorboard import Summary, new_run_name
from animal_spot.utils.files import remove_leftovers, require_writable_folder, sole_process
from animal_spot.utils.hardware import n_cores
from animal_spot.utils.logging import HeldLog

log = logging.getLogger("TRAIN")


def run(config: TrainConfig) -> None:
    """Train, test and save as configured."""
    folders = _check_folders(config)
    with contextlib.ExitStack() as held:
        for folder in dict.fromkeys((folders["model"], folders["checkpoint"])):
            if folder is not None:
                held.enter_context(sole_process(folder / LOCK, f"training in {folder}"))
                held.callback(_remove_lock, folder / LOCK)
        pattern = "*.checkpoint" if config.folds is None else "fold_*/*.checkpoint"
        goes_on = not config.start_scratch and folders["checkpoint"] is not None
        goes_on = goes_on and any(folders["checkpoint"].glob(pattern))
        keeps_log = goes_on or (not config.start_scratch and any(folders["model"].glob("*.json")))
        path = None
        if folders["log"] is not None:
            remove_leftovers(folders["log"])
            path = folders["log"] / "TRAIN.log"
        log_file = HeldLog(path, append=keeps_log)
        try:
            _run_alone(config, folders, log_file)
        except BaseException:
            log_file.release()  # what went wrong belongs there too
            raise


def _remove_lock(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows keeps a file that is open
        path.unlink()


def _run_alone(config: TrainConfig, folders: dict[str, Path | None], log_file: HeldLog) -> None:
    """Run in folders that no other process trains in."""
    log.info("start on %s: %s", time.strftime("%Y-%m-%d"), " ".join(sys.argv))
    precision = training_precision(config)
    compute_repeatably(precision.device)
    log.info("device %s, precision %s, seed %d", precision.device.type, precision.name, config.seed)
    if config.preset is not None:
        log.info("%s", preset_line(config))
    pipeline = pipeline_of_config(config)
    for warning in pipeline.warnings():
        log.warning("%s", warning)
    if config.unused:
        log.warning("--backbone %s has no use for %s", config.backbone, ", ".join(config.unused))
    config.encoder_opts  # noqa: B018 - refuses a name that timm does not know
    if config.distill is not None and not Path(config.distill).is_file():
        raise ValueError(f"--distill {config.distill} does not exist or is not a file")
    if not config.kind.keeps_checkpoints and folders["checkpoint"] is not None:
        log.info("no checkpoints are kept, it takes seconds: after an interruption start again")

    if config.folds is not None:
        log_file.release()
        cross_validate(config, folders, pipeline, precision, train)
        return
    corpus = load_corpus(
        folders["data"],
        num_classes=config.num_classes,
        noise_dir=Path(config.noise_dir) if config.noise_dir else None,
        noise_from_class=config.noise_from_class,
        exclude_silent=config.filter_broken_audio,
        strict_split=config.strict_split,
        split_dir=Path(config.split_dir).resolve() if config.split_dir else None,
        fallback_split_dirs=[folders["model"] / SPLIT_FOLDER],
        seed=config.seed,
        n_processes=max(1, _n_workers(config)),
        channel=config.channel,
    )
    if config.unlabelled_dir is not None:
        _find_unlabelled(config, corpus)
    noise_class_of(config.noise_class, names_by_index(corpus.classes))  # refuses what is no class
    if is_finished(
        config,
        corpus,
        folders["model"],
        goes_on=_has_checkpoints(config, folders["checkpoint"], len(corpus.classes)),
    ):
        log.info(
            "finished already: %s is of these settings and clips, and nothing is changed; to train "
            "anew, name other folders or use --start_from_scratch",
            folders["model"] / FILE_NAME,
        )
        log_file.drop()
        return
    log_file.release()
    report_excluded(corpus.excluded, folders["log"])
    for warning in hearing_warnings(
        corpus.samples, corpus.classes, pipeline.config, config.sequence_len
    ):
        log.warning("%s", warning)
        corpus.warnings.append(warning)
    train(config, corpus, folders, pipeline, precision)


def train(
    config: TrainConfig,
    corpus: Corpus,
    folders: dict[str, Path | None],
    pipeline: Pipeline,
    precision: Precision,
) -> None:
    """Train a network on a corpus, from its newest checkpoint if there is one; test and save it."""
    device = precision.device
    resumable = folders["checkpoint"] is not None and not config.start_scratch
    names = names_by_index(corpus.classes)
    log.info("%d classes: %s", len(names), ", ".join(names))
    noise_class = noise_class_of(config.noise_class, names)
    if noise_class is None:
        log.warning("%s", no_noise_warning(names))
    else:
        log.info("noise class: %s", noise_class)

    seed_everything(config.seed)
    if isinstance(pipeline, EmbeddingPipeline):
        run_name = new_run_name(folders["summary"], run_prefix(len(names)))
        train_on_embeddings(config, corpus, folders, pipeline, run_name)
        return
    shares = _draw_probabilities(config, corpus)
    loaders = _make_loaders(config, corpus, pipeline, folders["cache"], device, shares)
    encoder = build_encoder(
        config.backbone,
        config.encoder_opts,
        pretrained=config.pretrained,
        pretrained_weights=config.pretrained_weights,
        stochastic_depth=config.stochastic_depth,
    )
    classifier_opts = {
        "input_channels": encoder.out_channels,
        "pooling": "avg",
        "num_classes": len(names),
    }
    model = build_model(encoder, Classifier(**classifier_opts)).to(device)
    n_parameters = sum(p.numel() for p in model.parameters())
    log.info("network: %s, %s parameters", _network_name(config), f"{n_parameters:,}")
    log.debug("%s", model, extra={"lines": True, "file_only": True})

    trainer = _make_trainer(
        config,
        model,
        precision,
        corpus.classes,
        _make_loss(config, corpus, shares).to(device),
        folders["checkpoint"],
        steps_per_epoch=len(loaders["train"].batch_sampler),
        batch_augmentation=_batch_augmentation(config, pipeline, len(names)),
    )
    if config.distill is not None:
        models = [Path(config.embedding_model)] if config.embedding_model else []
        said = teach(Path(config.distill), corpus, device, _n_workers(config), models)
        trainer.make_targets = DistillationTargets(said, config.distill_temperature)
    trainer.data = data_fingerprint(corpus)
    prefix = run_prefix(len(names))
    run_name = None
    if trainer.checkpoints is not None:
        trainer.checkpoints.remove_leftovers()
    if resumable:
        resumed = trainer.resume()
        if resumed:
            _check_resumed(config, trainer, resumed)
            run_name = resumed.get("summaryRun")
    elif trainer.checkpoints is not None:
        aside = trainer.checkpoints.set_aside()
        if aside is not None:
            log.info("checkpoints of an earlier run moved to %s", aside)
    summary = Summary(
        folders["summary"],
        run_name or new_run_name(folders["summary"], prefix),
        names,
        trainer.start_epoch,
    )
    trainer.summary = summary
    try:
        _train_and_save(config, corpus, trainer, loaders, folders["model"], classifier_opts)
    finally:
        for loader in loaders.values():
            end_workers(loader)
        summary.close()


def _has_checkpoints(config: TrainConfig, folder: Path | None, n_classes: int) -> bool:
    """Tell whether there is a run to go on with."""
    if folder is None or config.start_scratch or not config.kind.keeps_checkpoints:
        return False
    return bool(CheckpointFolder(folder, run_prefix(n_classes)).files())


def _check_resumed(config: TrainConfig, trainer: Trainer, content: dict[str, Any]) -> None:
    """Refuse settings and clips that are not those of a run that is over; warn of others clips."""
    before, folder = content.get("settings"), trainer.checkpoints.folder
    over = trainer.start_epoch >= config.max_train_epochs or trainer.early_stopping.should_stop
    if over and before:
        changed = beside_the_end(changes(before, trainer.settings))
        refuse_changes(changed, folder, over=True)
    if content.get("data") in (None, trainer.data):
        return
    if over:
        raise ValueError(f"the run in {folder} is over, and had other clips: {WAYS_OUT}")
    log.warning("the clips or their split are not those that the run in %s began with", folder)


def run_prefix(n_classes: int) -> str:
    """Return how checkpoints and run folders of a task are called."""
    return "binary_classifier" if n_classes == 2 else f"multi_class_{n_classes}_classifier"


def _check_folders(config: TrainConfig) -> dict[str, Path | None]:
    """Create the output folders and prove that they can be written, before anything long starts."""
    needed = {"data": "the folder of the labelled clips", "model": "the folder of the new model"}
    missing = {name: use for name, use in needed.items() if getattr(config, f"{name}_dir") is None}
    if missing:
        said = "; ".join(f"--{name}_dir is needed: {use}" for name, use in missing.items())
        raise ValueError(f"{said}{demo_offer() if 'data' in missing else ''}")
    folders: dict[str, Path | None] = {"data": Path(config.data_dir).resolve()}
    if not folders["data"].is_dir():
        raise CorpusError(f"the data folder {config.data_dir} does not exist or is not a folder")
    for name in ("model", "checkpoint", "log", "summary", "cache"):
        given = getattr(config, f"{name}_dir")
        if name == "summary" and given is None:
            given = "runs"
        folders[name] = Path(given).resolve() if given else None
        if folders[name] is not None:
            require_writable_folder(folders[name], f"the {name} folder")
    return folders


def demo_offer() -> str:
    """Return what to type for a first try without clips of one's own."""
    here = Path.cwd()
    program = Path(__file__).resolve().parents[1] / "synthesise_corpus.py"
    paths = [
        p.relative_to(here) if here in p.parents else p for p in (Path(sys.executable), program)
    ]
    command = shlex.join([*map(str, paths), "--output_dir", "demo/data"])
    return (
        f". To try it with made-up calls, type {command} and then your command again with "
        "--data_dir demo/data --model_dir demo/model"
    )


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


def _make_loaders(
    config: TrainConfig,
    corpus: Corpus,
    pipeline: SpectrogramPipeline,
    cache_dir: Path | None,
    device: torch.device,
    shares: np.ndarray | None,
) -> dict[str, DataLoader]:
    n_train = len(corpus.samples["train"])
    n_train += min(n_train, len(corpus.unlabelled))
    if n_train < config.batch_size:
        log.warning(
            "only %d training clips: they make one batch, smaller than --batch_size %d",
            n_train,
            config.batch_size,
        )
    if config.augmentation:
        log.info("augmentation: level, pitch, speed, position; %d noise clips", len(corpus.noise))
    loaders = {}
    for partition, samples in corpus.samples.items():
        if not samples:
            continue
        training = partition == "train"
        unlabelled = corpus.unlabelled if training else []
        dataset = ClipDataset(
            [*samples, *unlabelled],
            pipeline,
            config.signal.n_clip_frames(config.sequence_len),
            cache_dir=cache_dir,
            augmentation=config.augmentation_limits if training and config.augmentation else None,
            noise=corpus.noise if training else (),
            seed=config.seed,
        )
        sampler = EpochSampler(
            len(samples),
            config.batch_size,
            shuffle=training,
            drop_last=training,
            seed=config.seed,
            probabilities=shares if training else None,
            n_extra=len(unlabelled),
        )
        loaders[partition] = make_loader(
            dataset, sampler, n_workers=_n_workers(config), pin_memory=device.type == "cuda"
        )
    return loaders


def _batch_augmentation(
    config: TrainConfig, pipeline: SpectrogramPipeline, n_classes: int
) -> BatchAugmentation | None:
    if not config.mixup_alpha and not config.spec_augment:
        return None
    return BatchAugmentation(
        n_classes=n_classes,
        seed=config.seed,
        mixup_alpha=config.mixup_alpha,
        spec_augment=config.spec_augment,
        silence=pipeline.silence,
    )


def _draw_probabilities(config: TrainConfig, corpus: Corpus) -> np.ndarray | None:
    """Return how likely each training clip is in a draw; None: each comes once an epoch."""
    if not config.weighted_sampling:
        return None
    samples = corpus.samples["train"]
    shares = draw_probabilities(
        samples,
        len(corpus.classes),
        strategy=config.sampling_strategy,
        rare_class_boost=config.rare_class_boost,
        balance_tapes=config.balance_tapes,
    )
    counts, drawn = _class_counts(corpus, None), _class_counts(corpus, shares)
    log.info(
        "classes are drawn by %s%s: %s",
        config.sampling_strategy,
        ", tapes of a class equally often" if config.balance_tapes else "",
        ", ".join(
            f"{name} {100 * drawn[i] / len(samples):.1f} % (of the clips "
            f"{100 * counts[i] / len(samples):.1f} %)"
            for i, name in enumerate(names_by_index(corpus.classes))
        ),
    )
    return shares


def _class_counts(corpus: Corpus, shares: np.ndarray | None) -> np.ndarray:
    """Return how many clips of each class an epoch has, or is expected to have."""
    labels = [sample.label for sample in corpus.samples["train"]]
    weights = None if shares is None else shares * len(labels)
    return np.bincount(labels, weights, minlength=len(corpus.classes))


def _make_loss(
    config: TrainConfig, corpus: Corpus, shares: np.ndarray | None
) -> TrainingLoss | DistillationLoss:
    loss = TrainingLoss(
        _class_counts(corpus, shares),
        class_weighting=config.class_weighting,
        focal_gamma=config.focal_gamma if config.loss == "focal" else None,
        label_smoothing=config.label_smoothing,
        logit_adjustment=config.logit_adjustment,
    )
    if config.distill is None:
        return loss
    return DistillationLoss(loss, config.distill_weight, config.distill_temperature)


def _n_workers(config: TrainConfig) -> int:
    """Return the wanted number of processes, or that of the cores if there are fewer."""
    return min(config.num_workers, n_cores())


def _make_trainer(
    config: TrainConfig,
    model: torch.nn.Sequential,
    precision: Precision,
    classes: dict[str, int],
    loss: TrainingLoss,
    checkpoint_dir: Path | None,
    *,
    steps_per_epoch: int,
    batch_augmentation: BatchAugmentation | None,
) -> Trainer:
    # One kernel for all weights where layers are mixed; fp32 keeps to the golden path.
    optimizer = build_optimizer(config, model, fused=precision.is_mixed)
    scheduler = build_scheduler(config, optimizer, steps_per_epoch)
    if config.freeze_epochs:
        log.info("the last layer alone is trained in the first %d epochs", config.freeze_epochs)
        if not config.pretrained:
            log.warning("--freeze_epochs without --pretrained keeps a random network")
    if config.freeze_batch_norm and not batch_norms(model):
        log.warning("--freeze_batch_norm does nothing: this network has no batch normalisation")
    early_stopping = EarlyStopping(
        config.in_validations(config.early_stopping_patience_epochs),
        "min" if config.val_metric == "loss" else "max",
    )
    prefix = run_prefix(len(classes))
    return Trainer(
        model,
        names_by_index(classes),
        precision=precision,
        optimizer=optimizer,
        scheduler=scheduler,
        early_stopping=early_stopping,
        val_metric=config.val_metric,
        epochs_per_eval=config.epochs_per_eval,
        gradient_clip_norm=config.gradient_clip_norm,
        loss=loss,
        ema_decay=config.ema_decay,
        freeze_epochs=config.freeze_epochs,
        freeze_batch_norm=config.freeze_batch_norm,
        batch_augmentation=batch_augmentation,
        checkpoints=CheckpointFolder(checkpoint_dir, prefix) if checkpoint_dir else None,
        settings=settled_recipe(config, classes),
        classes=classes,
    )


def _train_and_save(
    config: TrainConfig,
    corpus: Corpus,
    trainer: Trainer,
    loaders: dict[str, DataLoader],
    model_dir: Path,
    classifier_opts: dict[str, Any],
) -> None:
    started = time.perf_counter()
    trainer.fit(loaders["train"], loaders["val"], config.max_train_epochs)
    results = {"val": trainer.validate_best(loaders["val"])}
    if "test" in loaders:
        results["test"] = trainer.test(loaders["test"])
    minutes, seconds = divmod(int(time.perf_counter() - started), 60)
    log.info("training took %dm %ds", minutes, seconds)
    scored = {}
    if config.calibrate:  # in fp32, as in prediction
        for phase in results:
            (logits,), labels = logits_of([trainer.model], loaders[phase], trainer.precision.device)
            scored[phase] = (logits, labels)
    trained = Trained(
        trainer.model,
        config.encoder_opts,
        classifier_opts,
        config.signal,
        config.signal.normalization,
        trainer.precision.name,
    )
    finish_training(config, corpus, trained, results, scored, trainer.summary, model_dir)


def _network_name(config: TrainConfig) -> str:
    start = "ImageNet weights" if config.pretrained else "random start"
    return f"{config.kind.label.format_map(as_dict(config))}, {start}"
