"""Prepared data sets and processes for the tests of training and evaluation."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.places import ROOT

SIZE = 32  # pixels; the smallest that the backbones take
OAT = ("bear", "cat", "déer")
REAL = ("loup", "ours")


def draw_crop(rng: np.random.Generator, kind: int, size: int = SIZE) -> np.ndarray:
    """Return noise with one colour channel raised: RGB uint8 ``(size, size, 3)``."""
    crop = rng.integers(0, 90, (size, size, 3))
    crop[..., kind % 3] += 150
    return crop.astype(np.uint8)


def make_prepared(
    folder: Path, sets: dict[str, dict[str, dict[str, int]]], size: int = SIZE, seed: int = 0
) -> Path:
    """Write what ``prepare`` would: ``sets[set][split][class]`` crops."""
    rng = np.random.default_rng(seed)
    for name, splits in sets.items():
        for split, classes in splits.items():
            for kind, (animal, n) in enumerate(classes.items()):
                part = folder / name / split / animal
                part.mkdir(parents=True)
                for i in range(n):
                    crop = Image.fromarray(draw_crop(rng, kind, size))
                    crop.save(part / f"{animal}-{split}-{i:03}.png")
        list_in_manifest(folder / name)
    (folder / "settings.json").write_text('{"margin": 0.25}\n')
    return folder


def list_in_manifest(folder: Path) -> None:
    """Write the manifest of the pictures that lie in a set's folder."""
    rows = []
    for path in sorted(folder.rglob("*.png")):
        part, label, name = path.relative_to(folder).parts
        split, _, scale = part.partition("_")
        rows.append((f"{part}/{label}/{name}", label, split, scale or "crop"))
    with open(folder / "manifest.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("crop", "class", "split", "scale"), *rows])


def even(names: tuple[str, ...], **splits: int) -> dict[str, dict[str, int]]:
    """Return the same number of crops for all classes, by split."""
    return {split: dict.fromkeys(names, n) for split, n in splits.items()}


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process of ours: this checkout, one thread."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        **more,
    }


def run_step(step: str, *flags: object, **variables: str) -> subprocess.CompletedProcess:
    """Run ``python -m footprints.<step>`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", f"footprints.{step}", *map(str, flags)],
        capture_output=True,
        text=True,
        env=environment(**variables),
        timeout=240,
    )


def run_python(code: str, *args: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run a few lines in a fresh interpreter, in a folder that is not the project's."""
    env = environment()
    del env["PYTHONPATH"]
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        env=env,
        cwd=cwd or "/",
        timeout=240,
    )
