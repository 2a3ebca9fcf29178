"""A review of photos: photos with prints at known places, what a prediction says of them."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from footprints.places.taken import Taken
from footprints.scores.answers import Answer, rank
from tests.helpers.field_photos import field_exif, write_field_photo
from tests.helpers.photo_sets import soft_photo

WIDTH, HEIGHT = 320, 240
# What would be run if a name became markup.
MARKUP = "<img src=x onerror=document.title='run'>"
CLASSES = ("badger", "fox", MARKUP)
THRESHOLD = 0.5


@dataclass(frozen=True)
class Drawn:
    """A photo with a print: where it is in pixels, and what the prediction says of it."""

    name: str
    box: tuple[float, float, float, float]
    answer: str
    score: float
    is_found: bool


def drawn_photos(n: int) -> list[Drawn]:
    """Return what is on photos, in the order of their names."""
    rng = np.random.default_rng(7)
    found = []
    for number in range(n):
        x, y = rng.integers(20, 200), rng.integers(20, 140)
        side = int(rng.integers(40, 90))
        box = (float(x), float(y), float(x + side), float(y + side))
        weights = rng.dirichlet([0.5] * len(CLASSES))
        answer, _, ranking = rank(weights, CLASSES, 3, THRESHOLD)
        folder = "a" if number < n // 2 else f"b {MARKUP.replace('/', '')}"
        name = f"{folder}/{number:04d}.jpg"
        found.append(Drawn(name, box, answer, round(ranking[0][1], 6), number % 10 != 9))
    return found


def write_photos(folder: Path, n: int) -> Path:
    """Write photos, each taken a minute after the one before."""
    for number, one in enumerate(drawn_photos(n)):
        picture = Image.fromarray(soft_photo(number, HEIGHT, WIDTH) // 2 + 100)
        draw = ImageDraw.Draw(picture)
        draw.ellipse(one.box, fill=(40, 30, 20))
        draw.text((4, 4), str(number), fill=(255, 255, 255))
        time = f"2026:03:01 {7 + number // 60:02d}:{number % 60:02d}:00"
        write_field_photo(folder / one.name, np.asarray(picture), field_exif(time))
    return folder


def write_predictions(folder: Path, photos: Path, n: int, trail_of: int = 10) -> Path:
    """Write what predict says of them; each ``trail_of`` photos are a trail."""
    rng = np.random.default_rng(7)
    records = []
    for number, one in enumerate(drawn_photos(n)):
        rng.integers(20, 200), rng.integers(20, 140), rng.integers(40, 90)
        weights = rng.dirichlet([0.5] * len(CLASSES))
        answer, certain, ranking = rank(weights, CLASSES, 3, THRESHOLD)
        taken = Taken(f"2026-03-01T{7 + number // 60:02d}:{number % 60:02d}:00+01:00", 47.2, 8.5)
        confidence = 0.6 if one.is_found else None
        size = (WIDTH, HEIGHT)
        path = photos / one.name
        about = (one.name, answer, certain, ranking, one.box, confidence, one.is_found)
        record = Answer(path, *about, *size, taken).record()
        records.append(record | {"trail": f"trail {number // trail_of + 1}"})
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        **{"complete": True, "model": "m.keras", "classes": list(CLASSES), "threshold": THRESHOLD},
        **{"note": "weak model: 40% right", "settings": {"margin": 0.1, "min_crop_side": 32}},
        **{"photos_dir": str(photos), "photos": records, "failed": [], "unused": []},
    }
    (folder / "predictions.json").write_text(json.dumps(content))
    return folder


class Server:
    """``footprints review`` as a process.

    Args:
        project: Its file.
        arguments: Further ones.
    """

    def __init__(self, project: Path, *arguments: object) -> None:
        self.project = project
        command = (sys.executable, "-m", "footprints.review", "--project", project, "--no_browser")
        self._command = list(map(str, (*command, *arguments)))
        self.start()

    def start(self) -> None:
        """Start, or start again; ``address`` is where the page can be opened."""
        with open(f"{self.project}.log", "a") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.address = self.process.stdout.readline().strip()
        assert self.address, Path(f"{self.project}.log").read_text()

    def kill(self) -> None:
        """Kill it, without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(20) in (0, 130)
        self.process.stdout.close()

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Ask the project's file."""
        with contextlib.closing(sqlite3.connect(self.project)) as db:
            return db.execute(query, values).fetchall()

    def decisions(self, reviewer: str) -> list[tuple[int, str, str | None]]:
        """Return box, verdict and class of what a reviewer decided and did not take back."""
        return self.rows(
            "SELECT detection_id, verdict, class FROM decisions "
            "WHERE reviewer = ? AND undone = 0 ORDER BY id",
            reviewer,
        )
