"""Layers of ConvNeXt for training in bf16 on a CPU: same parameters, faster or more exact.

In fp32 they compute what PyTorch's own layers do.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def prepare_for_bf16(model: nn.Module) -> nn.Module:
    """Exchange depth-wise convolutions and layer norms of a network, in place."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_same_depthwise(module):
            module.__class__ = DepthwiseConv2d
        elif type(module) is nn.LayerNorm:
            module.__class__ = ExactLayerNorm
        elif _is_layer_norm_2d(module):
            module.__class__ = ExactLayerNorm2d
    return model


def _is_layer_norm_2d(module: nn.Module) -> bool:
    """Tell whether a layer is torchvision's of that name; importing torchvision takes a second."""
    return type(module).__qualname__ == "LayerNorm2d" and type(module).__module__ == (
        "torchvision.models.convnext"
    )


def _is_same_depthwise(convolution: nn.Conv2d) -> bool:
    side = convolution.kernel_size[0]
    return (
        convolution.groups == convolution.in_channels == convolution.out_channels > 1
        and convolution.kernel_size == (side, side)
        and side % 2 == 1
        and convolution.padding == (side // 2, side // 2)
        and convolution.padding_mode == "zeros"
        and convolution.stride == convolution.dilation == (1, 1)
    )


class DepthwiseConv2d(nn.Conv2d):
    """Depth-wise convolution whose gradients are computed by matrix products."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(batch, channel, height, width)``."""
        if x.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            return _DepthwiseFunction.apply(x, self.weight, self.bias, dtype)
        return super().forward(x)


class _DepthwiseFunction(torch.autograd.Function):
    """Depth-wise convolution, stride 1, same size, in 16 bits.

    The bf16 kernel for the weight gradient is several times slower than its arithmetic warrants.
    For row i of the kernel that gradient is, in each channel, a sum along the diagonals of a matrix
    product: ``dw[c, i, j] = sum_w M_i[c, w, w + j]`` with ``M_i[c, w, v] = sum_(b, h)
    dy[b, c, h, w] * padded[b, c, h + i, v]``. The products accumulate in float32; the diagonals
    are summed in float32. The input gradient is a convolution with the kernel turned round.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        """Convolve ``(batch, channel, height, width)`` in ``dtype``."""
        x = x.to(dtype)
        ctx.save_for_backward(x, weight)
        bias = None if bias is None else bias.to(dtype)
        return F.conv2d(x, weight.to(dtype), bias, padding=weight.shape[-1] // 2, groups=x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias."""
        x, weight = ctx.saved_tensors
        grad_out = grad_out.to(x.dtype)
        channels, side = x.shape[1], weight.shape[-1]
        pad = side // 2
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            turned = weight.to(x.dtype).flip(2, 3)
            grad_x = F.conv2d(grad_out, turned, padding=pad, groups=channels)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(x, grad_out, side).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            grad_bias = grad_out.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype)
        return grad_x, grad_weight, grad_bias, None


def _weight_gradient(x: Tensor, grad_out: Tensor, side: int) -> Tensor:
    """Return the float32 gradient of a depth-wise kernel, shape ``(channel, 1, side, side)``."""
    batch, channels, height, width = x.shape
    pad = side // 2
    padded_width = width + 2 * pad
    padded = F.pad(x.permute(1, 2, 0, 3), (pad, pad, 0, 0, pad, pad))  # channel, h, batch, w
    left = grad_out.permute(1, 3, 2, 0).reshape(channels, width, height * batch)
    products = x.new_empty(side, channels, width, padded_width)
    for row in range(side):
        right = padded[:, row : row + height].reshape(channels, height * batch, padded_width)
        torch.bmm(left, right, out=products[row])
    diagonals = products.as_strided(
        (channels, side, side, width),
        (width * padded_width, channels * width * padded_width, 1, padded_width + 1),
    )
    return diagonals.sum(3, dtype=torch.float32).unsqueeze(1)


class ExactLayerNorm(nn.LayerNorm):
    """Layer normalisation in float32.

    PyTorch's bf16 kernel for the CPU sums the gradients of weight and bias in bf16, which loses
    several percent over the thousands of positions of a spectrogram.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        x = x.float() if x.dtype.itemsize < 4 else x
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class ExactLayerNorm2d(ExactLayerNorm):
    """The same over the channels of ``(batch, channel, height, width)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the channel axis."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
