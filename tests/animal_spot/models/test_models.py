from __future__ import annotations

import json
import zlib
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from torchvision.ops import StochasticDepth

from animal_spot.model_files.model_file import fork_encoder_state
from animal_spot.models import pretrained
from animal_spot.models.classifier import Classifier
from animal_spot.models.convnext_encoder import ConvNextEncoder
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.models.pretrained import PretrainedWeightsError
from animal_spot.models.residual_encoder import ResidualEncoder
from tests.golden.fill_weights import fill_module
from tests.helpers.places import GOLDEN

CASES = json.loads((GOLDEN / "models.json").read_text())


def case_id(case: dict) -> str:
    return f"{case['resnet_size']}-pool{case['max_pool']}-k{case['conv_kernel_size']}"


def build(size: int = 18, max_pool: int = 1, kernel: int = 7, k: int = 5) -> torch.nn.Sequential:
    options = {
        "input_channels": 1,
        "conv_kernel_size": kernel,
        "max_pool": max_pool,
        "resnet_size": size,
    }
    encoder = build_encoder("resnet", options)
    return build_model(encoder, Classifier(encoder.out_channels, num_classes=k))


def build_case(case: dict) -> torch.nn.Sequential:
    return build(
        case["resnet_size"], case["max_pool"], case["conv_kernel_size"], case["num_classes"]
    )


# -- residual encoder: numbers measured on the original -----------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=case_id(c), marks=pytest.mark.slow if c["resnet_size"] > 50 else ())
        for c in CASES
    ],
)
def test_logits_names_and_shapes_are_those_of_the_original(case):
    model = build_case(case).eval()
    state = model.state_dict()
    lines = "\n".join(f"{name}{tuple(v.shape)}" for name, v in state.items())
    assert len(state) == case["n_tensors"]
    assert sum(p.numel() for p in model.parameters()) == case["n_parameters"]
    assert zlib.crc32(lines.encode()) == case["keys_crc32"]
    fill_module(model)
    x = torch.from_numpy(np.load(GOLDEN / "model_input.npz")["x"])
    with torch.no_grad():
        features = model.encoder(x)
        logits = model(x)
    assert list(features.shape) == case["feature_shape"]
    expected = torch.tensor(case["logits"])
    tolerance = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("state_dict_*.json")), ids=lambda p: p.stem)
def test_state_dict_is_that_of_the_original_in_order(path):
    _, _, network, pool = path.stem.split("_")
    model = build(int(network.removeprefix("resnet")), int(pool.removeprefix("maxpool")))
    expected = json.loads(path.read_text())
    actual = {name: list(value.shape) for name, value in model.state_dict().items()}
    n_classes = expected["classifier.linear.bias"][0]
    actual["classifier.linear.weight"][0] = actual["classifier.linear.bias"][0] = n_classes
    assert list(actual.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("size", "max_pool", "kernel", "expected"),
    [
        pytest.param(18, 1, 7, [-14.164411, -5.029344, -1.934382], id="18-1-7"),
        pytest.param(18, 0, 7, [-11.323768, 0.383359, 4.846354], id="18-0-7"),
        pytest.param(18, 1, 3, [-9.994918, -8.481280, -2.197328], id="18-1-3"),
    ],
)
def test_check_values_of_the_specification(size, max_pool, kernel, expected):
    model = build(size, max_pool, kernel, k=3).eval()
    for j, value in enumerate(model.state_dict().values()):
        if value.ndim >= 2:
            i = np.arange(value.numel(), dtype=np.uint64)
            mask = np.uint64(2**32 - 1)
            a = (i * np.uint64(2654435761) + np.uint64(j * 40503)) & mask
            b = ((a ^ (a >> np.uint64(15))) * np.uint64(2246822519)) & mask
            c = b ^ (b >> np.uint64(13))
            fan_in = value[0].numel()
            filled = (c / 2.0**32 - 0.5) * 2 * np.sqrt(6 / fan_in)
            value.copy_(torch.from_numpy(filled.astype(np.float32)).reshape(value.shape))
    with torch.no_grad():
        model.classifier.linear.bias.zero_()
        t, f = torch.meshgrid(torch.arange(128), torch.arange(256), indexing="ij")
        logits = model(((7 * t + 3 * f) % 17 / 17)[None, None])[0]
    # Those numbers are in float64, from which float32 is said to deviate by less than 2e-4.
    assert logits.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("size", "entries", "parameters"),
    [
        (18, 120, 11_170_240),
        (34, 216, 21_278_400),
        (50, 318, 23_501_760),
        (101, 624, 42_493_888),
        (152, 930, 58_137_536),
    ],
)
def test_size_of_the_encoder(size, entries, parameters):
    with torch.device("meta"):
        encoder = ResidualEncoder(resnet_size=size)
    assert len(encoder.state_dict()) == entries
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert encoder.out_channels == (512 if size < 50 else 2048)


@pytest.mark.parametrize(
    ("max_pool", "expected"), [(0, (4, 8)), (1, (4, 8)), (2, (8, 16))], ids=["0", "1", "2"]
)
def test_resolution_of_the_feature_maps(max_pool, expected):
    encoder = ResidualEncoder(max_pool=max_pool).eval()
    with torch.no_grad():
        assert tuple(encoder(torch.zeros(1, 1, 128, 256)).shape) == (1, 512, *expected)


def test_even_kernel_gives_a_row_and_a_column_more():
    conv = ResidualEncoder(conv_kernel_size=4).conv1
    assert tuple(conv(torch.zeros(1, 1, 128, 256)).shape[2:]) == (65, 129)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"resnet_size": 20}, "18, 34, 50, 101, 152"),
        ({"max_pool": 3}, "max_pool must be 0, 1 or 2"),
        ({"conv_kernel_size": 0}, "conv_kernel_size must be at least 1"),
    ],
    ids=["size", "pool", "kernel"],
)
def test_impossible_residual_encoder_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        ResidualEncoder(**options)


# -- classifier and factory ---------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_classifier_pools_and_multiplies(pooling):
    classifier = Classifier(4, pooling, 3)
    features = torch.randn(2, 4, 5, 6)
    array = features.numpy()
    pooled = array.mean((2, 3)) if pooling == "avg" else array.max((2, 3))
    np.testing.assert_allclose(classifier.embed(features).numpy(), pooled, atol=1e-6)
    weight, bias = (p.detach().numpy() for p in classifier.linear.parameters())
    logits = classifier(features).detach().numpy()
    np.testing.assert_allclose(logits, pooled @ weight.T + bias, atol=1e-5)
    assert list(classifier.state_dict()) == ["linear.weight", "linear.bias"]


@pytest.mark.parametrize("options", [{"pooling": "sum"}, {"num_classes": 0}], ids=str)
def test_impossible_classifier_is_refused(options):
    with pytest.raises(ValueError, match=r"pooling|num_classes"):
        Classifier(**options)


def test_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="resnet, convnext"):
        build_encoder("vgg", {})


@pytest.mark.parametrize("size", [18, 50])
@pytest.mark.parametrize("max_pool", [0, 1, 2])
def test_every_parameter_of_a_resnet_receives_a_gradient(size, max_pool):
    model = build(size, max_pool)
    model(torch.randn(2, 1, 64, 64)).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("shape", [(33, 17), (128, 256), (300, 40)], ids=str)
def test_any_length_and_width_will_do(shape):
    with torch.no_grad():
        assert tuple(build().eval()(torch.randn(1, 1, *shape)).shape) == (1, 5)


# -- ConvNeXt -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torchvision_convnext(tmp_path_factory):
    torch.manual_seed(3)
    network = torchvision.models.convnext_tiny(weights=None).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("layer_scale"):
                parameter.fill_(0.5)  # from 1e-6 the blocks would do next to nothing
            elif parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("weights") / "convnext_tiny.pth"
    torch.save(network.state_dict(), path)
    yield network, path
    path.unlink()


def test_convnext_has_the_keys_and_shapes_of_the_fork():
    encoder = ConvNextEncoder(pretrained=False)
    state = encoder.state_dict()
    with torch.device("meta"):
        reference = torchvision.models.convnext_tiny(weights=None).features.state_dict()
    expected = {f"features.{k}": tuple(v.shape) for k, v in reference.items()}
    expected["features.0.0.weight"] = (96, 1, 4, 4)
    assert {k: tuple(v.shape) for k, v in state.items()} == expected
    assert len(state) == 178
    assert encoder.out_channels == 768


def test_convnext_resolution_halves_from_stage_to_stage():
    encoder = ConvNextEncoder(pretrained=False).eval()
    shapes = []
    x = torch.zeros(1, 1, 128, 256)
    with torch.no_grad():
        for index, stage in enumerate(encoder.features):
            x = stage(x)
            if index % 2:
                shapes.append(tuple(x.shape[1:]))
    assert shapes == [(96, 32, 64), (192, 16, 32), (384, 8, 16), (768, 4, 8)]


def test_every_parameter_of_a_convnext_receives_a_gradient():
    encoder = ConvNextEncoder(pretrained=False).eval()  # else some blocks are left out by chance
    model = build_model(encoder, Classifier(768, num_classes=3))
    model(torch.randn(2, 1, 64, 64)).square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize(("size", "channels"), [("small", 768), ("base", 1024), ("large", 1536)])
def test_width_of_the_larger_convnexts(size, channels):
    with torch.device("meta"):
        assert ConvNextEncoder(pretrained=False, convnext=size).out_channels == channels


def test_unknown_convnext_is_refused():
    with pytest.raises(ValueError, match="tiny, small, base, large"):
        ConvNextEncoder(pretrained=False, convnext="huge")


def test_pretrained_convnext_sees_a_grey_image_as_torchvision_does(torchvision_convnext):
    network, path = torchvision_convnext
    encoder = ConvNextEncoder(pretrained=True, pretrained_weights=path).eval()
    stem = network.features[0][0]
    torch.testing.assert_close(encoder.features[0][0].weight, stem.weight.mean(1, keepdim=True))
    assert torch.equal(encoder.features[0][0].bias, stem.bias)
    x = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # The mean over the colours answers to x as their sum does to a third of x in each.
        expected = network.features((x / 3).expand(-1, 3, -1, -1))
        torch.testing.assert_close(encoder(x), expected, rtol=1e-4, atol=1e-4)


def test_stored_option_pretrained_loads_nothing(monkeypatch):
    monkeypatch.setattr(pretrained, "imagenet_state", _forbidden)
    build_encoder("convnext", {"input_channels": 1, "pretrained": True})


def _forbidden(*_args, **_kwargs):
    raise AssertionError("weights were asked for")


def test_extra_keys_of_the_fork_are_dropped():
    state = {
        "backbone.features.0.0.bias": 1,
        "features.0.0.bias": 1,
        "backbone.classifier.2.bias": 1,
    }
    assert list(fork_encoder_state(state)) == ["features.0.0.bias"]


# -- ImageNet weights ---------------------------------------------------------------------------


def resnet_opts(size=18, max_pool=1, kernel=7) -> dict:
    return {
        "input_channels": 1,
        "conv_kernel_size": kernel,
        "max_pool": max_pool,
        "resnet_size": size,
    }


@pytest.fixture(scope="module")
def torchvision_resnet18(tmp_path_factory):
    torch.manual_seed(4)
    network = torchvision.models.resnet18(weights=None).eval()
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.ndim == 1:
                value.add_(0.1 * torch.rand_like(value))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    yield network, path
    path.unlink()


def load_pretrained(path, **options):
    return build_encoder(
        "resnet", resnet_opts(**options), pretrained=True, pretrained_weights=str(path)
    )


def test_pretrained_resnet_sees_a_grey_image_as_torchvision_does(torchvision_resnet18):
    network, path = torchvision_resnet18
    encoder = load_pretrained(path).eval()
    x = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    body = torch.nn.Sequential(*list(network.children())[:-2])
    with torch.no_grad():
        expected = body((x / 3).expand(-1, 3, -1, -1))
        torch.testing.assert_close(encoder(x), expected, rtol=1e-4, atol=1e-4)


def test_stem_of_another_size_keeps_its_random_start(torchvision_resnet18):
    network, path = torchvision_resnet18
    encoder = load_pretrained(path, kernel=3, max_pool=0)
    assert encoder.conv1.weight.shape == (64, 1, 3, 3)
    assert torch.equal(encoder.layer4[1].conv2.weight, network.layer4[1].conv2.weight)
    assert torch.equal(encoder.layer2[0].shortcut[0].weight, network.layer2[0].downsample[0].weight)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("resnet50", id="50-into-18"),
        pytest.param("resnet34", id="34-into-18"),
        pytest.param("convnext_tiny", id="convnext-into-18"),
    ],
)
def test_weights_of_another_network_are_refused_for_a_resnet(tmp_path, other):
    network = torchvision.models.get_model(other, weights=None)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="not those of torchvision's resnet18"):
        load_pretrained(tmp_path / "w.pth")


def test_weights_of_a_smaller_network_are_refused(torchvision_resnet18):
    with pytest.raises(ValueError, match="not those of torchvision's resnet34"):
        load_pretrained(torchvision_resnet18[1], size=34)


@pytest.mark.parametrize(
    "make_state",
    [
        pytest.param(lambda n: {k: v for k, v in n.items() if "7.1" not in k}, id="incomplete"),
        pytest.param(lambda n: n | {"features.8.0.weight": torch.ones(1)}, id="too-much"),
        pytest.param(lambda n: n | {"features.1.0.block.0.bias": torch.ones(7)}, id="shape"),
        pytest.param(lambda n: {"conv1.weight": torch.ones(1)}, id="other-network"),
        pytest.param(lambda n: n | {"features.0.0.weight": torch.ones(5, 3, 4, 4)}, id="stem"),
    ],
)
def test_weights_of_another_network_are_refused_for_a_convnext(
    torchvision_convnext, monkeypatch, make_state
):
    state = make_state(dict(torchvision_convnext[0].state_dict()))
    monkeypatch.setattr("animal_spot.models.convnext_encoder.imagenet_state", lambda *_: state)
    with pytest.raises(ValueError, match="those of another network"):
        ConvNextEncoder(pretrained=True, pretrained_weights="w.pth")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>not found</html>", id="web-page"),
        pytest.param(b"PK\x03\x04" + bytes(50), id="broken-archive"),
        pytest.param(b"\xff" * 60, id="ones"),
        pytest.param(b"0" * 60, id="digits"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", id="git-lfs-pointer"),
        pytest.param(b"RIFF" + bytes(50), id="sound"),
    ],
)
def test_file_that_is_no_state_dict_is_refused_by_name(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(PretrainedWeightsError, match=r"--pretrained_weights .*weights\.pth"):
        ConvNextEncoder(pretrained=True, pretrained_weights=path)


@pytest.mark.parametrize(
    "value",
    [[1], {"a": 1}, torch.ones(2), {0: torch.ones(1)}],
    ids=["list", "dict", "tensor", "keys-that-are-no-names"],
)
def test_file_of_something_else_is_refused(tmp_path, value):
    torch.save(value, tmp_path / "w.pth")
    with pytest.raises(PretrainedWeightsError, match="not a state dict of tensors"):
        load_pretrained(tmp_path / "w.pth")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(PretrainedWeightsError, match=r"gone\.pth cannot be read.*No such file"):
        load_pretrained(tmp_path / "gone.pth")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(URLError("no route"), id="no-network"),
        pytest.param(TimeoutError("timed out"), id="time-out"),
        pytest.param(RuntimeError("invalid hash value"), id="hash"),
    ],
)
@pytest.mark.parametrize(
    ("backbone", "options", "name"),
    [("convnext", {"input_channels": 1}, "convnext_tiny"), ("resnet", resnet_opts(), "resnet18")],
    ids=["convnext", "resnet"],
)
def test_failed_download_names_address_and_flag(
    tmp_path, monkeypatch, backbone, options, name, error
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(PretrainedWeightsError) as raised:
        build_encoder(backbone, options, pretrained=True)
    message = str(raised.value)
    assert torchvision.models.get_model_weights(name).DEFAULT.url in message
    assert "--pretrained_weights" in message
    assert str(error.args[0]) in message


@pytest.mark.parametrize(
    ("size", "given", "deepest"),
    [
        pytest.param("tiny", None, 0.1, id="tiny"),
        pytest.param("tiny", 0.3, 0.3, id="tiny-0.3"),
        pytest.param("tiny", 0.0, 0.0, id="tiny-none"),
        pytest.param("small", None, 0.4, id="small"),
    ],
)
def test_blocks_are_left_out_more_often_the_deeper_they_are(size, given, deepest):
    torch.manual_seed(0)
    encoder = ConvNextEncoder(pretrained=False, convnext=size, stochastic_depth=given)
    rates = [m.p for m in encoder.modules() if isinstance(m, StochasticDepth)]
    assert rates == pytest.approx(np.linspace(0, deepest, len(rates)))
    assert len(rates) == {"tiny": 18, "small": 36}[size]


def test_convnext_standardises_its_input():
    """(x - mean) / std before the first layer: the same as handing in such an input."""
    torch.manual_seed(0)
    plain = ConvNextEncoder(pretrained=False).eval()
    standardised = ConvNextEncoder(pretrained=False, input_mean=0.4, input_std=0.2).eval()
    standardised.load_state_dict(plain.state_dict())
    x = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(standardised(x), plain((x - 0.4) / 0.2), atol=1e-5)
