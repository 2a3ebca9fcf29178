"""Networks of timm."""

from __future__ import annotations

import re
import socket
import time

import pytest
import torch

from tests.helpers.clips import make_corpus
from tests.helpers.training import TAPES, main_here

timm = pytest.importorskip("timm")

from animal_spot.audio.dsp import fit_length  # noqa: E402
from animal_spot.models import timm_encoder  # noqa: E402 - after the check
from animal_spot.models.factory import build_encoder  # noqa: E402
from animal_spot.models.names import backbone_of  # noqa: E402
from animal_spot.models.pretrained import PretrainedWeightsError  # noqa: E402

SMALL = "timm:mobilenetv3_small_050"  # 0.6 million weights before its last layer
VIT = "timm:test_vit"  # a tiny transformer that timm has for tests; takes one size only


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
