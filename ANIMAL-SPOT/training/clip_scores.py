"""What trained networks say of the labelled clips of a data set, as training judges them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from animal_spot.audio.channel_choice import MIX
from animal_spot.data.clip_dataset import Sample, end_workers
from animal_spot.data.corpus import SPLIT_FOLDER, Corpus, CorpusError, load_corpus
from animal_spot.data.labels import ClipNameError, class_name_of
from animal_spot.data.splits import PARTITIONS
from animal_spot.detections.calibration import (
    Calibration,
    before_and_after,
    calibrate,
    log_mean,
    log_softmax,
    report_lines,
)
from animal_spot.model_files.ensemble_file import Ensemble
from animal_spot.model_files.model_file import ModelFile
from animal_spot.model_files.signal_path import pipeline_of_model, warn_of_unused_embedding_model
from animal_spot.training.loaders import evaluation_loader
from animal_spot.utils.files import digest_of
from animal_spot.utils.hardware import n_processes

log = logging.getLogger(__name__)

_BATCH_SIZE = 16
EVALUATED = ("val", "test")


@dataclass(frozen=True)
class Scores:
    """Logits of a partition's clips.

    Attributes:
        logits: Of each network, shape ``(clip, class)``.
        labels: Class index of each clip.
    """

    logits: list[np.ndarray]
    labels: np.ndarray

    def log_probabilities(self, members: Sequence[ModelFile]) -> list[np.ndarray]:
        """Return the log probabilities of each network, with its own temperature."""
        return [
            log_softmax(logits, member.calibration.temperature or 1.0)
            for logits, member in zip(self.logits, members, strict=True)
        ]

    def logits_of(self, ensemble: Ensemble) -> np.ndarray:
        """Return what a temperature is fitted on: the network's logits, or those of the average."""
        if len(ensemble) == 1:
            return self.logits[0].astype(np.float64)
        return log_mean(self.log_probabilities(ensemble))


def fit_calibration(
    scored: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: Sequence[str],
    precision: float,
    noise: str | None,
) -> tuple[Calibration, dict[str, Any]]:
    """Calibrate on validation, judge it there and on test, and say what came of it.

    Args:
        scored: Logits ``(clip, class)`` and labels of ``val``, and of ``test`` if there are such
            clips.
        names: Classes in index order.
        precision: That the thresholds shall reach.
        noise: The class that is no call, or None.

    Returns:
        What the model file keeps, and what ``results.json`` says.
    """
    calibration, report = calibrate(*scored["val"], names, precision, noise)
    report["partitions"] = {
        name: before_and_after(logits, labels, calibration.temperature)
        for name, (logits, labels) in scored.items()
    }
    lines, warnings = report_lines(report)
    for line in lines:
        log.info("%s", line)
    for warning in warnings:
        log.warning("%s", warning)
    return calibration, report


def split_fingerprint(samples: Mapping[str, Iterable[Sample]]) -> str:
    """Return a hash of the names of the clips of val and test, wherever their folder is."""
    names = {p: sorted(_known_by(s.name) for s in samples[p]) for p in EVALUATED}
    return digest_of(json.dumps(names).encode())


def _known_by(name: str) -> str:
    """Return what a clip is known by: its base name, with its folder if that says no class."""
    base = PurePosixPath(name)
    try:
        class_name_of(name)
    except ClipNameError:
        return "/".join(base.parts[-2:])
    return base.name


def stored_corpus(
    data_dir: Path,
    classes: Mapping[str, int],
    n_workers: int,
    split_dir: Path | None = None,
    models: Sequence[Path] = (),
    channel: str = MIX,
    labels: Path | None = None,
    tape_pattern: str | None = None,
) -> Corpus:
    """Read the clips of a data set with the split that training stored.

    Args:
        data_dir: Folder of the clips.
        classes: Those of the model.
        n_workers: Processes that look into clips, at most one a core.
        split_dir: Folder of the split; None: the data folder, else beside a model.
        models: Model files.
        channel: What is heard of clips with several, see ``audio.channels``.
        labels: Table of the clips, see ``data.sources``.
        tape_pattern: Finds the tape in the path of a clip, see ``data.sources``.

    Raises:
        CorpusError: If there is no such split, or its classes are not those of the model.
    """
    if not data_dir.is_dir():
        raise CorpusError(f"--data_dir {data_dir} does not exist or is not a folder")
    beside = [model.parent / SPLIT_FOLDER for model in models]
    what = f"--data_dir {data_dir}" if split_dir is None else f"--split_dir {split_dir}"
    corpus = load_corpus(
        data_dir,
        split_dir=split_dir,
        fallback_split_dirs=beside,
        n_processes=n_processes(n_workers),
        channel=channel,
        labels=labels,
        tape_pattern=tape_pattern,
        no_split=f"{what} holds no stored split (files {', '.join(PARTITIONS)}): name the folder "
        "that the model was trained on, and with --split_dir that of the split if it lies "
        "elsewhere",
    )
    if corpus.classes != classes:
        raise CorpusError(
            f"the classes in {data_dir} ({', '.join(corpus.classes)}) are not those of the model "
            f"({', '.join(classes)})"
        )
    return corpus


def split_warnings(ensemble: Ensemble, corpus: Corpus) -> list[str]:
    """Say of each network whether val and test are those that it was kept from hearing."""
    here = split_fingerprint(corpus.samples)
    warnings = []
    for name, member in zip(ensemble.names, ensemble, strict=True):
        split = (member.extra or {}).get("split")
        if split is None:
            warnings.append(
                f"{name} does not say which split it was trained on: if not on this one, its val "
                "and test figures here may include its own training clips"
            )
        elif split != here:
            warnings.append(
                f"{name} was trained on another split: its val and test figures here may include "
                "its own training clips"
            )
    return warnings


def score_corpus(
    ensemble: Ensemble,
    corpus: Corpus,
    device: torch.device,
    n_workers: int,
    embedding_models: Sequence[Path] = (),
) -> dict[str, Scores]:
    """Compute the networks on the held-back parts that have clips; warn of what flatters them.

    Args:
        ensemble: The networks.
        corpus: Clips by their stored split.
        device: Where to compute.
        n_workers: Processes that load clips, at most one a core.
        embedding_models: See ``pipeline_of_model``.

    Returns:
        What the networks say of each part that has clips.

    Raises:
        ValueError: See ``score_clips``.
        ClipError: If a clip cannot be read.
    """
    for warning in split_warnings(ensemble, corpus):
        log.warning("%s", warning)
    warn_of_unused_embedding_model(embedding_models, ensemble)
    return {
        name: score_clips(ensemble, corpus.samples[name], device, n_workers, embedding_models)
        for name in EVALUATED
        if corpus.samples[name]
    }


def score_clips(
    ensemble: Ensemble,
    samples: Sequence[Sample],
    device: torch.device,
    n_workers: int,
    embedding_models: Sequence[Path] = (),
) -> Scores:
    """Compute the networks on clips, each with its own signal path and clip length, in fp32.

    A clip is cropped or filled to that length about its centre, as in training's validation.

    Args:
        ensemble: The networks.
        samples: The clips.
        device: Where to compute.
        n_workers: Processes that load clips, at most one a core.
        embedding_models: See ``pipeline_of_model``.

    Raises:
        ValueError: If a network does not say how long its clips were, or its embedding model cannot
            be had.
        ClipError: If a clip cannot be read.
    """
    groups: dict[tuple, list[int]] = {}
    for i, (name, member) in enumerate(zip(ensemble.names, ensemble, strict=True)):
        if member.sequence_len_ms is None or member.normalization is None:
            raise ValueError(
                f"{name} does not say how long its clips were or how they were normalised, so it "
                "cannot be judged on clips; train it with this program"
            )
        source = member.encoder_opts.get("sha256"), member.encoder_opts.get("output")
        groups.setdefault((member.signal, member.sequence_len_ms, *source), []).append(i)
    logits: list[np.ndarray] = [np.empty(0)] * len(ensemble)
    for (_, length_ms, *_), chosen in groups.items():
        loader = evaluation_loader(
            samples,
            pipeline_of_model(ensemble[chosen[0]], embedding_models),
            length_ms,
            batch_size=_BATCH_SIZE,
            n_workers=n_workers,
            device=device,
        )
        try:
            found, labels = logits_of([ensemble[i].model for i in chosen], loader, device)
        finally:
            end_workers(loader)
        for i, values in zip(chosen, found, strict=True):
            logits[i] = values
    return Scores(logits, labels)


@torch.inference_mode()
def logits_of(
    networks: Sequence[nn.Module], loader: DataLoader, device: torch.device
) -> tuple[list[np.ndarray], np.ndarray]:
    """Compute networks on all clips of a loader, in fp32.

    Returns:
        Logits of each network, ``(clip, class)``, and the labels.
    """
    networks = [network.eval().to(device) for network in networks]
    logits: list[list[np.ndarray]] = [[] for _ in networks]
    labels = []
    loader.batch_sampler.start_at(0)
    for features, label, _ in loader:
        features = features.to(device)
        for network, rows in zip(networks, logits, strict=True):
            rows.append(network(features).float().cpu().numpy())
        labels.append(label.numpy())
    return [np.concatenate(rows) for rows in logits], np.concatenate(labels)
