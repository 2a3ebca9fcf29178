"""A training before its clips: settings, and what follows from them alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.class_contrasts import contrast_warnings
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus
from animal_spot.data.hearing import hearing_warnings
from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import noise_class_of
from animal_spot.detections.event_settings import EventSettings
from animal_spot.embeddings.embedding_model import open_embedding_model
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.model_files.model_file import ModelFile
from animal_spot.model_files.signal_path import Pipeline
from animal_spot.models.precision import Precision, choose_precision, device_of
from animal_spot.training.config import TrainConfig
from animal_spot.training.distributed import ALONE, World
from animal_spot.training.run_folders import RunFolders

log = logging.getLogger(__name__)


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class RunSetup:
    """What a training has to go by before it has looked at clips.

    Attributes:
        config: Settings.
        folders: Where it reads and writes.
        pipeline: Signal path.
        precision: Arithmetic and device.
        begin: Called when nothing speaks against the run any more, before it changes a file.
        tune_decoder: Finds how windows of the trained network become events, from the validation
            clips of a corpus; None: it is not wanted.
        world: The processes that train together.
    """

    config: TrainConfig
    folders: RunFolders
    pipeline: Pipeline
    precision: Precision
    begin: Callable[[], None] = _nothing
    tune_decoder: Callable[[ModelFile, Corpus], EventSettings | None] | None = None
    world: World = ALONE

    @classmethod
    def of(cls, config: TrainConfig, folders: RunFolders, world: World = ALONE) -> RunSetup:
        """Choose signal path and arithmetic by the settings.

        Raises:
            ValueError: If the settings allow none, or an embedding model cannot be had.
        """
        pipeline, precision = pipeline_of_config(config), training_precision(config)
        return cls(config, folders, pipeline, precision, world=world)


def warn_of_clips(
    setup: RunSetup, samples: Mapping[str, Sequence[Sample]], classes: Mapping[str, int]
) -> list[str]:
    """Log what is wrong with the clips for this network; return it for ``results.json``.

    That is what it will not hear of them, and what it may learn of classes besides their calls.

    Args:
        setup: Of the training.
        samples: Clips of each partition.
        classes: Class name to index.
    """
    signal = setup.pipeline.config
    noise_class = noise_class_of(setup.config.noise_class, names_by_index(dict(classes)))
    warnings = [
        *hearing_warnings(samples, classes, signal, setup.config.sequence_len),
        *contrast_warnings(samples, classes, signal, noise_class),
    ]
    for warning in warnings:
        log.warning("%s", warning)
    return warnings


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
            path,
            output=config.embedding_output,
            sample_rate=config.embedding_rate,
            open_s=config.sequence_len / 1000,
            peak=config.embedding_peak,
            preset=config.embedding_preset,
        ),
        config.channel,
    )


def training_precision(config: TrainConfig) -> Precision:
    """Return arithmetic and device of a training; a network on embeddings needs no faster one."""
    if config.kind.hears == "embeddings":
        return Precision("fp32", torch.device("cpu"))
    return choose_precision(config.precision, device_of(config.wanted_device))
