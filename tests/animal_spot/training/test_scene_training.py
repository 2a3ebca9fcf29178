"""Partial calls, mixed calls and background: targets, loss, and runs of the program with them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile as sf
import torch

from animal_spot.training.config import TrainConfig
from animal_spot.training.distillation import DistillationTargets
from animal_spot.training.losses import SharedTargetsLoss, TrainingLoss
from animal_spot.training.scene_targets import SceneTargets
from tests.helpers.clips import make_corpus
from tests.helpers.training import SMALL, TAPES, assert_same, folders, main_here, run_main

SCENES = (
    *("--augmentation", "--noise_from_class", "noise", "--partial_calls", "0.8"),
    *("--mix_calls", "0.3", "--fill_holes", "0.5"),
)


def test_targets_are_shared_out():
    targets = SceneTargets([0, 1, 2, -1], 3, 2)
    weights = torch.tensor([[0.5, 0.25, 0.25], [0, 0, 0], [0, 0, 1], [1, 0, 0]])
    found = targets(torch.zeros(4), torch.arange(3).repeat(2)[:4], weights, torch.ones(4).long())
    expected = [[0.5, 0.25, 0.25], [0, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert found.tolist() == expected


def test_what_a_teacher_says_is_shared_out_too():
    said = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    targets = SceneTargets([0, 1, -1], 3, 2, DistillationTargets(said, 1.0))
    weights = torch.tensor([[0.5, 0.25, 0.25], [1, 0, 0]])
    found = targets(torch.zeros(2), torch.tensor([0, 2]), weights, torch.tensor([1, 2]))
    teacher = 0.5 * np.exp(said[0]) + 0.25 * np.exp(said[1]) + [0, 0, 0.25]
    np.testing.assert_allclose(found[0], [0.5, 0.25, 0.25, *teacher], rtol=1e-6)
    np.testing.assert_allclose(found[1], [0, 0, 0, 0.1, 0.1, 0.8], rtol=1e-6)


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_what_does_not_count_changes_nothing(gamma):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator, requires_grad=True)
    targets = torch.rand(6, 4, generator=generator).softmax(1)
    targets[2] = 0
    plain = TrainingLoss([5, 3, 2, 9], focal_gamma=gamma, label_smoothing=0.1)
    shared = SharedTargetsLoss(plain)
    kept = [0, 1, 3, 4, 5]
    torch.testing.assert_close(shared(logits, targets), plain(logits[kept], targets[kept]))
    shared(logits, targets).backward()
    assert not logits.grad[2].any()
    nothing = shared(logits, torch.zeros(6, 4))
    nothing.backward()
    assert nothing == 0
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"partial_calls": 0.5}, "--partial_calls needs --augmentation"),
        ({"mix_calls": 0.5}, "--mix_calls needs --augmentation"),
        ({"fill_holes": 0.5}, "--fill_holes needs --augmentation"),
        ({"partial_calls": 1.5, "augmentation": True}, "--partial_calls must be in 0..1"),
        ({"partial_targets": "noise"}, "--partial_targets needs --partial_calls or --mix_calls"),
        (
            {"partial_calls": 0.5, "partial_shares": (0.7, 0.2), "augmentation": True},
            "--partial_shares must be two rising",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        TrainConfig(**settings)


def test_a_run_with_all_of_it_is_the_same_in_any_process_and_names_bad_files(tmp_path):
    data = make_corpus(tmp_path / "data", dict.fromkeys(("A", "B", "noise"), TAPES[:5]))
    sea = tmp_path / "sea"
    sea.mkdir()
    rng = np.random.default_rng(0)
    sf.write(sea / "long.wav", 0.1 * rng.standard_normal(4 * 22050), 22050)
    (sea / "broken.wav").write_bytes(b"RIFF")
    flags = (*SMALL, *SCENES, "--background_dir", str(sea), "--max_train_epochs", "1")
    first, second = tmp_path / "first", tmp_path / "second"
    result = run_main("--data_dir", str(data), *folders(first), *flags)
    assert result.returncode == 0, result.stderr
    assert f"{sea / 'broken.wav'}: " in result.stderr
    assert "background: 13 windows of 1 recordings" in result.stderr  # 12 and 0.16 s
    here = main_here("--data_dir", str(data), *folders(second), *flags)
    assert here.returncode == 0, here.stderr
    assert_same(first, second)
    results = json.loads((first / "model" / "results.json").read_text())
    assert results["settings"]["partial_calls"] == 0.8
    changed = main_here(
        *("--data_dir", str(data), *folders(second), *flags, "--partial_targets", "ignore")
    )
    assert changed.returncode != 0
    assert "--partial_targets was soft, now ignore" in changed.stderr


def test_without_a_noise_class_only_whole_calls_count(tmp_path):
    data = make_corpus(tmp_path / "data", dict.fromkeys(("A", "B", "C"), TAPES[:4]))
    flags = (*SMALL, "--augmentation", "--partial_calls", "1", "--batch_size", "2")
    result = main_here("--data_dir", str(data), *folders(tmp_path), *flags, "--max_train_epochs=1")
    assert result.returncode == 0, result.stderr


def test_a_background_folder_without_sound_is_refused(tmp_path):
    data = make_corpus(tmp_path / "data", dict.fromkeys(("A", "B", "noise"), TAPES[:4]))
    empty = tmp_path / "sea"
    empty.mkdir()
    result = main_here(
        *("--data_dir", str(data), *folders(tmp_path), *SMALL, "--background_dir", str(empty))
    )
    assert result.returncode != 0
    assert f"--background_dir: no sound file in {empty}" in result.stderr
    assert not (tmp_path / "model" / "ANIMAL-SPOT.pk").exists()
