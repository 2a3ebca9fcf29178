"""Networks on embeddings in the programs: training, prediction, folds, ensembles, calibration."""

import csv
import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from optuna.trial import FixedTrial
from sklearn.metrics import confusion_matrix
from tensorboard.compat.proto.event_pb2 import Event

from animal_spot.audio.clip_files import read_waveform
from animal_spot.embeddings.embedding_model import EmbeddingModel
from animal_spot.experiments.search_space import suggest
from animal_spot.model_files.ensemble_file import load_ensemble
from animal_spot.model_files.model_file import load_model, save_model
from animal_spot.training.config import TrainConfig, parse_config
from animal_spot.training.head_trainer import L2_GRID, L2_GRID_HIDDEN
from tests.helpers.clips import make_corpus
from tests.helpers.embeddings import N_SAMPLES, RATE, expected_embedding, write_model
from tests.helpers.places import ROOT
from tests.helpers.prediction import (
    make_content,
    messages,
    only_error,
    predict_here,
    predict_into,
    sound,
    write_sound,
)
from tests.helpers.programs import run_process
from tests.helpers.training import TAPES, folders, main_here

CLASSES = ("A", "B", "noise")
TOLERANCE = 1e-4  # of a probability; float32 sums in another order


@dataclass
class Run:
    base: Path
    data: Path
    embeddings: Path
    result: subprocess.CompletedProcess

    @property
    def model(self) -> Path:
        return self.base / "run" / "model" / "ANIMAL-SPOT.pk"

    @property
    def results(self) -> dict:
        return json.loads((self.model.parent / "results.json").read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run on clips shorter than a window of the embedding model."""
    base = tmp_path_factory.mktemp("embedding")
    data = make_corpus(base / "data", {name: TAPES for name in CLASSES}, rate=RATE)
    (data / "A" / "A-empty_1_2020_X2_0_1.wav").write_bytes(b"")
    embeddings = write_model(base / "tiny.onnx")
    result = main_here(
        *("--backbone", "birdnet", "--embedding_model", str(embeddings), "--calibrate"),
        *("--data_dir", str(data), *folders(base / "run")),
        *("--sequence_len", "500", "--lr", "1e-3", "--augmentation"),
    )
    assert result.returncode == 0, result.stderr
    return Run(base, data, embeddings, result)


def clip_probabilities(model: Path, paths: list[Path]) -> np.ndarray:
    """Classify clips from the closed form of the embedding and the numbers in the file."""
    content = torch.load(model, weights_only=True)
    windows = np.zeros((len(paths), N_SAMPLES))
    for row, path in zip(windows, paths, strict=True):
        samples = read_waveform(path, RATE)[0].numpy()
        before = (N_SAMPLES - len(samples)) // 2
        row[before : before + len(samples)] = samples
    state = content["encoderState"]
    x = (expected_embedding(windows) - state["mean"].numpy()) / state["std"].numpy()
    if "hidden.weight" in state:
        x = np.maximum(0, x @ state["hidden.weight"].numpy().T + state["hidden.bias"].numpy())
    head = content["classifierState"]
    logits = x @ head["linear.weight"].numpy().T + head["linear.bias"].numpy()
    logits /= content["temperature"]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


# -- what training leaves -------------------------------------------------------------------------


@pytest.mark.slow
def test_results_are_those_of_the_saved_network(run):
    names = (run.data / "test").read_text().split()
    clips = [line for name in names for line in (run.data / name).read_text().split()]
    p = clip_probabilities(run.model, [run.data / clip for clip in clips])
    labels = [CLASSES.index(Path(clip).name.split("-")[0]) for clip in clips]
    found = run.results["partitions"]["test"]["confusion_matrix"]
    np.testing.assert_array_equal(found, confusion_matrix(labels, p.argmax(1), labels=range(3)))
    assert run.results["partitions"]["test"]["macro_accuracy"] == 1.0, "tones are easily told apart"
    assert run.results["precision"] == "fp32"
    hidden = torch.load(run.model, weights_only=True)["encoderOpts"]["hidden"]
    assert run.results["head"]["hidden"] == hidden
    assert run.results["head"]["l2"] in L2_GRID + L2_GRID_HIDDEN
    assert set(run.results["calibration"]["partitions"]) == {"val", "test"}


@pytest.mark.slow
def test_model_file_says_which_embeddings_it_needs(run):
    content = torch.load(run.model, weights_only=True)
    info = EmbeddingModel(run.embeddings).info
    options = content["encoderOpts"]
    assert content["backbone"] == "birdnet"
    assert (options["sha256"], options["output"]) == (info.sha256, "embedding")
    assert (options["embedding_model"], options["sample_rate"]) == ("tiny", RATE)
    assert (options["n_samples"], options["dim"]) == (N_SAMPLES, 12)
    assert (content["sequence_len_ms"], content["normalization"]) == (500, "none")
    assert (content["dataOpts"]["sr"], content["dataOpts"]["fmax"]) == (RATE, RATE // 2)


def scalar_tags(path: Path) -> set[str]:
    """Read an event file by hand: TensorBoard's own reader loads TensorFlow."""
    content, position, tags = path.read_bytes(), 0, set()
    while position < len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        event = Event.FromString(content[position + 12 : position + 12 + length])
        tags |= {value.tag for value in event.summary.value}
        position += length + 16
    return tags


@pytest.mark.slow
def test_log_and_tensorboard_are_as_with_other_networks(run):
    log = (run.base / "run" / "log" / "TRAIN.log").read_text()
    assert re.search(r"\|I\|val\|0\|loss:\d\.\d{3}\|accuracy:", log)
    assert re.search(r"\|I\|test\|0\|per_class_accuracy\|A:\d\.\d{3}\|B:", log)
    assert "accuracy per class on test" in log
    assert "no checkpoints are kept" in log
    (warning,) = [w for w in messages(run.result.stderr, "W") if "has no use for" in w]
    assert warning.endswith("has no use for --lr, --augmentation")
    with open(run.base / "run" / "log" / "excluded_files.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == ["A/A-empty_1_2020_X2_0_1.wav"]
    (events,) = (run.base / "run" / "summary").glob("*/events.out.tfevents.*")
    scalars = scalar_tags(events)
    assert {"val/mean_per_class_accuracy", "test/per_class_accuracy/noise"} <= set(scalars)
    assert "final/test_macro_accuracy" in scalars


@pytest.mark.slow
def test_the_same_again_gives_the_same_and_computes_no_embedding(run, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("an embedding was computed again")

    monkeypatch.setattr(EmbeddingModel, "_embed_one", refuse)
    again = main_here(
        *("--backbone", "birdnet", "--embedding_model", str(run.embeddings), "--calibrate"),
        *("--data_dir", str(run.data), "--model_dir", str(tmp_path / "model")),
        *("--summary_dir", str(tmp_path), "--cache_dir", str(run.base / "run" / "cache")),
        *("--sequence_len", "500"),
    )
    assert again.returncode == 0, again.stderr
    one, other = (
        torch.load(path, weights_only=True)
        for path in (run.model, tmp_path / "model" / "ANIMAL-SPOT.pk")
    )
    for part in ("encoderState", "classifierState"):
        assert all(torch.equal(one[part][key], other[part][key]) for key in one[part])


@pytest.mark.slow
def test_views_with_noise_train_another_network(run, tmp_path):
    result = main_here(
        *("--backbone", "birdnet", "--embedding_model", str(run.embeddings)),
        *("--embedding_views", "2", "--noise_from_class", "noise", "--embedding_head", "hidden"),
        *("--embedding_l2", "0.1", "--sequence_len", "500"),
        *("--data_dir", str(run.data), "--model_dir", str(tmp_path / "model")),
        *("--summary_dir", str(tmp_path)),
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"2 views of each training clip, \d+ noise clips", result.stderr)
    assert "has no use for" not in result.stderr
    content = load_model(tmp_path / "model" / "ANIMAL-SPOT.pk")
    assert content.encoder_opts["hidden"] == content.model.encoder.out_channels == 64
    assert not torch.equal(content.model.encoder.mean, load_model(run.model).model.encoder.mean)


# -- prediction ------------------------------------------------------------------------------------


def predict_csv(run, folder: Path, *arguments) -> np.ndarray:
    """Predict with the run's model; return the probabilities of the one recording."""
    status = predict_here(
        *("--model_path", run.model, "--embedding_model", run.embeddings),
        *("--output_dir", folder, "--format", "csv", "--threshold", "0.5", *arguments),
        plain=False,
    )
    assert status == 0
    (path,) = folder.glob("*_predict_output.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in rows])


@pytest.mark.slow
def test_prediction_is_that_of_each_window_alone(run, tmp_path):
    wav = write_sound(tmp_path / "a.wav", 3, rate=RATE)
    found = predict_csv(run, tmp_path / "out", "--input_file", wav, "--hop", "0.2")
    samples = sf.read(wav, dtype="float32")[0]
    starts = range(0, len(samples) - N_SAMPLES + 1, 3200)
    windows = []
    for k, start in enumerate(starts):
        sf.write(tmp_path / f"w{k}.wav", samples[start : start + N_SAMPLES], RATE, subtype="FLOAT")
        windows.append(tmp_path / f"w{k}.wav")
    wanted = clip_probabilities(run.model, windows)
    assert len(found) == len(wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_another_embedding_model_is_refused(run, tmp_path, capsys):
    wrong = write_model(tmp_path / "wrong.onnx", factor=2.0)
    wav = write_sound(tmp_path / "a.wav", 1)
    arguments = ("--model_path", run.model, "--input_file", wav, "--embedding_model", wrong)
    assert predict_here(*arguments, plain=False) == 1
    said = only_error(capsys.readouterr().err)
    assert "was trained on embeddings of tiny (SHA-256" in said
    assert "wrong.onnx is another file" in said
    # The right one among several is found.
    assert predict_here(*arguments, run.embeddings, plain=False) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--visualize", "--output_dir", "out"), "--visualize draws", id="visualize"),
        pytest.param(("--export", "onnx", "x.onnx"), "cannot be exported", id="export"),
    ],
)
def test_what_embeddings_have_not_is_refused(
    run, tmp_path, arguments, message, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    wav = write_sound(tmp_path / "a.wav", 1)
    assert (
        predict_here(*("--model_path", run.model, "--input_file", wav, *arguments), plain=False)
        == 1
    )
    assert message in only_error(capsys.readouterr().err)
    assert not (tmp_path / "x.onnx").exists()


# -- the other programs ---------------------------------------------------------------------------


@pytest.mark.slow
def test_folds_judge_every_clip(run, tmp_path):
    result = main_here(
        *("--backbone", "birdnet", "--embedding_model", str(run.embeddings), "--folds", "3"),
        *("--data_dir", str(run.data), "--model_dir", str(tmp_path / "model")),
        *("--summary_dir", str(tmp_path / "s"), "--sequence_len", "500", "--embedding_l2", "0.1"),
    )
    assert result.returncode == 0, result.stderr
    pooled = json.loads((tmp_path / "model" / "results.json").read_text())
    assert len(pooled["clips"]) == len(CLASSES) * len(TAPES)
    assert pooled["pooled"]["macro_accuracy"] > 0.8


@pytest.mark.slow
def test_ensemble_with_a_resnet_is_judged_calibrated_and_used(run, tmp_path, capsys):
    from animal_spot import calibrate, ensemble

    other = make_content({name: i for i, name in enumerate(CLASSES)}, seed=1, stored_ms=500)
    other.extra = {"split": torch.load(run.model, weights_only=True)["split"]}
    save_model(other, tmp_path / "resnet.pk")
    common = ("--data_dir", run.data, "--num_workers", 0, "--no_cuda")
    found = ("--embedding_model", run.embeddings)

    def call(program, *arguments) -> int:
        return program.main([str(argument) for argument in (*arguments, *common)])

    models = (run.model, tmp_path / "resnet.pk")
    both, hot = tmp_path / "both.pk", tmp_path / "hot.pk"
    assert call(ensemble, *models, "--output", both) == 1
    assert "name the right file with --embedding_model" in only_error(capsys.readouterr().err)
    assert call(ensemble, *models, "--output", both, *found) == 0
    printed = capsys.readouterr()
    assert "trained on" not in printed.err, "it is this split"
    row = next(line for line in printed.out.splitlines() if line.startswith("ANIMAL-SPOT.pk"))
    assert row.split()[1] == "100.0%"
    assert [member.backbone for member in load_ensemble(both)] == ["birdnet", "resnet"]
    assert call(calibrate, both, "--output", hot, *found) == 0
    wav = write_sound(tmp_path / "a.wav", 2)
    predict_into(hot, wav, tmp_path / "out", *found, plain=False)
    assert (tmp_path / "out" / "a_predict_output.log").is_file()


def test_search_draws_head_and_l2_alone():
    drawn = suggest(
        FixedTrial({"embedding_head": "hidden", "embedding_l2": 0.5}),
        TrainConfig(backbone="birdnet"),
    )
    assert drawn == {"embedding_head": "hidden", "embedding_l2": 0.5}


# -- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["--embedding_views", "2"], "needs --backbone birdnet", id="views"),
        pytest.param(["--embedding_model", "x"], "needs --backbone birdnet", id="model"),
        pytest.param(["--backbone", "birdnet", "--pretrained"], "of no use with", id="pretrained"),
        pytest.param(["--backbone", "birdnet", "--jit_save"], "of no use with", id="jit"),
        pytest.param(
            ["--backbone", "birdnet", "--embedding_l2", "-1"], "must be at least 0", id="l2"
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_config(argv)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_clips_are_heard_for_three_seconds_unless_said():
    assert parse_config(["--backbone", "birdnet"]).sequence_len == 3000
    assert parse_config(["--backbone", "birdnet", "--sequence_len", "1280"]).sequence_len == 1280
    assert parse_config([]).sequence_len == 1280
    config = parse_config(["--preset", "few_clips", "--max_train_epochs", "3"])
    assert (config.sequence_len, config.val_metric) == (3000, "macro_accuracy")
    assert config.unused == ["--max_train_epochs"]


def test_missing_embedding_model_ends_in_one_line(tmp_path):
    make_corpus(tmp_path / "data", {name: TAPES[:3] for name in CLASSES}, rate=RATE)
    result = main_here(
        *("--backbone", "birdnet", "--embedding_model", str(tmp_path / "none.tflite")),
        *("--data_dir", str(tmp_path / "data"), "--model_dir", str(tmp_path / "model")),
    )
    assert result.returncode == 1
    assert "none.tflite cannot be read: No such file" in only_error(result.stderr)


# -- BirdNET itself --------------------------------------------------------------------------------


@pytest.mark.slow
def test_script_trains_and_predicts_with_birdnet(birdnet, tmp_path):
    make_corpus(tmp_path / "clips", {name: TAPES[:3] for name in CLASSES}, rate=RATE)
    command = ["bash", str(ROOT / "TRAINING" / "train_few_clips.sh"), "--embedding_head", "linear"]
    environment = {k: v for k, v in os.environ.items() if k not in ("EPOCHS", "CACHE_DIR")} | {
        "DATA_DIR": "clips",
        "OUTPUT_DIR": "out",
        "NUM_WORKERS": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    result = run_process(*command, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert "CC BY-NC-SA 4.0: not for commercial use" in result.stderr
    (made,) = (tmp_path / "out").iterdir()
    wav = tmp_path / "long.wav"
    sf.write(wav, sound(7, rate=44_100), 44_100)
    predict_into(
        *(made / "model" / "ANIMAL-SPOT.pk", wav, tmp_path / "found", "--format", "csv"),
        "--last_window",
        plain=False,
    )
    with open(tmp_path / "found" / "long_predict_output.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4, "hop 1.5 s: at 0, 1.5, 3 and the last one"
