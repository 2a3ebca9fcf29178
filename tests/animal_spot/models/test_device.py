"""Where a network computes: what is asked for, what is there, and what each device can do."""

import logging

import numpy as np
import pytest
import torch

from animal_spot.audio.signal_config import Pcen, SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowGrid
from animal_spot.data.batch_augment import BatchAugmentation
from animal_spot.models.precision import Precision, choose_precision, device_of, sum_dtype
from animal_spot.prediction.config import PredictConfig
from animal_spot.settings.device import wanted_device
from animal_spot.training import pass_sums
from animal_spot.training.config import TrainConfig
from animal_spot.training.losses import TrainingLoss
from animal_spot.training.recipe import recipe_of
from animal_spot.utils.errors import run_to_status
from tests.helpers.fake_device import gpu_without_float64
from tests.helpers.loops import N_CLASSES, trainer_of
from tests.helpers.prediction import Models, run_predict, write_sound
from tests.helpers.programs import run_here

MPS = torch.device("mps")


@pytest.fixture
def machine(monkeypatch):
    """Return a function that says which GPUs there are."""

    def has(*kinds: str, macos: int = 15) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)
        monkeypatch.setattr(
            torch.backends.mps, "is_macos_or_newer", lambda major, _: macos >= major
        )

    return has


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        ("auto", (), "cpu"),
        ("auto", ("cuda",), "cuda"),
        ("auto", ("mps",), "cpu"),
        ("cpu", ("cuda", "mps"), "cpu"),
        ("cuda", ("cuda",), "cuda"),
        ("mps", ("mps",), "mps"),
    ],
)
def test_what_is_asked_for_of_what_is_there(machine, wanted, there, found):
    machine(*there)
    assert device_of(wanted).type == found


@pytest.mark.parametrize(("wanted", "there"), [("cuda", ("mps",)), ("mps", ("cuda",))])
def test_a_device_that_is_not_there_is_no_other_one(machine, wanted, there):
    machine(*there)
    with pytest.raises(ValueError, match=f"--device {wanted}: .*; use --device auto or cpu"):
        device_of(wanted)


def test_no_cuda_and_device_together():
    assert [wanted_device(False, device) for device in ("auto", "cpu")] == ["cpu", "cpu"]
    assert [wanted_device(True, d) for d in ("auto", "cpu", "mps")] == ["auto", "cpu", "mps"]


COMMANDS = {
    "main": ("--data_dir", "d"),
    "predict": ("--model_path", "m", "--input_file", "f"),
    "calibrate": ("m", "--data_dir", "d"),
    "ensemble": ("m", "n", "--data_dir", "d", "--output", "o"),
    "retrain": ("--model", "m"),
}


@pytest.mark.parametrize("program", COMMANDS)
def test_contradiction_is_refused_by_every_command(tmp_path, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    for name in ("m", "n", "review.sqlite"):
        (tmp_path / name).touch()
    result = run_here(program, *COMMANDS[program], "--no_cuda", "--device", "cuda")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(
        "--no_cuda contradicts --device cuda: leave one of them out"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there_ends_prediction_in_one_line(tmp_path):
    model = Models(tmp_path)("multi")
    sound = write_sound(tmp_path / "a.wav", 1.0)
    result = run_predict(
        *("--model_path", model, "--input_file", sound, "--output_dir", tmp_path / "out"),
        *("--device", "cuda"),
    )
    assert result.returncode == 1
    assert "--device cuda: PyTorch" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.glob("out/*.csv"))


def test_device_of_a_run_is_no_setting_of_its_results():
    """A training that goes on, or its folds, may move to another device."""
    assert recipe_of(TrainConfig(device="cpu")) == recipe_of(TrainConfig())


@pytest.mark.parametrize(
    ("wanted", "device", "macos", "found"),
    [("auto", MPS, 15, "fp32"), ("fp32", MPS, 13, "fp32"), ("bf16", MPS, 14, "bf16")],
)
def test_arithmetic_of_apple_gpus(machine, wanted, device, macos, found):
    machine("mps", macos=macos)
    assert choose_precision(wanted, device).name == found


@pytest.mark.parametrize(
    ("wanted", "macos", "needed"), [("bf16", 13, "macOS 14"), ("fp16", 15, "CUDA device")]
)
def test_arithmetic_that_apple_gpus_lack(machine, wanted, macos, needed):
    machine("mps", macos=macos)
    with pytest.raises(ValueError, match=f"--precision {wanted} needs .*{needed}"):
        choose_precision(wanted, MPS)


def test_what_an_apple_gpu_cannot_compute_is_one_line_that_helps(capsys):
    def run() -> int:
        raise NotImplementedError(
            "The operator 'aten::_fft_r2c' is not currently implemented for the MPS device. "
            "As a temporary fix, you can set `PYTORCH_ENABLE_MPS_FALLBACK=1`."
        )

    assert run_to_status(logging.getLogger("TEST"), run) == 1
    said = capsys.readouterr().err
    assert "aten::_fft_r2c" in said
    assert "PYTORCH_ENABLE_MPS_FALLBACK=1" in said
    assert "fault of this program" not in said


SIGNALS = {
    "linear": {"n_freq_bins": 256, "min_max_norm": True},
    "mel": {"n_freq_bins": 64, "freq_compression": "mel", "min_max_norm": True},
    "mfcc": {"n_freq_bins": 64, "freq_compression": "mfcc"},
    "pcen": {"n_freq_bins": 64, "freq_compression": "mel", "pcen": Pcen()},
}


@pytest.mark.parametrize("hop", [172 * 64, 11_025], ids=["shared frames", "own frames"])
@pytest.mark.parametrize("signal", SIGNALS)
def test_network_inputs_are_made_on_the_device_whole(signal, hop):
    """No step is left on the CPU, and none needs float64."""
    pipeline = SpectrogramPipeline(SignalConfig(n_fft=1024, hop_length=172, **SIGNALS[signal]))
    grid = WindowGrid(22_050, hop, 44_100)
    samples = np.zeros(grid.length + 2 * hop, np.float32)
    expected = WindowFeatures(pipeline, grid).of_stretch(samples, 3)  # fills the caches
    with gpu_without_float64() as device:
        found = WindowFeatures(pipeline, grid, device).of_stretch(samples, 3)
        assert (found.device.type, found.shape) == (device.type, expected.shape)


def test_a_step_of_training_stays_on_the_device(monkeypatch):
    monkeypatch.setattr(pass_sums, "sum_dtype", lambda _: sum_dtype(MPS))  # all else is CUDA's
    # Fake weights cannot be moved; they are made where they belong.
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)
    with gpu_without_float64() as device:
        with device:
            loss = TrainingLoss([3, 4, 5], class_weighting="inverse", label_smoothing=0.1)
        trainer = trainer_of(
            precision=Precision("fp32", device),
            loss=loss,
            gradient_clip_norm=1.0,
            batch_augmentation=BatchAugmentation(
                n_classes=N_CLASSES, mixup_alpha=0.4, spec_augment=True
            ),
        )
        monkeypatch.setattr(trainer.state, "descend", lambda _: None)  # wants a real context
        sums = pass_sums.PassSums.empty(N_CLASSES, device)
        batch = torch.zeros(4, 1, 4, 4), torch.zeros(4).long(), torch.arange(4)
        loss_now = trainer._step(batch, len(batch[0]), sums, 0, 0)
        assert {loss_now.device.type, sums.loss_sum.device.type} == {device.type}


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_workers_of_a_cluster_have_gpus_only_if_that_is_said(device):
    wanted = {"model_path": ("m",), "output_dir": "o", "ray": "local", "device": device}
    with pytest.raises(ValueError, match="needs --gpus_per_worker"):
        PredictConfig(**wanted)
    assert PredictConfig(**wanted, gpus_per_worker=0.5).wanted_device == device
