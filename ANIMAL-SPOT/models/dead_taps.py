"""Convolutions on a CPU in bf16: weights that meet nothing but padding get the gradient 0.

Where a side of the input is shorter than the kernel, some columns (taps) of the kernel never lie on
it: of a kernel of 3 with stride 2 and padding 1 over a side of 1, the first and the last. Their
gradient is 0. The bf16 kernels of oneDNN leave it unwritten where the stride is above 1: it is what
the memory held before, differs from run to run, and may be no number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class NoGradientOfDeadTaps(TorchFunctionMode):
    """Context of a forward pass: holds for all 2D convolutions in it, of whatever layer."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call ``func``; a convolution with its dead taps taken out of the backward pass."""
        kwargs = kwargs or {}
        if func is torch.conv2d and torch.is_grad_enabled():
            return _conv2d(*args, **kwargs)
        return func(*args, **kwargs)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve ``(batch, channel, height, width)``; parameters are those of ``torch.conv2d``."""
    strides, dilations, paddings = _pair(stride), _pair(dilation), _pair(padding)
    rows, columns = (
        live_taps(
            *(input.shape[axis + 2], weight.shape[axis + 2]),
            *(strides[axis], paddings[axis], dilations[axis]),
        )
        for axis in (0, 1)
    )
    if not (all(rows) and all(columns)):
        is_live = torch.tensor(rows)[:, None] & torch.tensor(columns)
        weight = torch.where(is_live.to(weight.device), weight, weight.detach())
    return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


@functools.lru_cache(maxsize=1024)
def live_taps(
    side: int, kernel: int, stride: int, padding: int | str, dilation: int
) -> tuple[bool, ...]:
    """Tell for each tap of a kernel whether it lies on the input at any position.

    Args:
        side: Length of the input along this axis, without padding.
        kernel: Taps.
        stride: Between positions of the kernel.
        padding: Zeros at either end, or ``same`` or ``valid``.
        dilation: Between taps.
    """
    reach = dilation * (kernel - 1)
    before, after = {"valid": (0, 0), "same": (reach // 2, reach - reach // 2)}.get(
        padding, (padding, padding)
    )
    starts = range(-before, side + after - reach, stride)
    return tuple(
        any(0 <= start + tap * dilation < side for start in starts) for tap in range(kernel)
    )


def _pair(value: int | str | Sequence[int]) -> tuple[Any, Any]:
    values = (value,) if isinstance(value, (int, str)) else tuple(value)
    return (values[0], values[-1])
