"""A training on frozen embeddings: embed the clips, fit the head, judge and save it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus
from animal_spot.data.labels import names_by_index
from animal_spot.embeddings.embedding_dataset import ClipEmbedder
from animal_spot.embeddings.embedding_model import options_of
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.training.config import TrainConfig
from animal_spot.training.head_trainer import (
    Embedded,
    Head,
    candidates,
    choose_head,
    judge,
    logits_of,
)
from animal_spot.training.outputs import Scored, Trained, finish_training
from animal_spot.training.phase_result import PhaseResult
from animal_spot.training.run_folders import run_prefix
from animal_spot.training.run_setup import RunSetup
from animal_spot.training.tensorboard import Summary, new_summary

log = logging.getLogger(__name__)


def train_on_embeddings(setup: RunSetup, corpus: Corpus) -> None:
    """Train, test and save a network on embeddings. There are no checkpoints: it takes seconds.

    Args:
        setup: Of the training, with an ``EmbeddingPipeline``.
        corpus: Clips.

    Raises:
        ClipError: If a clip cannot be read any more.
        OSError: If something cannot be written.
    """
    config, names = setup.config, names_by_index(corpus.classes)
    started = time.perf_counter()
    clips, train = _embedded(setup, corpus)
    seconds = time.perf_counter() - started
    log.info("embedded %d clips in %.1f s", sum(map(len, corpus.samples.values())), seconds)
    options = options_of(setup.pipeline.model.info)
    heads = candidates(config.embedding_head, config.embedding_l2)
    model, head = choose_head(
        *(train, clips["val"], len(names), heads, options),
        metric=config.val_metric,
        seed=config.seed,
    )
    log.info("training took %.1f s", time.perf_counter() - started)
    summary = new_summary(setup.folders.summary, run_prefix(len(names)), names)
    try:
        results, scored = _judged(model, clips, names, summary)
        trained = _trained(model, head, options, setup.pipeline)
        finish_training(setup, corpus, trained, results, scored, summary)
    finally:
        summary.close()


def _embedded(setup: RunSetup, corpus: Corpus) -> tuple[dict[str, Embedded], Embedded]:
    """Embed the clips of each partition that has some, and the training clips with their views."""
    config = setup.config
    embedder = ClipEmbedder(setup.pipeline, config.sequence_len, setup.folders.cache)
    clips = {
        phase: Embedded(torch.from_numpy(embedder.embed(samples)), _labels(samples))
        for phase, samples in corpus.samples.items()
        if samples
    }
    for phase, embedded in clips.items():
        _require_finite(corpus.samples[phase], embedded.embeddings)
    return clips, _with_views(config, corpus, embedder, clips["train"])


def _judged(
    model: nn.Sequential, clips: Mapping[str, Embedded], names: list[str], summary: Summary
) -> tuple[dict[str, PhaseResult], Scored]:
    """Judge a network on each partition and report it; return what it says of val and test."""
    results = {phase: judge(model, part, phase, len(names)) for phase, part in clips.items()}
    for result in results.values():
        log.info("%s", result.log_line(0, None))
        if result.phase != "train" and len(names) > 2:
            log.info("%s", result.class_line(0, names))
        summary.add_phase(result, 0, with_figures=True)
    del results["train"]
    with torch.no_grad():
        scored = {
            phase: (logits_of(model, clips[phase].embeddings).numpy(), clips[phase].labels.numpy())
            for phase in results
        }
    return results, scored


def _trained(
    model: nn.Sequential, head: Head, options: dict[str, Any], pipeline: EmbeddingPipeline
) -> Trained:
    return Trained(
        model,
        options | {"hidden": head.hidden},
        {
            "input_channels": model.encoder.out_channels,
            "pooling": "avg",
            "num_classes": model.classifier.linear.out_features,
        },
        pipeline.config,
        "none",
        "fp32",
        {"head": {"hidden": head.hidden, "l2": head.l2}},
    )


def _require_finite(samples: list[Sample], embeddings: torch.Tensor) -> None:
    """Make sure that all embeddings are numbers.

    Raises:
        ValueError: Naming the clip, if those of one are not.
    """
    bad = (~embeddings.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise ValueError(
            f"the embedding of {samples[bad[0]].name}{others} is not a number: leave the clip out "
            "or repair it"
        )


def _labels(samples: list) -> torch.Tensor:
    return torch.tensor([sample.label for sample in samples])


def _with_views(
    config: TrainConfig, corpus: Corpus, embedder: ClipEmbedder, train: Embedded
) -> Embedded:
    """Add the altered views of the training clips that are wanted."""
    if not config.embedding_views:
        return train
    samples = corpus.samples["train"]
    views = [
        embedder.views(
            *(samples, number, config.augmentation_limits, corpus.noise, config.seed),
            corpus.noise_pool,
        )
        for number in range(1, config.embedding_views + 1)
    ]
    log.info("%d views of each training clip, %d noise clips", len(views), len(corpus.noise))
    return Embedded(
        torch.from_numpy(np.concatenate([train.embeddings.numpy(), *views])),
        train.labels.repeat(1 + len(views)),
    )
