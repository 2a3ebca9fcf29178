"""predict.py --ray: what one process writes, whatever is killed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio import sections
from tests.helpers.prediction import (
    PREDICT,
    body,
    predict_here,
    run_predict,
    sound,
    visible,
    write_sound,
)

psutil = pytest.importorskip("psutil", reason="comes with Ray")
pytest.importorskip("ray", reason="the extra cluster is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing"),
]

# Ends a worker, not the driver, that begins to read a certain recording.
KILLER = """import os, pathlib, signal, sys
real = pathlib.Path.stat
def stat(self, **options):
    if self.name == "killer.wav" and "default_worker" in " ".join(sys.orig_argv):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, **options)
pathlib.Path.stat = stat
"""

# Makes sections of three seconds; ends workers in sections of some recordings, and notes all.
SECTION_KILLER = """import os, signal, sys
import animal_spot.audio.recordings as r, animal_spot.audio.sections
animal_spot.audio.sections.SECTION_S = 3.0
here, real = os.path.dirname(__file__), r.Recording.seek
def seek(self, sample):
    second, rest = divmod(sample, self.rate)
    if rest == 0 and second % 3 == 1 and "default_worker" in " ".join(sys.orig_argv):
        with open(os.path.join(here, "seen.txt"), "a") as seen:
            seen.write(f"{self.path.name} {second}\\n")
    if sample == 7 * self.rate and "default_worker" in " ".join(sys.orig_argv):
        killed = os.path.join(here, "killed")
        if self.path.name == "always.wav" or not os.path.exists(killed):
            open(killed, "a").close()
            os.kill(os.getpid(), signal.SIGKILL)
    return real(self, sample)
r.Recording.seek = seek
"""


def contents(folder: Path) -> dict[str, object]:
    """Return each file that is seen, but for the time of day and the seconds it took."""
    found: dict[str, object] = {}
    for name in visible(folder):
        path = folder / name
        found[name] = body(path) if name.endswith(".log") else path.read_bytes()
    with open(folder / "summary.csv", encoding="utf-8", newline="") as file:
        found["summary.csv"] = [
            row | {"seconds": "", "status": row["status"].removesuffix(" before")}
            for row in csv.DictReader(file)
        ]
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory, models):
    """Recordings, the flags, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("archive")
    for i in range(30):
        write_sound(folder / "in" / f"r{i:02d}.wav", 1 + i % 4, i)
    (folder / "in" / "broken.wav").write_bytes(b"RIFF")
    arguments = [
        *("--model_path", str(models("multi")), "--input_file", str(folder / "in")),
        *("--format", "csv", "log", "raven", "--hop", "0.02", "--no_cuda", "--no_report"),
        *("--engine", "openvino", "--latent_extract", "--measure_band"),
    ]
    done = run_predict(*arguments, "--output_dir", folder / "one")
    assert done.returncode == 3, done.stderr
    return folder, arguments


def start(arguments, output: Path, **environ: str) -> subprocess.Popen:
    flags = ("--ray", "--ray_workers", "2", "--output_dir", str(output))
    return subprocess.Popen(
        [sys.executable, str(PREDICT), *arguments, *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | environ,
    )


def wait_for_results(process: subprocess.Popen, output: Path, n: int) -> None:
    deadline = time.monotonic() + 200
    while len(list(output.glob("*.csv"))) < n:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.name().startswith("ray::Worker") or "ray::Worker" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_workers_that_are_killed_change_nothing(archive, tmp_path):
    folder, arguments = archive
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    killer = write_sound(folder / "in" / "killer.wav", 1, 77)
    output = tmp_path / "out"
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    process = start(arguments, output, PYTHONPATH=paths)
    try:
        wait_for_results(process, output, 3)
        os.kill(workers_of(process)[0].pid, signal.SIGKILL)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
        killer.unlink()
    assert process.returncode == 3, said
    assert "Traceback" not in said
    found, wanted = contents(output), contents(folder / "one")
    (lost,) = [row for row in found["summary.csv"] if row["file"] == str(killer)]
    assert lost["status"] == "failed"
    assert "its worker died 2 times" in lost["reason"]
    assert f"{killer},its worker died 2 times".encode() in found.pop("failed_files.csv")
    wanted.pop("failed_files.csv")
    found["summary.csv"].remove(lost)
    for one, other in zip(found["summary.csv"], wanted["summary.csv"], strict=True):
        assert one == other
    assert found == wanted
    assert not (output / ".parts").exists()


def test_a_driver_that_is_killed_goes_on(archive, tmp_path):
    folder, arguments = archive
    output = tmp_path / "out"
    process = start(arguments, output)
    wait_for_results(process, output, 4)
    workers = workers_of(process)
    assert workers
    process.kill()
    process.communicate()
    assert not (output / "summary.csv").exists()
    before = {p.name: p.stat().st_mtime_ns for p in output.glob("r*") if p.name.endswith(".csv")}
    process = start(arguments, output)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 3, said
    assert contents(output) == contents(folder / "one")
    assert not (output / ".parts").exists()
    kept = [name for name, ns in before.items() if (output / name).stat().st_mtime_ns == ns]
    assert len(kept) >= len(before) - 1, "the last may lack its note"
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def test_sections_of_long_recordings_are_shared(tmp_path, models, monkeypatch):
    """One is done again when its worker was killed; one that kills two fails its recording."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SECTION_KILLER)
    both = np.stack([sound(24.6, 1, 22_050), sound(24.6, 2, 22_050)], 1)
    (tmp_path / "in").mkdir()
    sf.write(tmp_path / "in" / "long.flac", both, 22_050)
    sf.write(tmp_path / "in" / "once.wav", both[:, ::-1], 22_050)
    write_sound(tmp_path / "in" / "short.wav", 2)
    whole = write_sound(tmp_path / "in" / "truncated.wav", 30, 3)
    whole.write_bytes(whole.read_bytes()[:-9000])
    flags = ("--format", "csv", "raven", "--hop", "0.02", "--no_cuda", "--no_report")
    arguments = [
        *("--model_path", str(models("multi")), "--input_file", str(tmp_path / "in"), *flags),
        *("--decoder", "events", "--latent_extract"),
    ]
    monkeypatch.setattr(sections, "SECTION_S", 3.0)
    one, two = tmp_path / "one", tmp_path / "two"
    assert predict_here(*arguments, "--output_dir", one, plain=False) == 3
    always = write_sound(tmp_path / "in" / "always.wav", 20, 4)
    paths = f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    process = start(arguments, two, PYTHONPATH=paths)
    try:
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 3, said
    assert "Traceback" not in said
    found, wanted = contents(two), contents(one)
    (lost,) = [row for row in found["summary.csv"] if row["file"] == str(always)]
    assert "its worker died 2 times" in lost["reason"]
    assert found.pop("failed_files.csv").count(b"\n") == 3
    assert b"truncated" in wanted.pop("failed_files.csv")
    found["summary.csv"].remove(lost)
    assert found == wanted
    assert not (two / ".parts").exists()
    seen = Counter((tmp_path / "site" / "seen.txt").read_text().splitlines())
    begun = [n for line, n in seen.items() if not line.startswith("always")]
    assert len(begun) == 2 * 7, "each section of both that does not begin at 0"
    assert sum(begun) <= 2 * 7 + 3, "a killed worker costs the section in work"
