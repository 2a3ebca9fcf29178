"""From clips to batches."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, Sample, make_loader
from animal_spot.data.corpus import Corpus
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import noise_class_of
from animal_spot.embeddings.embedding_dataset import ClipEmbedder, EmbeddingDataset
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.model_files.signal_path import Pipeline
from animal_spot.training.config import TrainConfig
from animal_spot.training.distributed import ALONE, World
from animal_spot.training.run_setup import RunSetup
from animal_spot.utils.hardware import n_cores
from animal_spot.utils.processes import place

log = logging.getLogger(__name__)


def training_loaders(
    setup: RunSetup, corpus: Corpus, shares: np.ndarray | None
) -> dict[str, DataLoader]:
    """Batch the partitions of a training on spectrograms; one without clips has no loader.

    Args:
        setup: Of the training.
        corpus: Clips.
        shares: How likely each training clip is in a draw; None: each comes once an epoch.

    Raises:
        ValueError: If there are more processes than clips in a batch.
    """
    config = setup.config
    n_train = len(corpus.samples["train"])
    n_train += min(n_train, len(corpus.unlabelled))
    if n_train < config.batch_size:
        log.warning(
            "only %d training clips: they make one batch, smaller than --batch_size %d",
            n_train,
            config.batch_size,
        )
    _refuse_empty_shares(min(n_train, config.batch_size), setup.world.size)
    if config.augmentation:
        log.info("augmentation: level, pitch, speed, position; %d noise clips", len(corpus.noise))
    loaders = {"train": _train_loader(setup, corpus, shares)}
    for partition in ("val", "test"):
        if samples := corpus.samples[partition]:
            loaders[partition] = evaluation_loader(
                samples,
                setup.pipeline,
                config.sequence_len,
                batch_size=config.batch_size,
                n_workers=config.num_workers,
                device=setup.precision.device,
                cache_dir=setup.folders.cache,
                world=setup.world,
            )
    return loaders


def _refuse_empty_shares(n: int, n_processes: int) -> None:
    if n < n_processes:
        raise ValueError(
            f"{n_processes} processes cannot have a share each of a batch of {n} clips: use a "
            f"--batch_size of at least {n_processes}, or fewer processes"
        )


def _train_loader(setup: RunSetup, corpus: Corpus, shares: np.ndarray | None) -> DataLoader:
    config, labelled = setup.config, corpus.samples["train"]
    dataset = ClipDataset(
        [*labelled, *corpus.unlabelled],
        setup.pipeline,
        config.signal.n_clip_frames(config.sequence_len),
        cache_dir=setup.folders.cache,
        augmentation=config.augmentation_limits if config.augmentation else None,
        noise=corpus.noise,
        seed=config.seed,
        scenes=config.scene_limits if config.scene_limits.is_on else None,
        noise_label=noise_label_of(config, corpus.classes),
    )
    sampler = EpochSampler(
        len(labelled),
        config.batch_size,
        shuffle=True,
        drop_last=True,
        seed=config.seed,
        probabilities=shares,
        n_extra=len(corpus.unlabelled),
        part=setup.world.rank,
        n_parts=setup.world.size,
    )
    return _loader(dataset, sampler, config.num_workers, setup.precision.device)


def evaluation_loader(
    samples: Sequence[Sample],
    pipeline: Pipeline,
    sequence_len_ms: float,
    *,
    batch_size: int,
    n_workers: int,
    device: torch.device,
    cache_dir: Path | None = None,
    world: World = ALONE,
) -> DataLoader:
    """Batch the network inputs of clips in their order, without chance.

    Args:
        samples: The clips.
        pipeline: Signal path.
        sequence_len_ms: How much of a clip the network sees.
        batch_size: Clips at once.
        n_workers: Processes that load spectrograms, at most one a core; embeddings are computed
            here and now.
        device: Where the network is.
        cache_dir: Folder of kept features, or None.
        world: The processes that have a share of each batch.

    Raises:
        ClipError: If a clip cannot be read.
    """
    if isinstance(pipeline, EmbeddingPipeline):
        embeddings = ClipEmbedder(pipeline, sequence_len_ms, cache_dir).embed(samples)
        dataset, n_workers = EmbeddingDataset(samples, embeddings), 0
    else:
        n_frames = pipeline.config.n_clip_frames(sequence_len_ms)
        dataset = ClipDataset(samples, pipeline, n_frames, cache_dir=cache_dir)
    sampler = EpochSampler(
        len(samples),
        batch_size,
        shuffle=False,
        drop_last=False,
        seed=0,
        part=world.rank,
        n_parts=world.size,
    )
    return _loader(dataset, sampler, n_workers, device)


def noise_label_of(config: TrainConfig, classes: Mapping[str, int]) -> int | None:
    """Return the index of the noise class; None without one."""
    name = noise_class_of(config.noise_class, names_by_index(dict(classes)))
    return None if name is None else classes[name]


def _loader(
    dataset: ClipDataset | EmbeddingDataset,
    sampler: EpochSampler,
    n_workers: int,
    device: torch.device,
) -> DataLoader:
    return make_loader(
        dataset,
        sampler,
        n_workers=min(n_workers, max(1, n_cores() // place().local_size)),
        pin_memory=device.type == "cuda",
    )
