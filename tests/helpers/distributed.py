"""Trainings in several processes, by torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.events import read_events
from tests.helpers.places import SOUND
from tests.helpers.programs import run_process

LOSSES = ("train/epoch_loss", "val/epoch_loss", "test/epoch_loss")


def torchrun(n: int, *arguments: str) -> list[str]:
    """Return the command of a training in ``n`` processes."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    return [*launcher, "--nproc_per_node", str(n), str(SOUND / "main.py"), *arguments]


def train_together(n: int, *arguments: str) -> subprocess.CompletedProcess:
    """Train in ``n`` processes to the end."""
    return run_process(*torchrun(n, *arguments), "--num_workers", "0")


def start_together(n: int, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        torchrun(n, *arguments), stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def processes_of(launcher: subprocess.Popen) -> dict[int, int]:
    """Return the process number of each rank that a torchrun has started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for child in children:
        said = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found |= {int(line[5:]): int(child) for line in said if line.startswith(b"RANK=")}
    return found


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def losses_of(run: Path) -> dict[str, list[float]]:
    """Return the losses of all epochs of each phase, as TensorBoard has them."""
    events = read_events(run / "summary")
    return {tag: [event.value for event in events.Scalars(tag)] for tag in LOSSES}
