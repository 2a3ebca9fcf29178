"""The network that a training begins with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from animal_spot.data.labels import names_by_index
from animal_spot.data.noise_class import noise_class_of
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.training.config import TrainConfig, as_dict
from animal_spot.training.start_model import StartModel

log = logging.getLogger(__name__)


class FirstNetwork(NamedTuple):
    """A network before its training.

    Attributes:
        model: ``encoder`` and ``classifier`` on the device.
        encoder_opts: ``encoderOpts`` of the model file.
        classifier_opts: ``classifierOpts`` of the model file.
        known_rows: Rows of the last layer that a model of before has learned.
    """

    model: nn.Sequential
    encoder_opts: dict[str, Any]
    classifier_opts: dict[str, Any]
    known_rows: Sequence[int] = ()

    @property
    def head_is_new(self) -> bool:
        """Whether the last layer has rows of classes that it has not learned yet."""
        return len(self.known_rows) < self.classifier_opts["num_classes"]


def first_network(
    config: TrainConfig, classes: Mapping[str, int], device: torch.device
) -> FirstNetwork:
    """Build the network of a training, with random or pretrained weights or those of a model.

    Args:
        config: Settings.
        classes: Name to index.
        device: Where to compute.

    Raises:
        ValueError: If pretrained weights are wanted and cannot be had, or the model file is not
            the one that the settings were made with.
    """
    if config.init_from is None:
        first, start = _new_network(config, len(classes)), "random start"
    else:
        first, start = _network_of_start(config, classes), f"weights of {config.init_from}"
    if config.pretrained:
        start = "ImageNet weights"
    n_parameters = sum(p.numel() for p in first.model.parameters())
    name = config.kind.label.format_map(as_dict(config))
    log.info("network: %s, %s, %s parameters", name, start, f"{n_parameters:,}")
    log.debug("%s", first.model, extra={"lines": True, "file_only": True})
    return first._replace(model=first.model.to(device))


def _new_network(config: TrainConfig, n_classes: int) -> FirstNetwork:
    encoder_opts = config.encoder_opts
    encoder = build_encoder(
        config.backbone,
        encoder_opts,
        pretrained=config.pretrained,
        pretrained_weights=config.pretrained_weights,
        stochastic_depth=config.stochastic_depth,
    )
    options = {"input_channels": encoder.out_channels, "pooling": "avg", "num_classes": n_classes}
    return FirstNetwork(build_model(encoder, Classifier(**options)), encoder_opts, options)


def _network_of_start(config: TrainConfig, classes: Mapping[str, int]) -> FirstNetwork:
    start = start_of(config)
    start.require_input_size(
        (config.signal.n_clip_frames(config.sequence_len), config.signal.n_features)
    )
    model, options = start.network(classes, config.stochastic_depth)
    known_rows = [classes[name] for name in start.known(classes)]
    return FirstNetwork(model, start.content.encoder_opts, options, known_rows)


def start_of(config: TrainConfig) -> StartModel:
    """Read the model file that a training begins from.

    Raises:
        ValueError: If it is not the one that the settings were made with, or cannot be read.
    """
    start = StartModel.read(Path(config.init_from))
    if start.settings["init_digest"] != config.init_digest:
        raise ValueError(f"--init_from {config.init_from} was changed just now; start again")
    return start


def tell_start(
    config: TrainConfig, classes: Mapping[str, int], split: str | None = None
) -> list[str]:
    """Log what a training takes over from the model of ``--init_from``, and what it does not.

    Args:
        config: Settings.
        classes: Name to index.
        split: What the clips are known by that judge the training; None with ``--folds``.

    Returns:
        The warnings among that, for ``results.json``; none without ``--init_from``.
    """
    if config.init_from is None:
        return []
    start = start_of(config)
    start.tell(classes)
    noise_class = noise_class_of(config.noise_class, names_by_index(dict(classes)))
    warnings = start.warnings(classes, noise_class, split)
    length = start.settings.get("sequence_len", config.sequence_len)
    if length != config.sequence_len:
        warnings.append(
            f"--sequence_len {config.sequence_len}: the network of --init_from {config.init_from} "
            f"was trained with {length} ms"
        )
    for warning in warnings:
        log.warning("%s", warning)
    return warnings
