"""Weights of convolutions that meet nothing but padding, in bf16 on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from animal_spot.models.dead_taps import live_taps
from animal_spot.models.precision import Precision

BF16 = Precision("bf16", torch.device("cpu"))
CASES = [
    *((4, 3, 2, 1), (1, 3, 2, 1), (2, 7, 2, 3), (1, 5, 1, 2)),
    *((3, 2, 2, 0), (2, 3, 1, 2), (5, 3, 4, 1)),
]


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("side", "kernel", "stride", "padding"), CASES)
def test_live_taps_are_those_that_a_convolution_in_fp32_finds(
    side, kernel, stride, padding, dilation
):
    padding *= dilation
    if side + 2 * padding <= dilation * (kernel - 1):
        pytest.skip("the kernel does not fit")
    weight = torch.zeros(1, 1, kernel, requires_grad=True)
    nn.functional.conv1d(
        torch.ones(1, 1, side), weight, None, stride, padding, dilation
    ).sum().backward()
    found = live_taps(side, kernel, stride, padding, dilation)
    assert list(found) == (weight.grad[0, 0] > 0).tolist()


def leave_nan_in_memory() -> None:
    """Let go of memory of many sizes that holds NaN, so that what is not written shows."""
    sizes = (2**10, 2**14, 2**17, 2**20, 2**22)
    for dtype in (torch.float32, torch.bfloat16):
        held = [torch.full((size,), torch.nan, dtype=dtype) for size in sizes * 4]
        del held


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("shape", [(2, 256, 4, 1), (2, 256, 1, 1), (2, 256, 1, 4)], ids=str)
def test_gradient_of_weights_that_meet_padding_alone_is_zero(shape, layout):
    torch.manual_seed(0)
    convolution = nn.Conv2d(256, 512, 3, 2, 1, bias=False).to(memory_format=layout)
    x = torch.randn(shape).contiguous(memory_format=layout)
    gradients = []
    for precision in (Precision("fp32", BF16.device), *[BF16] * 3):
        convolution.zero_grad()
        leave_nan_in_memory()
        with precision.autocast():
            out = convolution(x)
        out.float().square().sum().backward()
        gradients.append(convolution.weight.grad)
    exact, *ours = gradients
    for gradient in ours:
        assert (gradient[exact == 0] == 0).all()
        assert torch.equal(gradient, ours[0])
    torch.testing.assert_close(ours[0], exact, rtol=0, atol=0.02 * float(exact.abs().max()))
