"""Scripts in folders with hostile names and files: nothing is deleted, nothing of theirs is run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.programs import run_process

# In the place of Python: writes its arguments down.
RECORDER = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""
# What a folder of somebody's may hold: names of packages, of the standard library and of ours.
HOSTILE = (
    *("numpy", "PIL", "torch", "tensorflow", "footprints", "utils", "data", "runpy", "random"),
    *("signal", "struct", "json", "argparse", "logging", "multiprocessing", "sitecustomize"),
)
NAMES = ["-delete", "-rf", "!", "(", "a b", "it's", "$(touch x)", "-", "--help", "ü *"]


@pytest.fixture
def recorded(tmp_path):
    """Run a script of a copy with a stand-in for Python; return what it was called with."""
    root = tmp_path / "root"
    for part in ("TRAINING", "PREDICTION"):
        shutil.copytree(ROOT / part, root / part)
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(RECORDER)
    python.chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.txt").write_text("mine")

    def run(script: str, *arguments: str, **variables: str) -> list[list[str]]:
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        known = {"PATH": f"{python.parent}:/usr/bin:/bin", "CALLS": str(calls)}
        done = run_process("bash", root / script, *arguments, cwd=here, env=known | variables)
        assert done.returncode == 0, done.stderr
        assert (here / "mine.txt").read_text() == "mine"
        return [json.loads(line) for line in calls.read_text().splitlines()]

    run.here = here
    return run


def value_of(call: list[str], flag: str) -> str:
    return call[call.index(flag) + 1]


def is_path(text: str, here: Path, name: str) -> bool:
    """Tell whether a program takes a text for the path of a file here, not for an option."""
    return not text.startswith("-") and os.path.normpath(here / text) == str(here / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("script", ["train_recommended", "train_few_clips", "train_resnet18"])
def test_training_takes_any_name_for_a_path(script, name, recorded):
    (recorded.here / name).mkdir()
    (recorded.here / name / "noise-x_1_2020_T_0_1.wav").touch()
    variables = dict.fromkeys(["DATA_DIR", "OUTPUT_DIR", "CACHE_DIR", "PRETRAINED_WEIGHTS"], name)
    (call,) = recorded(f"TRAINING/{script}.sh", **variables)
    assert is_path(value_of(call, "--data_dir"), recorded.here, name)
    assert is_path(value_of(call, "--cache_dir"), recorded.here, name)
    model = value_of(call, "--model_dir")
    assert is_path(os.path.dirname(os.path.dirname(model)), recorded.here, name)
    if script == "train_recommended":
        assert is_path(value_of(call, "--pretrained_weights"), recorded.here, name)
    if script != "train_resnet18":
        assert "--noise_from_class=noise" in call


def noise_flags(call: list[str]) -> list[str]:
    return sorted(flag for flag in call if flag.startswith("--noise"))


@pytest.mark.parametrize("name", ["fond", "-x", "a b"])
def test_the_noise_class_is_the_background_and_is_mixed_in(name, recorded):
    """The published settings have no mixing, but the class is the background there too."""
    (recorded.here / "clips").mkdir()
    variables = {"DATA_DIR": "clips", "NOISE_CLASS": name}
    (call,) = recorded("TRAINING/train_recommended.sh", **variables)
    assert noise_flags(call) == [f"--noise_class={name}", f"--noise_from_class={name}"]
    (call,) = recorded("TRAINING/train_resnet18.sh", **variables)
    assert noise_flags(call) == [f"--noise_class={name}"]


@pytest.mark.parametrize(
    ("file", "variables", "flags"),
    [
        pytest.param("noise-x_1.wav", {}, ["--noise_from_class=noise"], id="found"),
        pytest.param("noise-x_1.FLAC", {}, ["--noise_from_class=noise"], id="found-in-flac"),
        pytest.param("noise-x_1.wav", {"NOISE_CLASS": ""}, [], id="not-wanted"),
        pytest.param("noise-notes.txt", {}, [], id="no-sound"),
        pytest.param("Noise-x_1.wav", {}, [], id="another-class"),
    ],
)
def test_noise_is_found_by_its_clips(file, variables, flags, recorded):
    (recorded.here / "clips" / "below").mkdir(parents=True)
    (recorded.here / "clips" / "below" / file).touch()
    (call,) = recorded("TRAINING/train_recommended.sh", DATA_DIR="clips", **variables)
    assert noise_flags(call) == flags


@pytest.mark.parametrize("name", NAMES)
def test_footprints_take_any_name_for_a_path(name, recorded):
    (recorded.here / name).mkdir()
    variables = dict.fromkeys(["OAT_DIR", "REAL_DIR", "OUTPUT_DIR", "DETECTOR", "WEIGHTS"], name)
    calls = recorded("TRAINING/train_footprints.sh", **variables)
    audit, _, prepare, train = (call[1:] for call in calls)
    assert audit[0] == "footprints.audit"
    assert is_path(audit[1], recorded.here, name)
    for flag in ("--oat_dir", "--real_dir", "--detector"):
        assert is_path(value_of(prepare, flag), recorded.here, name)
    assert is_path(value_of(train, "--weights"), recorded.here, name)


@pytest.mark.parametrize("name", NAMES)
def test_prediction_takes_any_name_for_a_path(name, recorded):
    calls = recorded("PREDICTION/predict_demo.sh", MODEL=name, DEMO_DIR=name)
    assert is_path(value_of(calls[1], "--model_path"), recorded.here, name)
    assert is_path(os.path.dirname(value_of(calls[0], "--output_dir")), recorded.here, name)


@pytest.fixture
def hostile(tmp_path) -> Path:
    """A folder whose files leave a trace when Python runs them."""
    folder = tmp_path / "hostile"
    for name in HOSTILE:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write('{name}\\n')\n"
        )
    return folder


def in_hostile_folder(command: list[str], folder: Path, **variables: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = run_process(*command, cwd=folder, env=environment | variables)
    ran = folder.parent / "ran"
    assert not ran.exists(), ran.read_text()
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_footprint_script_runs_no_file_of_the_current_folder(hostile):
    (hostile / "photos").mkdir()
    script = ["bash", str(ROOT / "TRAINING" / "train_footprints.sh")]
    said = in_hostile_folder(script, hostile, REAL_DIR="photos", OUTPUT_DIR="out")
    assert "photos" in said.splitlines()[-1]


def test_training_script_runs_no_file_of_the_current_folder(hostile):
    (hostile / "clips").mkdir()
    script = ["bash", str(ROOT / "TRAINING" / "train_resnet18.sh")]
    said = in_hostile_folder(script, hostile, DATA_DIR="clips", OUTPUT_DIR="out")
    assert "no sound file was found" in said


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["TRAINING/run_module.py", "footprints.audit", "--help"], id="run_module"),
        pytest.param(["TRAINING/show_augmentation.py", "--help"], id="show_augmentation"),
        pytest.param(["ANIMAL-SPOT/synthesise_corpus.py", "--help"], id="synthesise_corpus"),
        pytest.param(["EVALUATION/start_evaluation.py", "none"], id="starter"),
    ],
)
def test_without_a_safe_path_of_python_too_none_is_run(command, hostile):
    """As in Python 3.10, which knows no PYTHONSAFEPATH."""
    in_hostile_folder([sys.executable, str(ROOT / command[0]), *command[1:]], hostile)


@pytest.mark.parametrize(
    "script",
    ["train_demo", "train_recommended", "train_from_scratch", "train_resnet18", "train_convnext"],
)
def test_settings_of_the_scripts_do_not_warn_of_themselves(script, recorded):
    from animal_spot.training.config import parse_config
    from animal_spot.training.run_setup import pipeline_of_config

    (recorded.here / "clips").mkdir()
    (call,) = recorded(f"TRAINING/{script}.sh", DATA_DIR="clips")
    config = parse_config(call[1:])
    assert pipeline_of_config(config).warnings() == []
