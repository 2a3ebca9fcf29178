"""Small data sets of drawn photos, for the tests of audit and prepare."""

from __future__ import annotations

import csv
import hashlib
import os
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.photos import encoded


def soft_photo(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    """Return a picture of soft shapes, unlike that of any other seed; uint8 RGB."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def write_photo(path: Path, seed: int, **options) -> Path:
    """Write a photo that belongs to a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(soft_photo(seed), **options))
    return path


def make_real(folder: Path, classes: dict[str, int], start: int = 0) -> Path:
    """Write ``<class>/<n>.jpg``, all different."""
    seed = start
    for label, count in classes.items():
        for number in range(count):
            write_photo(folder / label / f"{label}{number}.jpg", seed)
            seed += 1
    return folder


def make_oat(folder: Path, parts: dict[str, dict[str, int]], start: int = 1000) -> Path:
    """Write ``cropped_imgs/<part>/<class>/<n>.jpg``, all different."""
    for number, (part, classes) in enumerate(parts.items()):
        make_real(folder / "cropped_imgs" / part, classes, start + 100 * number)
    return folder


def state_of(folder: Path) -> dict[str, tuple]:
    """Return everything about a folder that writing would change."""
    state = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(root, name)
            status = os.lstat(path)
            digest = ""
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
            state[path] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
    return state


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def crops_of(folder: Path) -> dict[str, bytes]:
    """Return the crops of a prepared set by their path below it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.png"))
    }
