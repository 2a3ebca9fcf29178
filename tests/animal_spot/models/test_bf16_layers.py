from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision

from animal_spot.models.bf16_layers import _weight_gradient, prepare_for_bf16


@pytest.mark.parametrize(
    ("shape", "side"),
    [((2, 3, 8, 10), 7), ((1, 4, 5, 3), 3), ((3, 2, 1, 1), 7), ((2, 2, 4, 9), 5)],
    ids=str,
)
def test_weight_gradient_is_that_of_autograd(shape, side):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    weight = torch.randn(shape[1], 1, side, side, generator=generator, requires_grad=True)
    out = F.conv2d(x, weight, padding=side // 2, groups=shape[1])
    grad_out = torch.randn(out.shape, generator=generator)
    (expected,) = torch.autograd.grad(out, weight, grad_out)
    torch.testing.assert_close(_weight_gradient(x, grad_out, side), expected, rtol=1e-4, atol=1e-4)


def small_network() -> torch.nn.Module:
    torch.manual_seed(0)
    network = torchvision.models.convnext_tiny(weights=None).features[:2]
    for name, parameter in network.named_parameters():
        if name.endswith("layer_scale"):
            torch.nn.init.constant_(parameter, 0.5)
    return network.eval()  # no stochastic depth


def gradients(network, x, *, bf16: bool) -> dict[str, torch.Tensor]:
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = network(x)
    out.float().square().mean().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


def test_gradients_in_bf16_are_close_to_those_in_fp32():
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    exact = gradients(small_network(), x, bf16=False)
    ours = gradients(prepare_for_bf16(small_network()), x, bf16=True)
    for name, expected in exact.items():
        error = float((ours[name] - expected).norm() / expected.norm())
        # bf16 keeps 8 bits: 0.4 % a rounding, some of which add up over three blocks.
        assert error < 0.05, name


def test_in_fp32_nothing_changes():
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    plain, prepared = small_network(), prepare_for_bf16(small_network())
    assert list(plain.state_dict()) == list(prepared.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(prepared(x), plain(x), rtol=1e-5, atol=1e-5)
