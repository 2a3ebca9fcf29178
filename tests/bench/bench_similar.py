"""Are the nearest of a call of its class? And how long does a search take? Run by hand.

    python -m tests.bench.bench_similar --data_dir CLIPS --folds DIR/model [--model birdnet]
    python -m tests.bench.bench_similar --vectors 1000000 --dim 512

DIR is the ``--model_dir`` of a training with ``--cross_validate``: of each fold the clips that its
network never heard are embedded by it, or all by ``--model``. Each is looked for among those of
other tapes of its fold. Recall at 10 is the share of its class among the ten nearest, or among as
many as there are of it. Prints the mean over the clips of each class, and over classes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from animal_spot.data.labels import tape_of
from animal_spot.embeddings.embedding_model import installed_birdnet
from animal_spot.similarity.embedder import open_embedder
from animal_spot.similarity.search import Windows

_N = 10


def embedded(model: Path, paths: list[Path]) -> np.ndarray:
    """Embed clips as long as a window."""
    found = {one.path: one.vectors[0] for one in open_embedder(model).of_recordings(paths)}
    return np.stack([found[path] for path in paths])


def recall(vectors: np.ndarray, names: list[str]) -> tuple[dict[str, list], dict[str, list]]:
    """Return the recall of each clip by class, and what chance would reach."""
    none = np.zeros(len(names))
    windows = Windows(vectors, np.arange(len(names)), none, none + 1)
    classes = np.array([Path(name).parts[0] for name in names])
    tapes = np.array([tape_of(name) for name in names])
    found, chance = defaultdict(list), defaultdict(list)
    for i, vector in enumerate(vectors):
        others = tapes != tapes[i]
        n_alike = int((others & (classes == classes[i])).sum())
        if n_alike:
            similarity = np.where(others, windows.similarity(vector), -np.inf)
            nearest = np.argsort(-similarity, kind="stable")[:_N]
            most = min(_N, n_alike)
            found[classes[i]].append((classes[nearest] == classes[i]).sum() / most)
            chance[classes[i]].append(_N * n_alike / others.sum() / most)
    return found, chance


def judge(data_dir: Path, folds: Path, model: str | None) -> None:
    """Print recall at 10 by class."""
    found, chance = defaultdict(list), defaultdict(list)
    for fold in sorted(folds.glob("fold_*")):
        names = json.loads((fold / "predictions.json").read_text())["names"]
        own = fold / "ANIMAL-SPOT.pk"
        chosen = own if model is None else installed_birdnet() if model == "birdnet" else model
        vectors = embedded(Path(chosen), [data_dir / name for name in names])
        for total, part in zip((found, chance), recall(vectors, names), strict=True):
            for name, values in part.items():
                total[name] += values
    for name in sorted(found):
        shown = np.mean(found[name]), np.mean(chance[name])
        print(f"{name}: {shown[0]:.2f}, by chance {shown[1]:.2f}, {len(found[name])} clips")
    means = [np.mean([np.mean(v) for v in total.values()]) for total in (found, chance)]
    print(f"mean of classes: {means[0]:.3f}, by chance {means[1]:.3f}")


def measure(n: int, dim: int) -> None:
    """Print how long a search of random vectors takes."""
    vectors = np.random.default_rng(0).random((n, dim), np.float32)
    place = np.arange(n)
    windows = Windows(vectors, place % 100, place // 100 * 1.5, place // 100 * 1.5 + 3)
    wall, busy = [], []
    for i in range(5):
        began = time.perf_counter(), time.process_time()
        windows.nearest(vectors[i], 80)
        wall.append(time.perf_counter() - began[0])
        busy.append(time.process_time() - began[1])
    print(f"{n} vectors of {dim}: {min(wall):.3f} s, {min(busy):.3f} s of a core")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", type=Path)
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--vectors", type=int)
    parser.add_argument("--dim", type=int, default=512)
    options = parser.parse_args()
    if options.vectors:
        measure(options.vectors, options.dim)
    if options.folds:
        judge(options.data_dir, options.folds, options.model)


if __name__ == "__main__":
    main()
