"""The shell scripts and the demo corpus, as a user calls them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from tests.helpers.clips import make_corpus
from tests.helpers.places import ROOT
from tests.helpers.programs import run_process, run_program
from tests.helpers.training import TAPES

SCRIPTS = (
    *("train_resnet18", "train_convnext_pretrained", "train_convnext", "train_transfer"),
    *("train_few_clips", "train_ensemble", "train_recommended", "train_from_scratch"),
)
TINY = (
    *("--sr", "16000", "--n_fft", "256", "--hop_length", "160", "--n_freq_bins", "32"),
    *("--fmin", "200", "--fmax", "7000", "--sequence_len", "320"),
)
SMALL = (*TINY, "--backbone", "timm:test_resnet", "--no_report")


@pytest.fixture
def environment(monkeypatch):
    """The environment without what the scripts read, python3 being the tests' own."""
    kept = {k: v for k, v in os.environ.items() if k not in ("DATA_DIR", "OUTPUT_DIR", "EPOCHS")}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return kept | {"NUM_WORKERS": "0"}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["encoderState"]


def run_script(name: str, *arguments: str, cwd: Path, env: dict) -> subprocess.CompletedProcess:
    return run_process("bash", ROOT / "TRAINING" / f"{name}.sh", *arguments, cwd=cwd, env=env)


@pytest.mark.parametrize("name", SCRIPTS)
def test_without_data_the_demo_corpus_is_offered(name, tmp_path, environment):
    result = run_script(name, cwd=tmp_path, env=environment)
    assert result.returncode == 1
    assert "DATA_DIR is not set" in result.stderr
    assert "demo-data" in result.stderr


def test_wrong_data_folder(tmp_path, environment):
    result = run_script(
        "train_resnet18", cwd=tmp_path, env=environment | {"DATA_DIR": "/no/such folder"}
    )
    assert result.returncode == 1
    assert "/no/such folder does not exist" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_resnet18", "train_convnext"])
def test_script_trains_from_any_folder(name, tmp_path, environment):
    make_corpus(tmp_path / "my clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    result = run_script(
        name,
        *TINY,
        cwd=tmp_path,
        env=environment | {"DATA_DIR": "my clips", "OUTPUT_DIR": "my out", "EPOCHS": "1"},
    )
    assert result.returncode == 0, result.stderr
    (run,) = (tmp_path / "my out").iterdir()
    assert re.fullmatch(rf"{name[6:]}_\d{{4}}-\d\d-\d\d_\d\d-\d\d", run.name)
    assert sorted(p.name for p in run.iterdir()) == ["checkpoints", "logs", "model", "summaries"]
    assert (run / "model" / "ANIMAL-SPOT.pk").is_file()
    assert list(run.glob("summaries/*/events.out.tfevents.*"))
    rate = {"train_resnet18": "4.00e-05", "train_convnext": "8.00e-06"}[name]
    assert f"|lr:{rate}|" in (run / "logs" / "TRAIN.log").read_text()


@pytest.mark.slow
def test_interrupted_script_run_is_gone_on_with(tmp_path, environment):
    make_corpus(tmp_path / "clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    environment |= {"DATA_DIR": "clips", "OUTPUT_DIR": "out", "EPOCHS": "1"}
    assert run_script("train_resnet18", *SMALL, cwd=tmp_path, env=environment).returncode == 0
    (run,) = (tmp_path / "out").iterdir()
    environment |= {"RESUME": f"out/{run.name}", "EPOCHS": "2"}
    result = run_script("train_resnet18", *SMALL, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    assert "going on with epoch 1" in result.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == [run.name]
    wrong = run_script("train_resnet18", cwd=tmp_path, env=environment | {"RESUME": "clips"})
    assert wrong.returncode == 1
    assert "RESUME clips is not the folder of a run" in wrong.stderr


@pytest.mark.slow
def test_ensemble_script_trains_all_members_and_goes_on(tmp_path, environment):
    make_corpus(tmp_path / "clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    environment |= {"DATA_DIR": "clips", "OUTPUT_DIR": "out", "EPOCHS": "1"}
    environment |= {"MEMBERS": "resnet18", "SEEDS": "0 5"}
    environment |= {"ANIMAL_SPOT_CORES": "2", "OMP_NUM_THREADS": "1"}
    broken = run_script("train_ensemble", "--no_such_flag", cwd=tmp_path, env=environment)
    assert broken.returncode == 1
    assert broken.stderr.splitlines()[-1].startswith("to go on with all networks: RESUME='out/")
    assert "and the same command" not in "".join(broken.stderr.splitlines()[:-1])

    result = run_script("train_ensemble", *SMALL, cwd=tmp_path, env=environment)
    assert result.returncode == 0, result.stderr
    (run,) = (tmp_path / "out").iterdir()
    names = ["MODEL_CARD_ensemble.md", "ensemble.json", "ensemble.pk", "resnet18_0", "resnet18_5"]
    assert sorted(p.name for p in run.iterdir() if p.name[0] != ".") == names
    assert re.search(r"^average .*%", result.stdout, re.MULTILINE)
    assert "seed 5" in (run / "resnet18_5" / "logs" / "TRAIN.log").read_text()

    # As if it had been killed while the second network was written.
    first = (run / "resnet18_0" / "model" / "ANIMAL-SPOT.pk").stat().st_mtime_ns
    for name in ("ensemble.pk", "ensemble.json", "resnet18_5/model/results.json"):
        (run / name).unlink()
    environment |= {"RESUME": f"out/{run.name}"}
    again = run_script("train_ensemble", *SMALL, cwd=tmp_path, env=environment)
    assert again.returncode == 0, again.stderr
    assert sorted(p.name for p in run.iterdir() if p.name[0] != ".") == names
    assert (run / "resnet18_5" / "model" / "results.json").is_file()
    assert (run / "resnet18_0" / "model" / "ANIMAL-SPOT.pk").stat().st_mtime_ns == first

    del environment["RESUME"]
    environment |= {"AT_ONCE": "2", "OUTPUT_DIR": "both"}
    both = run_script("train_ensemble", *SMALL, cwd=tmp_path, env=environment)
    assert both.returncode == 0, both.stderr
    (second,) = (tmp_path / "both").iterdir()
    for name in ("resnet18_0", "resnet18_5"):
        assert re.search(rf"^{name}: .*epoch 1 of 1", both.stderr, re.MULTILINE)
        wanted, found = (
            weights(folder / name / "model" / "ANIMAL-SPOT.pk") for folder in (run, second)
        )
        assert wanted.keys() == found.keys()
        assert all(torch.equal(wanted[key], found[key]) for key in wanted)


@pytest.mark.slow
def test_ensemble_side_by_side_stops_when_asked_and_trains_what_it_can(tmp_path, environment):
    make_corpus(tmp_path / "clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    environment |= {"DATA_DIR": "clips", "OUTPUT_DIR": "out", "EPOCHS": "1000", "AT_ONCE": "2"}
    environment |= {"MEMBERS": "resnet18", "SEEDS": "0 5"}
    command = ["bash", str(ROOT / "TRAINING" / "train_ensemble.sh"), *SMALL]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        begun = set()
        for line in process.stderr:
            if "epoch 1 of 1000" in line:
                begun.add(line.split(":")[0])
            if len(begun) == 2:
                break
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert begun == {"resnet18_0", "resnet18_5"}
    assert process.returncode == 130, said
    assert said.count("stopped by SIGINT") == 2
    assert "to go on with all networks: RESUME='out/" in said
    (run,) = (tmp_path / "out").iterdir()
    for name in begun:
        assert list((run / name / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"MEMBERS": "resnet"}, "MEMBERS names resnet, but there is no script train_resnet.sh"),
        ({"MEMBERS": "transfer", "SEEDS": "3"}, "MEMBERS and SEEDS give 1 x 1 networks"),
        ({"RESUME": "nowhere"}, "RESUME nowhere does not exist"),
        ({"AT_ONCE": "all"}, "AT_ONCE is how many networks are trained side by side"),
        ({"SHARD": "3/2", "RESUME": "run"}, "SHARD is a part of all networks, such as 1/3"),
        ({"SHARD": "1/2"}, "SHARD needs RESUME="),
        ({"SHARD": "1/2", "RESUME": "run", "AT_ONCE": "2"}, "take one"),
    ],
)
def test_ensemble_script_refuses_in_one_line(wrong, said, tmp_path, environment):
    (tmp_path / "clips").mkdir()
    environment |= {"DATA_DIR": "clips", "OUTPUT_DIR": "out", **wrong}
    result = run_script("train_ensemble", cwd=tmp_path, env=environment)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("train_recommended", "EfficientNet-Lite0, ImageNet weights"),
        ("train_from_scratch", "ResNet-18 (max_pool 1), random start"),
    ],
)
def test_script_does_without_a_noise_class(name, network, tmp_path, environment):
    make_corpus(tmp_path / "clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    result = run_script(
        name,
        *TINY,
        cwd=tmp_path,
        env=environment | {"DATA_DIR": "clips", "OUTPUT_DIR": "out", "EPOCHS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert "0 noise clips" in result.stderr
    assert f"network: {network}" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["train_convnext_pretrained", "train_transfer", "train_recommended"]
)
def test_pretrained_script_takes_local_weights(name, tmp_path, environment):
    make_corpus(tmp_path / "clips", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    result = run_script(
        name,
        *TINY,
        cwd=tmp_path,
        env=environment
        | {"DATA_DIR": "clips", "PRETRAINED_WEIGHTS": "no/file.pth", "OUTPUT_DIR": "out"},
    )
    assert result.returncode == 1
    assert "--pretrained_weights no/file.pth cannot be read" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_synthesised_corpus_follows_the_naming_rule(tmp_path):
    from animal_spot.data.labels import find_clip_paths, parse_clip

    command = [sys.executable, str(ROOT / "ANIMAL-SPOT" / "synthesise_corpus.py"), "--clips", "6"]
    for name in ("one", "two"):
        subprocess.run([*command, "--output_dir", str(tmp_path / name)], check=True, timeout=120)
    paths = find_clip_paths(tmp_path / "one")
    assert paths == find_clip_paths(tmp_path / "two")
    clips = [parse_clip(path) for path in paths]
    counts = {c: sum(clip.class_name == c for clip in clips) for c in {k.class_name for k in clips}}
    assert counts == {"N01": 6, "N04": 6, "N07": 6, "N09": 6, "N23": 3, "noise": 6}
    for path in paths:
        first, rate = sf.read(tmp_path / "one" / path)
        assert rate == 44100
        assert 0.01 < np.abs(first).max() <= 1
        assert np.array_equal(first, sf.read(tmp_path / "two" / path)[0]), "not reproducible"


def test_synthesised_calls_lie_where_their_melody_is():
    """The strongest frequency of a call without noise is at its fundamental or a harmonic."""
    from animal_spot.demo.corpus import CALL_TYPES, RATE, call_waveform

    call = call_waveform(CALL_TYPES["N07"], np.random.default_rng(0))
    middle = call[len(call) // 2 - 4096 : len(call) // 2 + 4096]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    strongest = np.argmax(spectrum) * RATE / len(middle)
    assert strongest / round(strongest / 640) == pytest.approx(640, rel=0.1)


def test_synthesise_says_what_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    result = run_program("synthesise_corpus", "--output_dir", tmp_path / "file" / "below")
    assert result.returncode == 1
    assert "cannot write" in result.stderr


STARTED = (
    *sorted(
        str(p.relative_to(ROOT)) for p in (*ROOT.glob("TRAINING/*.sh"), *ROOT.glob("*/*_demo.sh"))
    ),
    "PREDICTION/predict_slurm.sh",
    *("TRAINING/start_training.py", "PREDICTION/start_prediction.py"),
    *("EVALUATION/start_evaluation.py", "TRAINING/show_augmentation.py", ".ci/run"),
)


@pytest.mark.parametrize("name", dict.fromkeys(STARTED))
def test_what_is_started_may_be_executed(name):
    """The mode of the files here and, where there is git, of those that are checked in."""
    path = ROOT / name
    assert os.access(path, os.X_OK), f"chmod +x {name}"
    program = "python3" if name.endswith(".py") else "bash"
    assert path.read_text().splitlines()[0] == f"#!/usr/bin/env {program}"
    try:
        listed = run_process("git", "ls-files", "-s", "--", name, cwd=ROOT).stdout
    except FileNotFoundError:
        listed = ""
    if listed:  # empty in an unpacked archive
        assert listed.startswith("100755 "), f"git update-index --chmod=+x {name}"


def test_every_script_is_looked_at():
    scripts = {
        str(p.relative_to(ROOT))
        for folder in ("TRAINING", "PREDICTION", "EVALUATION")
        for p in (ROOT / folder).rglob("*.sh")
    }
    assert scripts <= set(STARTED)
    assert len(scripts) >= 13


@pytest.mark.parametrize(
    ("command", "cwd"),
    [("./train_resnet18.sh", "TRAINING"), ("./TRAINING/train_convnext_pretrained.sh", ".")],
)
def test_scripts_run_as_typed(command, cwd, environment):
    result = run_process(command, cwd=ROOT / cwd, env=environment)
    assert result.returncode == 1
    assert "DATA_DIR is not set" in result.stderr


def test_the_compatibility_page_answers_the_script_names_of_the_fork():
    """The command that stands for train_best_config.sh has the settings of that script."""
    from animal_spot.training.config import parse_config

    text = (ROOT / "docs" / "compatibility.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^ *\| `(\w+\.(?:sh|py))` \| (.*) \|$", text, re.MULTILINE))
    assert {"train_best_config.sh", "predict_pt.py", "optuna_tuning.py"} <= set(rows)
    for name in re.findall(r"`((?:TRAINING|ANIMAL-SPOT)/\S+\.(?:sh|py))", " ".join(rows.values())):
        assert (ROOT / name).is_file()
    flags = re.search(r"train_resnet18\.sh (--[^`]*)`", rows["train_best_config.sh"])[1].split()
    config = parse_config(["--preset", "published_resnet18", *flags])
    assert (config.backbone, config.resnet_size, config.max_pool) == ("resnet", 18, 1)
    assert (config.batch_size, config.lr, config.max_train_epochs) == (64, 3e-4, 100)
    assert (config.sequence_len, config.early_stopping_patience_epochs) == (1000, 25)
    assert (config.scheduler, config.label_smoothing) == ("onecycle", 0.1)
    assert config.weighted_sampling
    assert (config.sampling_strategy, config.rare_class_boost) == ("sqrt_inverse_freq", 1.5)
    assert (config.n_fft, config.hop_length, config.n_freq_bins) == (1024, 172, 256)
    assert config.min_max_norm
    assert config.augmentation
