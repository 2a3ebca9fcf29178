"""The shell scripts, as a user calls them: from photos to annotated answers."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.places import ROOT
from tests.helpers.programs import run_process
from tests.helpers.report_page import ReportPage

READ = ("OAT_DIR", "REAL_DIR", "DETECTOR", "WEIGHTS", "OUTPUT_DIR", "DEMO_DIR", "N_PER_CLASS")


def run_script(name: str, *arguments: str, cwd: Path, **variables: str):
    """Run a script; python3 is the tests' own where there is no .venv."""
    environment = {key: value for key, value in os.environ.items() if key not in READ}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for key in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        environment[key] = "1"
    return run_process(
        "bash", ROOT / "TRAINING" / f"{name}.sh", *arguments, cwd=cwd, env=environment | variables
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


# --- with a stand-in for Python that only writes down how it was called ------------------------

STAND_IN = """\
#!/usr/bin/env bash
echo "$*" >> "$CALLS"
case "$2" in
    footprints.synthesise) mkdir -p "$DEMO_DIR/drawn/oat" "$DEMO_DIR/drawn/real" ;;
    footprints.prepare) mkdir -p "$OUT/prepared/oat/val" "$OUT/prepared/real/test"
        touch "$OUT/prepared/real/test/a.png" ;;
    footprints.train) mkdir -p "$OUT/models"
        touch "$OUT/models/mobilenet_oat.keras" "$OUT/models/mobilenet_real.keras" ;;
esac
[[ "$2" != "${FAIL:-}" ]] || exit "$STATUS"
"""


@pytest.fixture
def stand_in(tmp_path):
    """A copy of the scripts without a .venv, and a python3 that writes its arguments down."""
    shutil.copytree(ROOT / "TRAINING", tmp_path / "root" / "TRAINING")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(STAND_IN)
    python.chmod(0o755)
    (tmp_path / "my oat").mkdir()
    (tmp_path / "my photos").mkdir()

    def run(name: str, *arguments: str, **variables: str):
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        known = {"PATH": f"{python.parent}:/usr/bin:/bin", "CALLS": str(calls), "OUT": "my out"}
        done = run_process(
            "bash",
            tmp_path / "root" / "TRAINING" / f"{name}.sh",
            *arguments,
            cwd=tmp_path,
            env=known | variables,
        )
        lines = calls.read_text().splitlines() if calls.exists() else []
        return done, [re.sub(r"^\S+/run_module.py footprints\.", "", line) for line in lines]

    return run


BOTH = {"OAT_DIR": "my oat", "REAL_DIR": "my photos", "OUTPUT_DIR": "my out"}


def test_steps_and_flags_of_training(stand_in):
    done, calls = stand_in(
        "train_footprints",
        "--backbone",
        "MobileNetV2",
        **BOTH,
        DETECTOR="d.pt",
        WEIGHTS="w.h5",
        TEST_FRACTION="0.15",
        SEED="3",
    )
    assert done.returncode == 0, done.stderr
    assert calls == [
        "audit my oat --output my out/audit_oat.json",
        "audit my photos --output my out/audit_real.json",
        "prepare --oat_dir my oat --real_dir my photos --detector d.pt --output_dir "
        "my out/prepared --seed 3 --test_fraction 0.15",
        "train --stage all --data_dir my out/prepared --output_dir my out/models --weights w.h5 "
        "--seed 3 --backbone MobileNetV2",
        "evaluate --model my out/models/mobilenet_oat.keras --data_dir my out/prepared/oat "
        "--split val --output_dir my out/scores_oat",
        "evaluate --model my out/models/mobilenet_real.keras --data_dir my out/prepared/real "
        "--split test --output_dir my out/scores_real",
    ]
    assert "my out/models/mobilenet_real.keras" in done.stdout


@pytest.mark.parametrize(("given", "stage"), [("OAT_DIR", "oat"), ("REAL_DIR", "real")])
def test_one_set_trains_one_stage(given, stage, stand_in):
    _, calls = stand_in("train_footprints", OUTPUT_DIR="my out", **{given: BOTH[given]})
    assert len([call for call in calls if call.startswith("audit")]) == 1
    [training] = [call for call in calls if call.startswith("train")]
    assert f"--stage {stage} " in training
    assert "--weights imagenet" in training
    assert "--detector none" in calls[1]


@pytest.mark.parametrize("step", ["audit", "prepare", "train", "evaluate"])
def test_left_out_photos_do_not_stop_training_but_show_in_the_status(step, stand_in):
    done, calls = stand_in("train_footprints", **BOTH, FAIL=f"footprints.{step}", STATUS="3")
    assert done.returncode == 3
    assert len(calls) == 6


@pytest.mark.parametrize(("step", "after"), [("audit", 1), ("prepare", 3), ("train", 4)])
@pytest.mark.parametrize("status", ["1", "2", "130"])
def test_a_failed_step_is_the_last(step, after, status, stand_in):
    done, calls = stand_in("train_footprints", **BOTH, FAIL=f"footprints.{step}", STATUS=status)
    assert done.returncode == int(status)
    assert len(calls) == after


def test_demo_trains_its_detector_once(stand_in, tmp_path):
    variables = {"DEMO_DIR": "my demo", "OUT": "my demo/trained"}
    (tmp_path / "my demo" / "drawn" / "others").mkdir(parents=True)
    done, calls = stand_in("footprints_demo", **variables)
    assert done.returncode == 0, done.stderr
    steps = [call.split()[0] for call in calls]
    assert steps[:2] == ["synthesise", "train_detector"]
    assert steps[-3:-1] == ["predict", "report"]
    assert "--threshold" not in calls[-3], "the model itself refuses"
    [prepared] = [call for call in calls if call.startswith("prepare")]
    assert "--others my demo/drawn/others" in prepared
    assert calls[-1].endswith(
        "footprints_demo_answers.py my demo/drawn/photos_truth.csv "
        "my demo/predictions/predictions.json"
    )
    (tmp_path / "my demo" / "detector").mkdir(parents=True)
    (tmp_path / "my demo" / "detector" / "detector.pt").touch()
    _, calls = stand_in("footprints_demo", **variables)
    assert "train_detector" not in [call.split()[0] for call in calls]


TRUTH = "photo,class\na.jpg,deer\nb.jpg,deer\nc.jpg,hare\nd.jpg,hare\nw.jpg,wolf\nx.jpg,wolf\n"


@pytest.mark.parametrize(
    ("of_wolf", "verdict"), [("unknown", "right"), ("deer", "wrong, it should be unknown")]
)
def test_right_answers_are_counted_not_promised(of_wolf, verdict, tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH)
    answers = {"a.jpg": "deer", "b.jpg": "unknown", "c.jpg": "deer", "w.jpg": of_wolf}
    answers["x.jpg"] = "unknown"
    photos = [{"photo": photo, "answer": answer} for photo, answer in answers.items()]
    content = {"classes": ["deer", "hare"], "photos": photos}
    (tmp_path / "predictions.json").write_text(json.dumps(content))
    script = ROOT / "TRAINING" / "footprints_demo_answers.py"
    done = run_process(
        sys.executable, script, tmp_path / "truth.csv", tmp_path / "predictions.json"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1 of 4 new photos are named right; unknown: 1, a wrong name: 1, no answer: 1",
        f"the stranger, w.jpg (wolf, of no class): answered {of_wolf}, {verdict}",
        "the stranger, x.jpg (wolf, of no class): answered unknown, right",
        f"{1 + (of_wolf == 'unknown')} of 2 photos of animals of no class are answered unknown",
    ]


# --- for real ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_demo_from_drawing_to_answers(tmp_path):
    """The demo with little data calls every step, train_footprints.sh among them."""
    flags = {"N_PER_CLASS": "3", "DETECTOR_EPOCHS": "1", "EPOCHS": "1", "DEMO_DIR": "my demo"}
    done = run_script("footprints_demo", cwd=tmp_path, **flags)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    demo = tmp_path / "my demo"
    named = re.findall(r"^[a-z ]+: +(my demo/[^\s,]+)", done.stdout, re.MULTILINE)
    assert len(named) >= 6
    assert all((tmp_path / name).exists() for name in named if "<" not in name)
    answers = list(csv.DictReader((demo / "predictions/predictions.csv").open()))
    truth = {row["photo"] for row in csv.DictReader((demo / "drawn/photos_truth.csv").open())}
    assert {row["photo"] for row in answers} == truth
    assert len(list((demo / "predictions/annotated").rglob("*.jpg"))) == len(truth)
    with Image.open(demo / "predictions/contact_sheet.jpg") as sheet:
        assert sheet.width > 4 * 320
    assert re.search(r"^\d of \d+ new photos are named right", done.stdout, re.MULTILINE)
    assert re.search(r"^the stranger, stranger/IMG_0001.jpg", done.stdout, re.MULTILINE)
    assert json.loads((demo / "trained/scores_real/scores.json").read_text())
    shown = ReportPage(demo / "report.html")
    assert {"detector_curves", "stage_real_curves", "prediction_answers"} <= {*shown.pictures}
