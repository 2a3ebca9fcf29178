"""Which networks there are, and what is known of each without building it; without PyTorch.

A new backbone needs a record here, in ``_BACKBONES``, and a builder in ``models.factory``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TIMM_PREFIX = "timm:"  # before the name of any other image network of timm


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """One kind of network.

    Attributes:
        name: What ``--backbone`` and model files call it.
        builder: Its builder in ``models.factory``.
        label: What the log calls it; ``{resnet_size}`` stands for the value of that setting.
        hears: What it is given: spectrograms, or embeddings of a network of others. These also say
            how it is trained: for epochs, or in seconds on the CPU.
        options: Settings that give its weights a meaning and are of no other network.
        refused: Switches that are of no use to it.
        defaults: Settings that have another default with it.
        has_batch_norm: Whether pretrained batch normalisations can be frozen.
        keeps_checkpoints: Whether an interrupted training goes on.
        exportable: Whether it can be exported with its whole signal path.
    """

    name: str
    builder: str
    label: str
    hears: Literal["spectrograms", "embeddings"] = "spectrograms"
    options: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    has_batch_norm: bool = True
    keeps_checkpoints: bool = True
    exportable: bool = True


_BACKBONES = (
    Backbone(
        name="resnet",
        builder="resnet",
        label="ResNet-{resnet_size} (max_pool {max_pool})",
        options=("conv_kernel_size", "max_pool", "resnet_size"),
    ),
    Backbone(
        name="convnext",
        builder="convnext",
        label="ConvNeXt-{convnext}",
        options=("convnext",),
        has_batch_norm=False,
    ),
    Backbone(name="efficientnet_lite0", builder="lite", label="EfficientNet-Lite0"),
    Backbone(name="efficientnet_lite1", builder="lite", label="EfficientNet-Lite1"),
    Backbone(name="efficientnet_lite2", builder="lite", label="EfficientNet-Lite2"),
    Backbone(
        name="birdnet",
        builder="embeddings",
        label="layers on embeddings",
        hears="embeddings",
        options=(
            *("embedding_model", "embedding_output", "embedding_rate"),
            *("embedding_preset", "embedding_peak"),
        ),
        refused=("pretrained", "jit_save", "distill", "init_from"),
        defaults={"sequence_len": 3000, "val_metric": "macro_accuracy"},
        keeps_checkpoints=False,
        exportable=False,
    ),
)
_BY_NAME = {known.name: known for known in _BACKBONES}
BACKBONES = tuple(_BY_NAME)
ON_EMBEDDINGS = tuple(known.name for known in _BACKBONES if known.hears == "embeddings")


def backbone(name: str) -> Backbone:
    """Look a backbone up; ``timm:NAME`` is any image network of timm, which may not have it.

    Raises:
        ValueError: If there is none of that name.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    if name.startswith(TIMM_PREFIX):
        return Backbone(name=name, builder="timm", label=name)
    raise ValueError(f"backbone must be {', '.join(BACKBONES)} or {TIMM_PREFIX}NAME, got {name!r}")


def backbone_of(encoder_opts: Mapping[str, Any]) -> str:
    """Return the name of the backbone of ``encoderOpts``, for files that do not say it."""
    if "timm" in encoder_opts:
        return f"{TIMM_PREFIX}{encoder_opts['timm']}"
    return "resnet" if {*_BY_NAME["resnet"].options} <= set(encoder_opts) else "convnext"
