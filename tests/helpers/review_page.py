"""A review in a real browser: recordings with calls at known places, server, Chromium."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import soundfile as sf

from tests.helpers.places import SOUND
from tests.helpers.tables import RAVEN

RATE = 22_050  # Hz
CALL_S = 0.4
STEP_S = 2.0
N_CALLS = 30  # of both recordings together
CLASSES = ("chirp", "hum")
# What would be run if a name became markup.
MARKUP = "<img src=x onerror=document.title='run'>"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)


def chromium() -> str | None:
    """Return where the system's Chromium is; None: it has none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def calls() -> list[tuple[int, float, str, float]]:
    """Return recording, begin, class and score of each call, in the order of the queue."""
    rng = np.random.default_rng(1)
    return [
        (n // 15, 1 + STEP_S * (n % 15), CLASSES[n % 2], round(float(rng.uniform(0.3, 1)), 3))
        for n in range(N_CALLS)
    ]


def write_recordings(folder: Path) -> tuple[Path, Path]:
    """Write two recordings with calls and the tables of a prediction; return both folders."""
    recordings, tables = folder / "recordings", folder / "predictions"
    recordings.mkdir(parents=True)
    tables.mkdir()
    rng = np.random.default_rng(0)
    time = np.arange(int(CALL_S * RATE)) / RATE
    for number, name in enumerate(("day_1", f"day_2 {MARKUP}")):
        samples = 0.01 * rng.standard_normal(int(32 * RATE))
        lines = [f"{RAVEN}\tAnnotation\tScore"]
        for row, (where, begin_s, label, score) in enumerate(calls(), 1):
            if where != number:
                continue
            low_hz, high_hz = (2000, 4000) if label == "chirp" else (500, 900)
            first = int(begin_s * RATE)
            phase = 2 * np.pi * (low_hz * time + (high_hz - low_hz) / 2 / CALL_S * time**2)
            samples[first : first + len(time)] += 0.3 * np.sin(phase)
            cells = row, "Spectrogram 1", 1, begin_s, begin_s + CALL_S, low_hz, high_hz
            lines.append("\t".join(map(str, (*cells, label, score))))
        sf.write(recordings / f"{name}.wav", samples, RATE)
        table = tables / f"{name}.Table.1.selections.txt"
        table.write_text("\n".join(lines) + "\n")
    return recordings, tables


class Server:
    """``animal-spot review`` as a process.

    Args:
        project: Its file.
        arguments: Further ones.
    """

    def __init__(self, project: Path, *arguments: object) -> None:
        self.project = project
        command = (sys.executable, SOUND / "review.py", "--project", project, "--no_browser")
        self._command = list(map(str, (*command, *arguments)))
        self.start()

    def start(self) -> None:
        """Start, or start again; ``address`` is where the page can be opened."""
        log = open(f"{self.project}.log", "a")  # noqa: SIM115 - the process has it
        with log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.address = self._process.stdout.readline().strip()
        assert self.address, Path(f"{self.project}.log").read_text()

    def kill(self) -> None:
        """Kill it, without warning."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            assert self._process.wait(20) in (0, 130)
        self._process.stdout.close()

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Ask the project's file."""
        with contextlib.closing(sqlite3.connect(self.project)) as db:
            return db.execute(query, values).fetchall()

    def decisions(self, reviewer: str) -> list[tuple[int, str, str | None]]:
        """Return detection, verdict and class of what a reviewer decided and did not take back."""
        return self.rows(
            "SELECT detection_id, verdict, class FROM decisions "
            "WHERE reviewer = ? AND undone = 0 ORDER BY id",
            reviewer,
        )


@contextlib.contextmanager
def browser() -> Iterator:
    """Give the system's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium(), args=FLAGS, headless=True)
        try:
            yield one
        finally:
            one.close()


def in_address(page, name: str) -> str:
    """Return a part of what the address of a page says."""
    return parse_qs(urlsplit(page.url).query).get(name, [""])[0]
