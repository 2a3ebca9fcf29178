"""Which signal path belongs to a trained network."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.embeddings.embedding_model import find_embedding_model
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.model_files.model_file import ModelFile

log = logging.getLogger(__name__)

Pipeline = SpectrogramPipeline | EmbeddingPipeline


def pipeline_of_model(content: ModelFile, embedding_models: Sequence[Path] = ()) -> Pipeline:
    """Build the signal path of a trained network.

    Args:
        content: The network.
        embedding_models: Files among which the embedding model of the network is looked for, if it
            has one, besides the installed package.

    Raises:
        ValueError: If that embedding model cannot be had.
    """
    if content.kind.hears == "spectrograms":
        return SpectrogramPipeline(content.signal)
    model = find_embedding_model(content.encoder_opts, embedding_models)
    return EmbeddingPipeline(model, content.signal.channel)


def warn_of_unused_embedding_model(
    embedding_models: Sequence[Path | str], models: Iterable[ModelFile]
) -> None:
    """Log a warning if embedding models were named and no network was trained on embeddings."""
    if embedding_models and all(model.kind.hears != "embeddings" for model in models):
        log.warning("--embedding_model is not used: no model here was trained on embeddings")
