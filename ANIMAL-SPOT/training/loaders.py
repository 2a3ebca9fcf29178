"""From settings and clips to batches: signal path, arithmetic and loaders of a training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, Sample, make_loader
from animal_spot.embeddings.embedding_dataset import ClipEmbedder, EmbeddingDataset
from animal_spot.embeddings.embedding_model import open_embedding_model
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.model_files.signal_path import Pipeline
from animal_spot.models.precision import Precision, choose_precision
from animal_spot.training.config import TrainConfig
from animal_spot.utils.hardware import n_cores

log = logging.getLogger(__name__)


def pipeline_of_config(config: TrainConfig) -> Pipeline:
    """Build the signal path of a training.

    Raises:
        ValueError: If the settings allow none, or its embedding model cannot be had.
    """
    if config.kind.hears == "spectrograms":
        return SpectrogramPipeline(config.signal)
    path = Path(config.embedding_model) if config.embedding_model else None
    return EmbeddingPipeline(
        open_embedding_model(
            path, output=config.embedding_output, sample_rate=config.embedding_rate
        ),
        config.channel,
    )


def training_precision(config: TrainConfig) -> Precision:
    """Return arithmetic and device of a training; a network on embeddings needs no faster one."""
    if config.kind.hears == "embeddings":
        return Precision("fp32", torch.device("cpu"))
    device = torch.device("cuda" if config.cuda and torch.cuda.is_available() else "cpu")
    return choose_precision(config.precision, device)


def evaluation_loader(
    samples: Sequence[Sample],
    pipeline: Pipeline,
    sequence_len_ms: float,
    *,
    batch_size: int,
    n_workers: int,
    device: torch.device,
    cache_dir: Path | None = None,
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

    Raises:
        ClipError: If a clip cannot be read.
    """
    if isinstance(pipeline, EmbeddingPipeline):
        embeddings = ClipEmbedder(pipeline, sequence_len_ms, cache_dir).embed(samples)
        dataset, n_workers = EmbeddingDataset(samples, embeddings), 0
    else:
        n_frames = pipeline.config.n_clip_frames(sequence_len_ms)
        dataset = ClipDataset(samples, pipeline, n_frames, cache_dir=cache_dir)
    return make_loader(
        dataset,
        EpochSampler(len(samples), batch_size, shuffle=False, drop_last=False, seed=0),
        n_workers=min(n_workers, n_cores()),
        pin_memory=device.type == "cuda",
    )
