"""A prediction of three recordings, a review of it, and a page that asks its server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import soundfile as sf

from tests.helpers.places import SOUND

RATE = 16_000
SECONDS = 12.0
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    "Annotation\tScore"
)
# Class, begin, end, score of what was found in each recording. Ids count from 1 in this order.
ROWS = {
    "pond_20260501_213000": [
        ("owl", 1.0, 2.0, 0.99),
        ("owl", 4.0, 5.0, 0.8),
        ("fox", 7.0, 8.5, 0.55),
    ],
    "pond_20260502_033000": [("fox", 2.0, 3.0, 0.95), ("owl", 9.0, 10.0, 0.6)],
    "wood_20260502_120000": [("owl", 5.0, 6.0, 0.7)],
}


def write_recordings(folder: Path) -> Path:
    """Write noise with a tone of 3 kHz where something was found."""
    folder.mkdir()
    time_s = np.arange(round(SECONDS * RATE)) / RATE
    for seed, (stem, rows) in enumerate(ROWS.items()):
        samples = 0.01 * np.random.default_rng(seed).standard_normal(len(time_s))
        for _, begin_s, end_s, _ in rows:
            inside = (time_s >= begin_s) & (time_s < end_s)
            samples[inside] += 0.3 * np.sin(2 * np.pi * 3000 * time_s[inside])
        sf.write(folder / f"{stem}.wav", samples, RATE, subtype="PCM_16")
    return folder


def write_tables(folder: Path) -> Path:
    """Write what was found as Raven tables."""
    folder.mkdir()
    for stem, rows in ROWS.items():
        lines = [
            f"{n}\tSpectrogram 1\t1\t{begin_s:.3f}\t{end_s:.3f}\t2000.0\t4000.0\t{name}\t{score}"
            for n, (name, begin_s, end_s, score) in enumerate(rows, 1)
        ]
        text = "\n".join([RAVEN, *lines]) + "\n"
        (folder / f"{stem}.Table.1.selections.txt").write_text(text)
    return folder


class Running:
    """The program as a process, and what a page asks of it."""

    def __init__(self, *arguments: object, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SOUND / "review.py", "--no_browser", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        self.address = self.process.stdout.readline().strip()
        assert "?token=" in self.address, self.process.communicate()[1]
        self.base, self.token = self.address.split("/?token=")

    def ask(self, path: str, body: dict | None = None):
        """Return the answer as JSON."""
        headers = {"X-Token": self.token, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, content, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """Press Ctrl-C; return the status, and what it said."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


def wait_until(is_so, seconds: float = 30.0) -> None:
    """Wait for something that another process does."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of each file, hidden ones too."""
    return {
        os.fspath(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
