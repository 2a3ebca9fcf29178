"""The shell scripts, as a user calls them: from photos to annotated answers."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READ = ("OAT_DIR", "REAL_DIR", "DETECTOR", "WEIGHTS", "OUTPUT_DIR", "DEMO_DIR", "N_PER_CLASS")


def run_script(name: str, *arguments: str, cwd: Path, **variables: str):
    """Run a script; python3 is the tests' own where there is no .venv."""
    environment = {key: value for key, value in os.environ.items() if key not in READ}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for key in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        environment[key] = "1"
    return subprocess.run(
        ["bash", str(ROOT / "TRAINING" / f"{name}.sh"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | variables,
        timeout=1200,
    )


@pytest.mark.parametrize("name", ["train_footprints", "footprints_demo"])
def test_scripts_are_sound_bash(name):
    script = ROOT / "TRAINING" / f"{name}.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail" in script.read_text()


def test_without_photos_the_demo_is_offered(tmp_path):
    done = run_script("train_footprints", cwd=tmp_path)
    assert done.returncode == 1
    assert "neither OAT_DIR nor REAL_DIR is set" in done.stderr
    assert "footprints_demo.sh" in done.stderr


@pytest.mark.parametrize("name", ["OAT_DIR", "REAL_DIR"])
def test_wrong_folder(name, tmp_path):
    done = run_script("train_footprints", cwd=tmp_path, **{name: "/no/such folder"})
    assert done.returncode == 1
    assert f"{name} /no/such folder does not exist" in done.stderr


def test_a_failed_step_ends_the_script_with_its_status(tmp_path):
    (tmp_path / "photos").mkdir()
    done = run_script(
        "train_footprints", cwd=tmp_path, REAL_DIR="photos", OUTPUT_DIR="out", WEIGHTS="none"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "== train" not in done.stdout


@pytest.mark.slow
def test_demo_from_drawing_to_answers_and_again(tmp_path):
    """The demo with little data calls every step, train_footprints.sh among them."""
    flags = {"N_PER_CLASS": "4", "DETECTOR_EPOCHS": "1", "EPOCHS": "1", "DEMO_DIR": "my demo"}
    done = run_script("footprints_demo", cwd=tmp_path, **flags)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    demo = tmp_path / "my demo"
    for step in ("audit", "prepare", "train", "evaluate"):
        assert f"== {step}" in done.stdout
    named = re.findall(r"^[a-z ]+: +(my demo/[^\s,]+)", done.stdout, re.MULTILINE)
    assert len(named) >= 6
    assert all((tmp_path / name).exists() for name in named)
    answers = list(csv.DictReader((demo / "predictions/predictions.csv").open()))
    truth = {row["photo"] for row in csv.DictReader((demo / "drawn/photos_truth.csv").open())}
    assert {row["photo"] for row in answers} == truth
    pictures = list((demo / "predictions/annotated").rglob("*.jpg"))
    assert len(pictures) == len(truth)
    scores = json.loads((demo / "trained/scores_real/scores.json").read_text())
    assert scores
    kept = [demo / "detector/detector.pt", demo / "trained/models/mobilenet_real.keras"]
    times = [path.stat().st_mtime_ns for path in kept]
    again = run_script("footprints_demo", cwd=tmp_path, **flags)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "already there" in again.stdout
    assert [path.stat().st_mtime_ns for path in kept] == times, "nothing should be trained again"
