"""The network that a training begins with."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.training.config import TrainConfig, as_dict

log = logging.getLogger(__name__)


def first_network(
    config: TrainConfig, n_classes: int, device: torch.device
) -> tuple[nn.Sequential, dict[str, Any]]:
    """Build the network of a training, with random or pretrained weights.

    Returns:
        ``encoder`` and ``classifier`` on the device, and ``classifierOpts`` of the model file.

    Raises:
        ValueError: If pretrained weights are wanted and cannot be had.
    """
    encoder = build_encoder(
        config.backbone,
        config.encoder_opts,
        pretrained=config.pretrained,
        pretrained_weights=config.pretrained_weights,
        stochastic_depth=config.stochastic_depth,
    )
    options = {"input_channels": encoder.out_channels, "pooling": "avg", "num_classes": n_classes}
    model = build_model(encoder, Classifier(**options)).to(device)
    n_parameters = sum(p.numel() for p in model.parameters())
    name = config.kind.label.format_map(as_dict(config))
    start = "ImageNet weights" if config.pretrained else "random start"
    log.info("network: %s, %s, %s parameters", name, start, f"{n_parameters:,}")
    log.debug("%s", model, extra={"lines": True, "file_only": True})
    return model, options
