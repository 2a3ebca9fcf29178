"""Networks for photos over spectrograms: the frame that all of them share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.models.bf16_layers import prepare_for_bf16

LEAST_SIDE = 32  # frames or bins, by which most networks divide; a smaller input is filled up


class ImageEncoder(nn.Module):
    """Spectrogram ``(batch, 1, time, freq)`` to pooled features ``(batch, out_channels, 1, 1)``.

    The parameters are named ``network.*``.

    Args:
        network: Takes one channel and gives pooled features ``(batch, out_channels)``.
        input_mean: Taken from the input.
        input_std: What the input is then divided by.
        input_size: The only ``(time, freq)`` that the network takes; smaller inputs are filled up
            with 0 about their centre, as clips are in training. None: any.
        out_channels: If it is known; None: it is tried out.

    Raises:
        ValueError: If the network cannot compute such inputs.
    """

    def __init__(
        self,
        network: nn.Module,
        input_mean: float = 0.0,
        input_std: float = 1.0,
        input_size: Sequence[int] | None = None,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        if input_std <= 0:
            raise ValueError(f"input_std must be above 0, got {input_std}")
        self.network = prepare_for_bf16(network)
        self.input_mean, self.input_std = input_mean, input_std
        self.input_size = None if input_size is None else tuple(input_size)
        self.out_channels = self._count_channels() if out_channels is None else out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers."""
        if self.input_size is not None:
            missing = [want - side for want, side in zip(self.input_size, x.shape[2:], strict=True)]
            if any(side < 0 for side in missing):
                raise ValueError(
                    "this network takes inputs of up to {} frames and {} bins, as in training, not "
                    "{} and {}: keep --sequence_len as it is in the model file".format(
                        *self.input_size, *x.shape[2:]
                    )
                )
            before = [side // 2 for side in missing]
        else:
            missing = [_lacking(side) for side in x.shape[2:]]
            before = [0, 0]
        # A length that an export leaves free may lack something: there the filling up stays.
        if any(not isinstance(sides, int) or sides > 0 for sides in missing):
            after = [side - first for side, first in zip(missing, before, strict=True)]
            x = F.pad(x, (before[1], after[1], before[0], after[0]))
        return self.network((x - self.input_mean) / self.input_std)[:, :, None, None]

    @torch.no_grad()
    def _count_channels(self) -> int:
        example = torch.zeros(1, 1, *(self.input_size or (2 * LEAST_SIDE, 2 * LEAST_SIDE)))
        was_training = self.training
        try:
            features = self.eval()(example)
        except Exception as error:  # each network has its own way to say that it cannot
            size = " x ".join(map(str, example.shape[2:]))
            raise ValueError(
                f"this network of timm cannot compute spectrograms of {size} (frames x bins): "
                f"{str(error).splitlines()[0]}; choose another network, or for a transformer "
                "--sequence_len and --n_freq_bins whose frames and bins its patches divide"
            ) from error
        finally:
            self.train(was_training)
        if features.ndim != 4:
            raise ValueError(f"this network of timm gives features of shape {features.shape}")
        return features.shape[1]


class HalvingConv2d(nn.Conv2d):
    """Convolution of stride 2 with TensorFlow's padding.

    An odd side gets a column more at its start than an even one. Written so, the exporter to ONNX
    need not reason about nested roundings of a free length.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to ``(batch, channel, height, width)``."""
        side = self.kernel_size[0]
        start, end = (side - 3) // 2, (side - 1) // 2
        odd_height, odd_width = (length % 2 for length in x.shape[2:])
        x = F.pad(x, (start + odd_width, end, start + odd_height, end))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _lacking(side: int | Tensor) -> int | Tensor:
    """Return what a side lacks of ``LEAST_SIDE``, in a form that traces and exports keep."""
    if isinstance(side, int):
        return max(0, LEAST_SIDE - side)
    if isinstance(side, Tensor):
        return side.clamp(min=LEAST_SIDE) - side
    return torch.sym_max(side, LEAST_SIDE) - side
