"""From options to a network: the only table of architectures."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from animal_spot.models.classifier import Classifier
from animal_spot.models.embedding_encoder import EmbeddingEncoder
from animal_spot.models.names import BACKBONES, RESNET_OPTIONS, TIMM_PREFIX, is_timm
from animal_spot.models.pretrained import load_resnet_imagenet
from animal_spot.models.residual_encoder import ResidualEncoder

log = logging.getLogger(__name__)


def build_encoder(
    backbone: str,
    encoder_opts: Mapping[str, Any],
    *,
    pretrained: bool = False,
    pretrained_weights: str | None = None,
    stochastic_depth: float | None = None,
) -> nn.Module:
    """Build an encoder from ``encoderOpts`` as a model file holds them.

    Args:
        backbone: One of ``BACKBONES``, or ``timm:<name>``.
        encoder_opts: Options of that encoder. A stored ``pretrained`` tells the past of the
            weights and loads nothing.
        pretrained: Load ImageNet weights.
        pretrained_weights: A local file of them.
        stochastic_depth: See ``ConvNextEncoder``; a ResNet has none.

    Raises:
        ValueError: If the backbone or an option is unknown.
        PretrainedWeightsError: If the ImageNet weights cannot be had.
    """
    if backbone == "resnet":
        encoder = ResidualEncoder(**{k: encoder_opts[k] for k in RESNET_OPTIONS})
        if pretrained:
            name = f"resnet{encoder_opts['resnet_size']}"
            kept = load_resnet_imagenet(encoder, name, pretrained_weights)
            log.info("ImageNet weights of %s loaded", name)
            if kept:
                log.info("not in them, so random at the start: %s", ", ".join(kept))
        return encoder
    if backbone == "convnext":
        # torchvision takes two seconds to import, which a ResNet need not wait for.
        from animal_spot.models.convnext_encoder import ConvNextEncoder

        encoder = ConvNextEncoder(
            input_channels=encoder_opts["input_channels"],
            pretrained=pretrained,
            convnext=encoder_opts.get("convnext", "tiny"),
            pretrained_weights=pretrained_weights,
            input_mean=encoder_opts.get("input_mean", 0.0),
            input_std=encoder_opts.get("input_std", 1.0),
            stochastic_depth=stochastic_depth,
        )
        if pretrained:
            log.info("ImageNet weights of convnext_%s loaded", encoder_opts.get("convnext", "tiny"))
        return encoder
    if is_timm(backbone):
        from animal_spot.models.timm_encoder import build_timm_encoder  # slow to import

        encoder = build_timm_encoder(
            backbone, encoder_opts, pretrained=pretrained, pretrained_weights=pretrained_weights
        )
        if pretrained:
            log.info("pretrained weights of %s loaded", backbone.removeprefix(TIMM_PREFIX))
        return encoder
    if backbone == "birdnet":
        return EmbeddingEncoder(encoder_opts["dim"], encoder_opts["hidden"])
    raise ValueError(
        f"backbone must be one of {', '.join(BACKBONES)}, or {TIMM_PREFIX}<name>, got {backbone!r}"
    )


def build_model(encoder: nn.Module, classifier: Classifier) -> nn.Sequential:
    """Join the parts; the state-dict keys start with ``encoder.`` and ``classifier.``."""
    return nn.Sequential(OrderedDict(encoder=encoder, classifier=classifier))


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """Return the batch normalisations of a network."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return [module for module in network.modules() if isinstance(module, kinds)]
