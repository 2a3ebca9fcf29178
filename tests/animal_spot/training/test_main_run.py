"""main.py as a process: what a whole run leaves behind."""

import csv
import json
import math
import re

import pytest
import torch
from sklearn.metrics import confusion_matrix

from tests.helpers.clips import make_corpus
from tests.helpers.events import read_events
from tests.helpers.training import (
    RESNET,
    SMALL,
    TAPES,
    assert_same,
    folders,
    main_here,
    run_main,
    train,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on three classes, one of them rare, with a bad clip of each kind among them."""
    base = tmp_path_factory.mktemp("finished")
    data = make_corpus(base / "data", {"A": TAPES, "B": TAPES, "noise": TAPES[:4]})
    clips = sorted((data / "A").glob("*.wav"))
    (data / "A" / "A-text_1_2020_X1_0_1.wav").write_text("no sound at all")
    (data / "A" / "A-empty_1_2020_X2_0_1.wav").write_bytes(b"")
    (data / "A" / "A-cut_1_2020_X3_0_1.wav").write_bytes(clips[0].read_bytes()[:3000])
    (data / "A" / "nameless.wav").write_bytes(clips[0].read_bytes())
    before = {p: p.read_bytes() for p in data.rglob("*.wav")}
    result = run_main(
        *("--data_dir", str(data), *folders(base / "run"), *SMALL, *RESNET),
        *("--max_train_epochs", "3", "--augmentation", "--debug"),
    )
    assert result.returncode == 0, result.stderr
    assert {p: p.read_bytes() for p in data.rglob("*.wav")} == before, "a clip was touched"
    return base, result


def test_log_has_the_lines_that_other_programs_read(finished):
    base, result = finished
    log = (base / "run" / "log" / "TRAIN.log").read_text()
    number = r"\d+\.\d{3}"
    for epoch in range(3):
        line = (
            rf"^\d\d:\d\d:\d\d\|I\|train\|{epoch}\|loss:{number}\|accuracy:{number}"
            rf"\|mean_per_class_acc:{number}\|lr:\d\.\d\de-\d\d\|t:\d+\.\d$"
        )
        assert len(re.findall(line, log, re.MULTILINE)) == 1
    evaluated = (
        rf"^\d\d:\d\d:\d\d\|I\|(val|test)\|(\d)\|loss:{number}\|accuracy:{number}"
        rf"\|mean_per_class_acc:{number}\|t:\d+\.\d$"
    )
    assert re.findall(evaluated, log, re.MULTILINE) == [("val", "0"), ("val", "2"), ("test", "0")]
    assert re.search(r"\|I\|val\|2\|per_class_accuracy\|A:\d\.\d{3}\|B:\d\.\d{3}\|noise:", log)
    assert re.search(r"\|D\|train\|0\|start$", log, re.MULTILINE)
    # The description of the network, over several lines, is in the file alone.
    said = re.findall(r"^\d\d:\d\d:\d\d\|(?!D\|Sequential\().*$", log, re.MULTILINE)
    assert said == result.stderr.splitlines()[-len(said) :]


def test_bad_clips_are_listed_with_their_reasons(finished):
    base, result = finished
    with open(base / "run" / "log" / "excluded_files.csv", newline="") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert {name: reason.split(":")[0] for name, reason in rows.items()} == {
        "A/A-text_1_2020_X1_0_1.wav": "unreadable",
        "A/A-empty_1_2020_X2_0_1.wav": "empty",
        "A/A-cut_1_2020_X3_0_1.wav": "truncated",
        "A/nameless.wav": "badly named",
    }
    assert "4 files are left out" in result.stderr


def test_results_agree_with_scikit_learn_on_the_saved_network(finished):
    """Load the model file as any program may and classify the test clips anew."""
    from animal_spot.audio.clip_files import read_waveform
    from animal_spot.audio.dsp import fit_length
    from animal_spot.audio.spectrograms import SpectrogramPipeline
    from animal_spot.model_files.model_file import load_model

    base, _ = finished
    results = json.loads((base / "run" / "model" / "results.json").read_text())
    content = load_model(base / "run" / "model" / "ANIMAL-SPOT.pk")
    assert content.classes == {"A": 0, "B": 1, "noise": 2} == results["classes"]
    assert (content.sequence_len_ms, content.normalization) == (320, "db_range")
    pipeline = SpectrogramPipeline(content.signal)
    content.model.eval()
    true, predicted, wrong = [], [], []
    for csv_name in (base / "data" / "test").read_text().split():
        for row in (base / "data" / csv_name).read_text().split():
            waveform = read_waveform(base / "data" / row, content.signal.sr)
            features = fit_length(pipeline.features(waveform), 32)
            with torch.no_grad():
                index = int(content.model(features[None]).argmax())
            true.append(content.classes[row.split("/")[-1].split("-")[0]])
            predicted.append(index)
            if true[-1] != index:
                wrong.append(row)
    entry = results["partitions"]["test"]
    assert entry["confusion_matrix"] == confusion_matrix(true, predicted, labels=[0, 1, 2]).tolist()
    assert sorted(w["file"] for w in entry["wrong_clips"]) == sorted(wrong)
    assert set(content.extra["metrics"]) == {"val_loss", "val_accuracy", "val_macro_accuracy"}


def test_table_per_class_is_shown(finished):
    base, result = finished
    results = json.loads((base / "run" / "model" / "results.json").read_text())
    for row in results["partitions"]["test"]["classes"]:
        low, high = row["interval_95"]
        shown = rf"{row['class']} +{row['clips']} +{row['correct']} +{row['accuracy']:.1%} +"
        assert re.search(shown + f"{low:.1%} to {high:.1%}", result.stderr)
    assert "mean of classes" in result.stderr


def test_tensorboard_has_every_tag(finished):
    base, _ = finished
    found = read_events(base / "run" / "summary")
    scalars = set(found.Tags()["scalars"])
    for phase in ("train", "val", "test"):
        assert {
            f"{phase}/{name}"
            for name in (
                "epoch_loss",
                "accuracy",
                "mean_per_class_accuracy",
                "per_class_accuracy/A",
                "per_class_accuracy/B",
                "time",
                "data_loading_time",
            )
        } <= scalars
        images = set(found.Tags()["images"])
        assert {
            f"{phase}_confusion_matrix_{kind}"
            for kind in ("norm/cm_numbered", "norm/cm", "raw/cm_numbered")
        } <= images
    assert "lr" in scalars
    assert any(re.fullmatch(r"test/(true|false)_-_\w+_as_\w+", tag) for tag in images)
    assert [e.step for e in found.Scalars("val/accuracy")] == [0, 2]
    results = json.loads((base / "run" / "model" / "results.json").read_text())
    assert found.Scalars("test/accuracy")[0].value == pytest.approx(
        results["partitions"]["test"]["accuracy"]
    )
    for row in results["partitions"]["test"]["classes"]:
        (event,) = found.Scalars(f"test/per_class_accuracy/{row['class']}")
        assert event.value == pytest.approx(row["accuracy"])
    assert found.Scalars("final/test_accuracy")


def test_run_folder_and_checkpoints_are_named_as_before(finished):
    base, _ = finished
    (run,) = (base / "run" / "summary").iterdir()
    assert re.match(r"multi_class_3_classifier_\d\d-\d\d-\d\d-\d\d-\d\d-", run.name)
    names = sorted(p.name for p in (base / "run" / "checkpoint").iterdir())
    assert names == [f"multi_class_3_classifier_epoch_{e:05d}.checkpoint" for e in (0, 2)]


def test_two_classes_relative_paths_and_torchscript(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_corpus(tmp_path / "clips", {"target": TAPES, "noise": TAPES})
    arguments = (*SMALL, *RESNET, "--max_train_epochs", "1", "--jit_save", "--min_max_norm")
    result = main_here(
        *("--data_dir", "clips", "--model_dir", "out/model", "--summary_dir", "out/tb"), *arguments
    )
    assert result.returncode == 0, result.stderr
    extra = {"classes": ""}
    network = torch.jit.load(tmp_path / "out/model/ANIMAL-SPOT.pk", _extra_files=extra)
    assert network(torch.zeros(2, 1, 50, 32)).shape == (2, 2)
    assert extra["classes"] == b"{'noise': 0, 'target': 1}"
    (run,) = (tmp_path / "out/tb").iterdir()
    assert run.name.startswith("binary_classifier_")
    found = read_events(run)
    scalars = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    counts = [scalars[f"test/{name}"] for name in ("tp", "tn", "fp", "fn")]
    assert sum(counts) == sum(
        len((tmp_path / "clips" / name).read_text().split())
        for name in (tmp_path / "clips/test").read_text().split()
    )
    assert {"test/f1", "test/precision", "test/TPR", "test/FPR", "test/auc"} <= set(scalars)
    assert "test_roc/roc" in found.Tags()["images"]
    line = r"\|test\|0\|loss:[\d.]+\|tp:\d+\.000\|tn:\d+\.000\|fp:.*\|FPR:[\d.]+\|t:[\d.]+$"
    assert re.search(line, result.stderr, re.MULTILINE)


def test_no_epoch_tests_and_saves_the_untrained_network(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "C": TAPES})
    train(data, tmp_path, *SMALL, "--max_train_epochs", "0")
    assert (tmp_path / "model" / "ANIMAL-SPOT.pk").is_file()


@pytest.mark.parametrize("metric", ["macro_accuracy", "loss"])
def test_best_epoch_is_the_one_with_the_best_wanted_metric(tmp_path, metric):
    data = make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "C": TAPES[:5]})
    options = ("--max_train_epochs", "4", "--epochs_per_eval", "1", "--val_metric", metric)
    train(data, tmp_path, *SMALL, *options)
    found = read_events(tmp_path / "summary")
    tag = {"macro_accuracy": "val/mean_per_class_accuracy", "loss": "val/epoch_loss"}[metric]
    best = (min if metric == "loss" else max)(e.value for e in found.Scalars(tag))
    results = json.loads((tmp_path / "model" / "results.json").read_text())
    assert math.isclose(results["partitions"]["val"][metric], best, rel_tol=1e-5)


def test_learning_rate_is_multiplied_by_the_batch_size(finished):
    base, _ = finished
    assert read_events(base / "run" / "summary").Scalars("lr")[0].value == pytest.approx(4e-4)


@pytest.mark.slow
def test_convnext_run(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    said = train(data, tmp_path, *SMALL, "--max_train_epochs", "1", "--backbone", "convnext")
    content = torch.load(tmp_path / "model" / "ANIMAL-SPOT.pk", weights_only=True)
    assert content["backbone"] == "convnext"
    assert len(content["encoderState"]) == 178
    assert "ConvNeXt-tiny, random start" in said


def test_bf16_training_of_narrow_spectrograms_has_the_same_bits_twice(corpus, tmp_path):
    """16 bins are a side of 1 in the last blocks, where most weights of a kernel meet padding."""
    flags = (*SMALL, *RESNET, "--n_freq_bins", "16", "--sequence_len", "600")
    flags += ("--precision", "bf16", "--no_cuda", "--max_train_epochs", "2")
    for run in ("a", "b"):
        held = [torch.full((size,), torch.nan) for size in (2**18, 2**20, 2**21) * 4]
        del held  # memory that holds NaN
        train(corpus, tmp_path / run, *flags)
    assert_same(tmp_path / "a", tmp_path / "b")
