"""Trainings that go on from a model file: what is taken over, refused and told."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from animal_spot.model_files.ensemble_file import Ensemble, save_ensemble
from animal_spot.model_files.model_file import ModelFile, bytes_of, load_model, save_model
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.training.config import TrainConfig, going_on_from, parse_config
from animal_spot.training.network import first_network
from animal_spot.training.optimizers import build_optimizer, build_scheduler
from tests.helpers.clips import make_corpus
from tests.helpers.prediction import make_content, only_error, save_original
from tests.helpers.training import (
    SMALL,
    TAPES,
    assert_same,
    folders,
    main_here,
    run_main,
    train,
    train_until_killed,
)

TINY = "timm:test_resnet"
RUN = ("--batch_size", "4", "--lr", "1e-4", "--precision", "fp32", "--num_workers", "1")
BEFORE = {"B": 0, "gone": 1, "A": 2}
NOW = {"A": 0, "B": 1, "C": 2}


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        parse_config([*arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same classes in files of several kinds."""
    folder = tmp_path_factory.mktemp("models")
    resnet = make_content(BEFORE, seed=3, stored_ms=300)
    save_model(resnet, folder / "resnet.pk")
    save_original(resnet, folder / "original.pk")
    (folder / "torchscript.pk").write_bytes(bytes_of(resnet, torchscript=True))
    save_model(make_content(BEFORE, backbone=TINY, min_max=True, stored_ms=300), folder / "timm.pk")
    save_model(make_content(BEFORE, backbone="convnext", stored_ms=300), folder / "convnext.pk")
    save_ensemble(Ensemble([resnet, resnet], ["a", "b"]), folder / "ensemble.pk")
    return folder


@pytest.mark.parametrize("name", ["resnet", "original", "torchscript", "timm", "convnext"])
def test_encoder_and_rows_of_known_classes_are_those_of_the_file(models, name):
    path = models / f"{name}.pk"
    config = going_on_from(path)
    first = first_network(config, NOW, torch.device("cpu"))
    before = load_model(models / f"{'resnet' if name in ('original', 'torchscript') else name}.pk")
    expected, found = before.model.encoder.state_dict(), first.model.encoder.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    assert first.encoder_opts == before.encoder_opts, "of convnext no mean of ImageNet is added"
    head, old = first.model.classifier.linear, before.model.classifier.linear
    for class_name, row in (("A", 2), ("B", 0)):
        assert torch.equal(head.weight[NOW[class_name]], old.weight[row])
        assert torch.equal(head.bias[NOW[class_name]], old.bias[row])
    assert not any(torch.equal(head.weight[2], row) for row in old.weight)
    assert first.head_is_new
    assert config.signal == before.signal


def test_pooling_is_that_of_the_file(models, tmp_path):
    content = torch.load(models / "timm.pk", weights_only=True)
    content["classifierOpts"]["pooling"] = "max"
    torch.save(content, tmp_path / "max.pk")
    first = first_network(going_on_from(tmp_path / "max.pk"), NOW, torch.device("cpu"))
    assert first.model.classifier.pooling == first.classifier_opts["pooling"] == "max"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(["--sr", "44100"], "--sr 44100 contradicts", id="default-that-was-typed"),
        pytest.param(["--backbone", "resnet"], "trained with backbone timm:test_resnet", id="net"),
        pytest.param(["--no_min_max_norm"], "--min_max_norm False contradicts", id="normalised"),
        pytest.param(["--pretrained"], "--pretrained cannot be combined", id="pretrained"),
        pytest.param(["--backbone", "birdnet"], "of no use with --backbone birdnet", id="birdnet"),
    ],
)
def test_a_flag_against_the_file_is_refused_and_both_are_named(models, capsys, flags, said):
    line = refusal(capsys, "--init_from", str(models / "timm.pk"), *flags)
    assert said in line
    assert "--init_from" in line


def test_a_preset_gives_way_to_the_file(models):
    config = parse_config(["--preset", "recommended", "--init_from", str(models / "timm.pk")])
    assert (config.backbone, config.sr, config.pretrained) == (TINY, 16_000, False)
    assert (config.optimizer, config.freeze_batch_norm) == ("adamw", True), "are the preset's"
    longer = parse_config(["--init_from", str(models / "timm.pk"), "--sequence_len", "400"])
    assert longer.sequence_len == 400


def save_birdnet_head(path: Path) -> None:
    options = {"dim": 8, "hidden": 0}
    encoder = build_encoder("birdnet", options)
    content = make_content(BEFORE, backbone=TINY)
    head = {"input_channels": encoder.out_channels, "pooling": "avg", "num_classes": 3}
    model = build_model(encoder, Classifier(**head))
    save_model(
        ModelFile(model, options, head, content.signal, BEFORE, "birdnet", 3000, "none"), path
    )


def test_files_that_no_training_can_begin_from(models, capsys, tmp_path):
    save_birdnet_head(tmp_path / "birdnet.pk")
    (tmp_path / "text.pk").write_text("no model")
    other = torch.load(models / "timm.pk", weights_only=True)
    other["dataOpts"]["min_level_db"] = -80
    torch.save(other, tmp_path / "level.pk")
    expected = {
        models / "ensemble.pk": "is an ensemble of 2 networks",
        tmp_path / "birdnet.pk": "is a head on embeddings",
        tmp_path / "text.pk": "cannot be read",
        tmp_path / "level.pk": "min_level_db -80; this program trains with -100 only",
        tmp_path / "none.pk": "does not exist",
        tmp_path: "is not a file",
    }
    for path, said in expected.items():
        line = refusal(capsys, "--init_from", str(path))
        assert said in line
        assert str(path) in line


def test_learning_rates():
    """``--lr`` times batch is 4e-3: the network has a tenth of it, a head with new rows all."""
    encoder = torch.nn.Linear(2, 2)
    model = torch.nn.Sequential()
    model.add_module("encoder", encoder)
    model.add_module("classifier", torch.nn.Linear(2, 2))
    shared = {"lr": 1e-3, "batch_size": 4, "init_from": "m.pk"}

    def rates(*, head_is_new: bool, **more) -> list[float]:
        config = TrainConfig(**shared, **more)
        optimizer = build_optimizer(config, model, fused=False, head_is_new=head_is_new)
        if config.scheduler == "onecycle":
            build_scheduler(config, optimizer, 10)
            return [group["max_lr"] for group in optimizer.param_groups]
        return [group["lr"] for group in optimizer.param_groups]

    assert rates(head_is_new=True) == pytest.approx([4e-3, 4e-4])
    assert rates(head_is_new=False) == pytest.approx([4e-4])
    assert rates(head_is_new=False, backbone_lr_factor=0.5) == pytest.approx([4e-4, 2e-4])
    assert rates(head_is_new=True, init_lr_factor=1.0) == pytest.approx([4e-3])
    # Its highest rate is 10 times --lr, whatever the batch.
    assert rates(head_is_new=True, scheduler="onecycle") == pytest.approx([1e-2, 1e-3])
    assert rates(head_is_new=False, scheduler="onecycle") == pytest.approx([1e-3])


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_known_rows_of_a_head_with_new_ones_learn_as_slowly_as_the_network(optimizer):
    """Row 1 moves as it does in a head that is all known, row 0 as in one that is all new."""
    config = TrainConfig(
        **{"lr": 1e-2, "batch_size": 4, "init_from": "m.pk", "init_lr_factor": 0.25},
        **{"optimizer": optimizer, "weight_decay": 0.5 if optimizer == "adamw" else 0.0},
    )

    def trained(**rows) -> torch.nn.Linear:
        torch.manual_seed(0)
        model = torch.nn.Sequential()
        model.add_module("encoder", torch.nn.Identity())
        model.add_module("classifier", torch.nn.Linear(3, 2))
        descent = build_optimizer(config, model, fused=False, **rows)
        for step in range(5):
            descent.zero_grad()
            # A slope that does not depend on the weights, so that rows do not meddle.
            (model(torch.eye(3) + step) * torch.tensor([1.0, -2.0])).sum().backward()
            descent.step()
        return model.classifier

    mixed = trained(head_is_new=True, known_rows=[1])
    new, known = trained(head_is_new=True), trained(head_is_new=False, known_rows=[0, 1])
    assert torch.equal(mixed.weight[0], new.weight[0])
    torch.testing.assert_close(mixed.weight[1], known.weight[1])
    torch.testing.assert_close(mixed.bias, torch.stack([new.bias[0], known.bias[1]]))
    assert not torch.allclose(new.weight[1], known.weight[1], atol=1e-3)


@pytest.fixture(scope="module")
def source(corpus, tmp_path_factory) -> Path:
    """A model of the classes A, B and noise that was trained here, and the split of its clips."""
    run = tmp_path_factory.mktemp("source")
    train(corpus, run, *SMALL, "--max_train_epochs", "1")
    return run / "model" / "ANIMAL-SPOT.pk"


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    """Clips of two of its classes and of a new one."""
    classes = {"C": TAPES, "A": TAPES, "noise": TAPES}
    return make_corpus(tmp_path_factory.mktemp("others") / "data", classes)


def test_a_run_of_no_epochs_keeps_the_network_and_tells_what_it_is(source, others, tmp_path):
    flags = ("--init_from", str(source), *RUN, "--max_train_epochs", "0")
    result = run_main("--data_dir", str(others), *folders(tmp_path), *flags)
    assert result.returncode == 0, result.stderr
    before = torch.load(source, weights_only=True)
    after = torch.load(tmp_path / "model" / "ANIMAL-SPOT.pk", weights_only=True)
    for key in ("encoderOpts", "dataOpts", "backbone", "normalization", "sequence_len_ms"):
        assert after[key] == before[key]
    assert all(torch.equal(v, before["encoderState"][k]) for k, v in after["encoderState"].items())
    weights, old = (c["classifierState"]["linear.weight"] for c in (after, before))
    for name in ("A", "noise"):
        assert torch.equal(weights[after["classes"][name]], old[before["classes"][name]])
    origin = {"file": "ANIMAL-SPOT.pk", "sha256": sha256_of(source)}
    assert after["init_from"] == origin
    assert load_model(tmp_path / "model" / "ANIMAL-SPOT.pk").extra["init_from"] == origin
    results = json.loads((tmp_path / "model" / "results.json").read_text())
    assert results["init_from"] == origin
    left_out, split = results["warnings"][-2:]
    assert left_out.endswith("will not know them: B")
    assert "trained on another split" in split
    for said in ("classes that it knows: A, noise\n", "classes that are new to it: C\n", left_out):
        assert said in result.stderr


def test_same_split_and_classes_are_no_reason_to_warn(source, corpus, tmp_path):
    said = train(corpus, tmp_path, "--init_from", str(source), *RUN, "--max_train_epochs", "1")
    assert "flatter" not in said
    assert "new to it" not in said
    assert "|lr:4.00e-05|" in said, "a tenth of --lr times batch, the last layer too"


def test_a_share_of_the_old_weights_is_kept(source, corpus, tmp_path):
    kept = {}
    for share in ("0", "0.25"):
        more = ("--init_from", str(source), "--init_lr_factor", "10", "--init_share", share)
        train(corpus, tmp_path / share, *more, *RUN, "--max_train_epochs", "1")
        kept[share] = load_model(tmp_path / share / "model" / "ANIMAL-SPOT.pk").model.state_dict()
    moved = 0.0
    for name, value in load_model(source).model.state_dict().items():
        if value.is_floating_point():
            expected = 0.25 * value + 0.75 * kept["0"][name]
            torch.testing.assert_close(kept["0.25"][name], expected, rtol=1e-4, atol=1e-6)
            moved = max(moved, float((kept["0"][name] - value).abs().max()))
    assert moved > 1e-3


def test_weights_of_new_classes_have_no_before(source, others, tmp_path):
    flags = ("--init_from", str(source), *RUN, "--max_train_epochs", "0", "--init_share", "0.25")
    assert "--init_share does not count" in train(others, tmp_path, *flags)


def test_folds_are_warned_of(source, others, tmp_path):
    flags = ("--init_from", str(source), *RUN, "--max_train_epochs", "0", "--folds", "2")
    said = train(others, tmp_path, *flags)
    assert said.count("may have heard clips that the folds judge") == 1


def test_killed_run_ends_with_the_same_bits_and_another_file_is_refused(source, others, tmp_path):
    model = shutil.copy(source, tmp_path / "start.pk")
    flags = ("--init_from", str(model), *RUN, "--max_train_epochs", "3", "--freeze_batch_norm")
    train(others, tmp_path / "whole", *flags)
    moved = (*flags[:1], str(source), *flags[2:])  # the same bytes elsewhere
    train_until_killed("|I|val|0|loss", others, tmp_path / "killed", *flags)
    save_model(make_content(BEFORE, backbone=TINY, stored_ms=320), model)
    arguments = ("--data_dir", str(others), *folders(tmp_path / "killed"), *flags)
    line = only_error(main_here(*arguments).stderr)
    assert f"--init_from was sha256 {sha256_of(source)}, now sha256 {sha256_of(model)}" in line
    train(others, tmp_path / "killed", *moved)
    assert_same(tmp_path / "killed", tmp_path / "whole")
    said = train(others, tmp_path / "killed", *moved)
    assert "finished already" in said


def test_its_own_model_folder_is_refused(source, others):
    flags = (*RUN, "--init_from", str(source), "--start_from_scratch")
    before = source.read_bytes()
    result = main_here("--data_dir", str(others), *flags, "--model_dir", str(source.parent))
    assert result.returncode != 0
    assert "would be replaced by the model that comes of it" in only_error(result.stderr)
    assert source.read_bytes() == before
