"""Whole runs of main.py: small ones, in this process or in one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from tests.helpers.places import SOUND
from tests.helpers.programs import run_here, run_program

MAIN = SOUND / "main.py"
RESNET = ("--backbone", "resnet")
SMALL = (
    *("--sr", "16000", "--n_fft", "256", "--hop_length", "160", "--n_freq_bins", "32"),
    *("--fmin", "200", "--fmax", "7000", "--sequence_len", "320", "--lr", "1e-4"),
    *("--batch_size", "4", "--num_workers", "1", "--precision", "fp32"),
    # A fortieth of the size of the default network, which writes 130 MB in each epoch.
    *("--backbone", "timm:test_resnet"),
)
TAPES = [f"T{i}" for i in range(12)]


NO_REPORT = "--no_report"  # takes seconds; tests of the report do without this


def folders(run: Path) -> list[str]:
    """Flags of the folders of a run, without a report at its end."""
    names = ("model", "checkpoint", "log", "summary", "cache")
    flags = [part for name in names for part in (f"--{name}_dir", str(run / name))]
    return [*flags, NO_REPORT]


def run_main(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run ``main.py`` in a process of its own."""
    return run_program("main", *arguments, cwd=cwd)


def main_here(*arguments: str) -> subprocess.CompletedProcess:
    """Run ``main.py`` in this process, without loader processes and without a report."""
    return run_here("main", *arguments, "--num_workers", "0", NO_REPORT)


def train(data: Path, run: Path, *flags: str) -> str:
    """Train in this process to a good end; return what was said."""
    result = main_here("--data_dir", str(data), *folders(run), *flags)
    assert result.returncode == 0, result.stderr
    return result.stderr


def start(*arguments: str, program: str = "main") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SOUND / f"{program}.py"), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen, text: str) -> None:
    """Read the log of a running process up to a line that contains ``text``."""
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} never came")


def train_until_killed(at: str, data: Path, run: Path, *flags: str) -> None:
    """Train in processes that are killed as soon as their log has a line that contains ``at``."""
    process = start("--data_dir", str(data), *folders(run), *flags)
    wait_for(process, at)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def outcome(run: Path) -> tuple[dict, dict]:
    """Weights and metrics of a run, without the settings, whose folders differ."""
    content = torch.load(run / "model" / "ANIMAL-SPOT.pk", weights_only=True)
    results = json.loads((run / "model" / "results.json").read_text())
    return content, results["partitions"]


def assert_same(run: Path, reference: Path) -> None:
    (content, metrics), (expected, expected_metrics) = outcome(run), outcome(reference)
    assert metrics == expected_metrics
    assert content["metrics"] == expected["metrics"]
    for state in ("encoderState", "classifierState"):
        assert content[state].keys() == expected[state].keys()
        for name, value in content[state].items():
            assert torch.equal(value, expected[state][name]), name
