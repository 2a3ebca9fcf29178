"""Which networks there are, by name; without PyTorch, for command lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BACKBONES = ("resnet", "convnext", "efficientnet_lite0", "birdnet")
TIMM_PREFIX = "timm:"  # before the name of any other image network of timm
RESNET_OPTIONS = ("input_channels", "conv_kernel_size", "max_pool", "resnet_size")


def is_timm(backbone: str) -> bool:
    """Tell whether a backbone is built by timm."""
    return backbone == "efficientnet_lite0" or backbone.startswith(TIMM_PREFIX)


def backbone_of(encoder_opts: Mapping[str, Any]) -> str:
    """Return the backbone of ``encoderOpts``, for files that do not name it."""
    if "timm" in encoder_opts:
        return f"{TIMM_PREFIX}{encoder_opts['timm']}"
    return "resnet" if set(RESNET_OPTIONS) <= set(encoder_opts) else "convnext"
