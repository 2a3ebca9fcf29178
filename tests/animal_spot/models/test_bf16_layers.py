from __future__ import annotations

import copy

import pytest
import torch
import torchvision

from animal_spot.models.bf16_layers import prepare_for_bf16


@pytest.mark.parametrize(
    ("shape", "side"),
    [((2, 3, 8, 10), 7), ((1, 4, 5, 3), 3), ((3, 2, 1, 1), 7), ((2, 2, 4, 9), 5)],
    ids=str,
)
def test_weight_gradient_is_that_of_autograd(shape, side):
    """Of numbers that 16 bits hold: only the gradient itself is rounded, to 8 bits."""
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(shape[1], shape[1], side, padding=side // 2, groups=shape[1])
    ours = prepare_for_bf16(copy.deepcopy(plain))
    x = torch.randn(shape).bfloat16().float()
    grad_out = torch.randn(shape).bfloat16().float()
    plain(x).backward(grad_out)
    with torch.autocast("cpu", torch.bfloat16):
        out = ours(x)
    out.backward(grad_out.to(out.dtype))
    expected = plain.weight.grad
    atol = 2**-8 * float(expected.abs().max())
    torch.testing.assert_close(ours.weight.grad, expected, rtol=2**-7, atol=atol)


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
