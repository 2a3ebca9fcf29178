"""predict and prepare --ray: what one process writes, whatever is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.detector import red_square_detector
from tests.helpers.keras_models import pictures, save
from tests.helpers.programs import run_step

psutil = pytest.importorskip("psutil", reason="comes with Ray")
pytest.importorskip("ray", reason="the extra cluster is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing"),
]

# Ends a worker, not the driver, that gives a certain photo to its detector.
KILLER = """import os, pickle, signal, sys
real = pickle.dump
def dump(message, *more, **options):
    name = getattr(getattr(message, "source", None), "name", "")
    if name == "killer.png" and "default_worker" in " ".join(sys.orig_argv):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(message, *more, **options)
pickle.dump = dump
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Photos of two classes; one of them cannot be used."""
    folder = tmp_path_factory.mktemp("photos") / "photos"
    for i, rgb in enumerate(pictures(40, side=48, seed=5)):
        rgb[8:24, 8:24] = (255, 0, 0)
        save(folder / "ab"[i % 2] / f"{i}.png", rgb)
    (folder / "a" / "broken.png").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    return red_square_detector(tmp_path_factory.mktemp("detector") / "red.onnx")


def start(step: str, flags: list[str], folder: Path, **environ: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", f"footprints.{step}", *flags, "--ray", "--ray_workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | environ,
    )


def wait_for_lines(process: subprocess.Popen, path: Path, n: int) -> None:
    deadline = time.monotonic() + 200
    while not path.is_file() or path.read_bytes().count(b"\n") < n:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_a_worker_of(process: subprocess.Popen) -> psutil.Process:
    """Kill a worker as soon as there is one; return it."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if "ray::Worker" in " ".join(child.cmdline()):
                    child.kill()
                    return child
            except psutil.Error:
                continue
    raise AssertionError("there is no worker")


def test_killed_workers_and_drivers_change_no_answer(photos, detector, model_file, tmp_path):
    known = ["--model", str(model_file), "--detector", str(detector), "--no_report"]
    flags = [str(photos), *known, "--output_dir", "out"]
    for name in ("one", "ray"):
        (tmp_path / name).mkdir()
    done = run_step("predict", *flags[:-1], tmp_path / "one" / "out", "--processes", "1")
    assert done.returncode == 3, done.stderr
    whole = json.loads((tmp_path / "one" / "out" / "predictions.json").read_text())
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    killer = save(photos / "b" / "killer.png", pictures(1, side=48)[0])
    journal = tmp_path / "ray" / "out" / ".completed.jsonl"
    process = start("predict", flags, tmp_path / "ray", PYTHONPATH=paths)
    try:
        wait_for_lines(process, journal, 5)
        process.kill()
        process.communicate()
        n_before = journal.read_bytes().count(b"\n")
        assert not (tmp_path / "ray" / "out" / "predictions.json").exists()
        process = start("predict", flags, tmp_path / "ray", PYTHONPATH=paths)
        wait_for_lines(process, journal, n_before + 2)
        kill_a_worker_of(process)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
        killer.unlink()
    assert process.returncode == 3, said
    assert "Traceback" not in said
    found = json.loads((tmp_path / "ray" / "out" / "predictions.json").read_text())
    reasons = {one["photo"]: one["reason"] for one in found["failed"]}
    assert reasons["b/killer.png"].startswith("its worker died 2 times")
    found["failed"] = [one for one in found["failed"] if one["photo"] != "b/killer.png"]
    assert found == whole
    assert (tmp_path / "ray" / "out" / "predictions.csv").read_bytes() == (
        tmp_path / "one" / "out" / "predictions.csv"
    ).read_bytes()
    answered = [json.loads(line) for line in journal.read_text().splitlines() if line[-1:] == "}"]
    twice = [one["photo"] for one in answered if "answer" in one]
    assert len(twice) == len({*twice}) == 40, "no photo is answered again"


def test_a_killed_worker_changes_no_crop(photos, detector, tmp_path):
    flags = ["--real_dir", str(photos), "--detector", str(detector), "--image_size", "32"]
    for name in ("one", "ray"):
        (tmp_path / name).mkdir()
    out = [tmp_path / name / "out" for name in ("one", "ray")]
    done = run_step("prepare", *flags, "--output_dir", out[0], "--processes", "1")
    assert done.returncode == 3, done.stderr
    process = start("prepare", [*flags, "--output_dir", "out"], tmp_path / "ray")
    wait_for_lines(process, out[1] / "crops" / "journal.jsonl", 2)
    kill_a_worker_of(process)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    one, other = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        for folder in out
    )
    assert one == other
