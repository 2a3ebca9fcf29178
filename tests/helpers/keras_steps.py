"""Prepared data sets and processes for the tests of training and evaluation."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

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
