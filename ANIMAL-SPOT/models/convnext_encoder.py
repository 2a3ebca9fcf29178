"""ConvNeXt over spectrograms (Liu et al., A ConvNet for the 2020s, CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from animal_spot.models.bf16_layers import prepare_for_bf16
from animal_spot.models.pretrained import imagenet_state

SIZES = ("tiny", "small", "base", "large")
LEAST_SIDE = 32  # frames or bins, by which the layers divide; a smaller input is filled up with 0


class ConvNextEncoder(nn.Module):
    """Spectrogram ``(batch, 1, time, freq)`` to feature maps ``(batch, out_channels, t, f)``.

    torchvision's ConvNeXt without its ImageNet head. ``t`` and ``f`` are a 32nd of the input's;
    ``out_channels`` is 768 for Tiny and Small, 1024 for Base and 1536 for Large. The parameters
    are named ``features.*``, as in torchvision.

    The first convolution of the ImageNet network looks at red, green and blue; here its weights are
    the mean over the three and its bias is copied.

    Args:
        input_channels: Channels of the spectrogram.
        pretrained: Start from ImageNet weights.
        convnext: ``tiny``, ``small``, ``base`` or ``large``.
        pretrained_weights: A state-dict file of torchvision's model, instead of its download.
        input_mean: Taken from the input.
        input_std: What the input is then divided by. The first layer norm removes the level of each
            patch, so inputs that are far from zero mean all look alike to a new network, and it
            hardly learns; the defaults leave the input as it is, as in files of the fork.
        stochastic_depth: In training, the last block is left out of a clip's path with this
            probability, and block ``i`` of ``n`` (from 0) with ``i / (n - 1)`` of it (Huang et al.,
            Deep Networks with Stochastic Depth, ECCV 2016). None: torchvision's, 0.1 for Tiny,
            0.4 for Small, 0.5 for Base and Large.

    Raises:
        ValueError: If the size is unknown, or the file holds another network.
        PretrainedWeightsError: If the ImageNet weights cannot be had.
    """

    def __init__(
        self,
        input_channels: int = 1,
        pretrained: bool = True,
        convnext: str = "tiny",
        pretrained_weights: str | Path | None = None,
        input_mean: float = 0.0,
        input_std: float = 1.0,
        stochastic_depth: float | None = None,
    ) -> None:
        super().__init__()
        if convnext not in SIZES:
            raise ValueError(f"convnext must be one of {', '.join(SIZES)}, got {convnext!r}")
        if input_std <= 0:
            raise ValueError(f"input_std must be above 0, got {input_std}")
        self.input_mean, self.input_std = input_mean, input_std
        name = f"convnext_{convnext}"
        depth = {} if stochastic_depth is None else {"stochastic_depth_prob": stochastic_depth}
        network = torchvision.models.get_model(name, weights=None, **depth)
        self.features = prepare_for_bf16(network.features)
        self.out_channels = network.classifier[2].in_features
        stem = self.features[0][0]
        self.features[0][0] = nn.Conv2d(
            input_channels, stem.out_channels, stem.kernel_size, stem.stride
        )
        with torch.no_grad():
            self._set_stem(stem.weight, stem.bias)
        if pretrained:
            self._load_imagenet(imagenet_state(name, pretrained_weights))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        missing = [max(0, LEAST_SIDE - side) for side in x.shape[2:]]
        if any(missing):
            x = F.pad(x, (0, missing[1], 0, missing[0]))
        return self.features((x - self.input_mean) / self.input_std)

    def _set_stem(self, rgb_weight: Tensor, bias: Tensor) -> None:
        stem = self.features[0][0]
        stem.weight.copy_(rgb_weight.mean(1, keepdim=True).expand_as(stem.weight))
        stem.bias.copy_(bias)

    def _load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        features = {
            key.removeprefix("features."): value
            for key, value in state.items()
            if key.startswith("features.")
        }
        rgb_weight, bias = features.pop("0.0.weight", None), features.pop("0.0.bias", None)
        own = self.features.state_dict()
        wanted = set(own) - {"0.0.weight", "0.0.bias"}
        stem = self.features[0][0]
        if (
            rgb_weight is None
            or bias is None
            or rgb_weight.shape != (stem.out_channels, 3, *stem.kernel_size)
            or bias.shape != stem.bias.shape
            or wanted != set(features)
            or any(features[key].shape != own[key].shape for key in wanted)
        ):
            raise ValueError(
                "the pretrained weights are those of another network; a state dict of "
                "torchvision's ConvNeXt of the same size is needed"
            )
        self.features.load_state_dict(features, strict=False)
        with torch.no_grad():
            self._set_stem(rgb_weight, bias)
