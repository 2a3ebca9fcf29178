"""From settings to ``encoderOpts``, and from these to a network: the only table of architectures.

A new backbone needs a builder here, in ``_BUILDERS``, and a record in ``models.names``.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import nn

from animal_spot.models.classifier import Classifier
from animal_spot.models.embedding_encoder import EmbeddingEncoder
from animal_spot.models.lite_encoder import build_lite_encoder, lite_options
from animal_spot.models.names import TIMM_PREFIX, backbone
from animal_spot.models.pretrained import IMAGENET_MEAN, IMAGENET_STD, load_resnet_imagenet
from animal_spot.models.residual_encoder import ResidualEncoder

log = logging.getLogger(__name__)

Options = Mapping[str, Any]


def encoder_options(
    name: str, settings: Mapping[str, Any], input_size: tuple[int, int]
) -> dict[str, Any]:
    """Return ``encoderOpts`` of a model file: all that building needs.

    Args:
        name: Of the backbone.
        settings: Values of all settings of a training, by name.
        input_size: ``(time, freq)`` of the spectrograms.

    Raises:
        ValueError: If there is no such network.
    """
    return _BUILDERS[backbone(name).builder].options(name, settings, input_size)


def build_encoder(
    name: str,
    encoder_opts: Options,
    *,
    pretrained: bool = False,
    pretrained_weights: str | None = None,
    stochastic_depth: float | None = None,
) -> nn.Module:
    """Build an encoder from ``encoderOpts`` as a model file holds them.

    Args:
        name: Of the backbone; see ``models.names``.
        encoder_opts: Options of that encoder. A stored ``pretrained`` tells the past of the
            weights and loads nothing.
        pretrained: Load ImageNet weights.
        pretrained_weights: A local file of them.
        stochastic_depth: See ``ConvNextEncoder``; no other encoder has any.

    Raises:
        ValueError: If the backbone or an option is unknown.
        PretrainedWeightsError: If the ImageNet weights cannot be had.
    """
    start = _Start(pretrained, pretrained_weights, stochastic_depth)
    return _BUILDERS[backbone(name).builder].build(name, encoder_opts, start)


def build_model(encoder: nn.Module, classifier: Classifier) -> nn.Sequential:
    """Join the parts; the state-dict keys start with ``encoder.`` and ``classifier.``."""
    return nn.Sequential(OrderedDict(encoder=encoder, classifier=classifier))


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """Return the batch normalisations of a network."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return [module for module in network.modules() if isinstance(module, kinds)]


class _Start(NamedTuple):
    """What only counts when a training begins; see ``build_encoder``."""

    pretrained: bool
    weights: str | None
    stochastic_depth: float | None


class _Builder(NamedTuple):
    options: Callable[[str, Mapping[str, Any], tuple[int, int]], dict[str, Any]]
    build: Callable[[str, Options, _Start], nn.Module]


def _resnet_options(name: str, settings: Options, size: tuple[int, int]) -> dict[str, Any]:
    return {"input_channels": 1} | {key: settings[key] for key in backbone(name).options}


def _build_resnet(name: str, encoder_opts: Options, start: _Start) -> nn.Module:
    keys = ("input_channels", *backbone(name).options)
    encoder = ResidualEncoder(**{key: encoder_opts[key] for key in keys})
    if start.pretrained:
        network = f"resnet{encoder_opts['resnet_size']}"
        kept = load_resnet_imagenet(encoder, network, start.weights)
        log.info("ImageNet weights of %s loaded", network)
        if kept:
            log.info("not in them, so random at the start: %s", ", ".join(kept))
    return encoder


def _convnext_options(name: str, settings: Options, size: tuple[int, int]) -> dict[str, Any]:
    return {
        "input_channels": 1,
        "pretrained": settings["pretrained"],
        "convnext": settings["convnext"],
        "input_mean": IMAGENET_MEAN,
        "input_std": IMAGENET_STD,
    }


def _build_convnext(name: str, encoder_opts: Options, start: _Start) -> nn.Module:
    # torchvision takes two seconds to import, which a ResNet need not wait for.
    from animal_spot.models.convnext_encoder import ConvNextEncoder

    size = encoder_opts.get("convnext", "tiny")
    encoder = ConvNextEncoder(
        input_channels=encoder_opts["input_channels"],
        pretrained=start.pretrained,
        convnext=size,
        pretrained_weights=start.weights,
        input_mean=encoder_opts.get("input_mean", 0.0),
        input_std=encoder_opts.get("input_std", 1.0),
        stochastic_depth=start.stochastic_depth,
    )
    if start.pretrained:
        log.info("ImageNet weights of convnext_%s loaded", size)
    return encoder


def _lite_options(name: str, settings: Options, size: tuple[int, int]) -> dict[str, Any]:
    return lite_options(name, pretrained=settings["pretrained"])


def _build_lite(name: str, encoder_opts: Options, start: _Start) -> nn.Module:
    encoder = build_lite_encoder(
        name, encoder_opts, pretrained=start.pretrained, pretrained_weights=start.weights
    )
    if start.pretrained:
        log.info("pretrained weights of %s loaded", name)
    return encoder


def _timm_options(name: str, settings: Options, size: tuple[int, int]) -> dict[str, Any]:
    from animal_spot.models import timm_encoder  # slow to import

    return timm_encoder.encoder_options(name, pretrained=settings["pretrained"], input_size=size)


def _build_timm(name: str, encoder_opts: Options, start: _Start) -> nn.Module:
    from animal_spot.models.timm_encoder import build_timm_encoder

    encoder = build_timm_encoder(
        name, encoder_opts, pretrained=start.pretrained, pretrained_weights=start.weights
    )
    if start.pretrained:
        log.info("pretrained weights of %s loaded", name.removeprefix(TIMM_PREFIX))
    return encoder


def _embedding_options(name: str, settings: Options, size: tuple[int, int]) -> dict[str, Any]:
    return {}  # no settings, but what is found in the embedding model


def _build_on_embeddings(name: str, encoder_opts: Options, start: _Start) -> nn.Module:
    return EmbeddingEncoder(encoder_opts["dim"], encoder_opts["hidden"])


_BUILDERS = {
    "resnet": _Builder(_resnet_options, _build_resnet),
    "convnext": _Builder(_convnext_options, _build_convnext),
    "lite": _Builder(_lite_options, _build_lite),
    "timm": _Builder(_timm_options, _build_timm),
    "embeddings": _Builder(_embedding_options, _build_on_embeddings),
}
