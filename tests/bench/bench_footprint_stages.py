"""How fast is the frozen stage on cached features? Run by hand on a quiet machine; prints ratios.

    python -m tests.bench.bench_footprint_stages [--n_photos 256] [--views 8]
        [--backbone MobileNetV3Small] [--epochs 50]

An epoch of stage oat (batch 16, 224 pixels, augmentation, validation, state on disk) end to end
against one on cached features; the first epoch of each, which compiles, is left out. Aim: at least
10 times. Also printed: the same for a whole stage, with the time that making the features takes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from footprints.network.build import build_model
from footprints.network.loader import CropLoader
from footprints.network.phase import Phase, run_phase
from footprints.network.prepared_set import open_set
from footprints.network.train_state import StageFolder
from tests.helpers.keras_steps import list_in_manifest

N_CLASSES = 18


def write_crops(folder: Path, n_photos: int) -> None:
    """Write noise as prepared crops, four to one for training and validation."""
    rng = np.random.default_rng(0)
    for split, n in (("train", n_photos), ("val", n_photos // 4)):
        for i in range(n):
            part = folder / split / f"class {i % N_CLASSES:02}"
            part.mkdir(parents=True, exist_ok=True)
            crop = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            Image.fromarray(crop).save(part / f"{i:05}.png", compress_level=1)
    list_in_manifest(folder)


def measure(folder: Path, loaders: tuple[CropLoader, CropLoader], phase: Phase, backbone: str):
    """Return the seconds of each epoch, and those before the first one."""
    model = build_model(N_CLASSES, backbone)
    state = StageFolder(folder / f"state-{phase.cached_views}")
    state.open({})
    started = time.perf_counter()
    rows = run_phase(
        model,
        phase,
        number=0,
        stage="oat",
        train=loaders[0],
        val=loaders[1],
        seed=0,
        weights=None,
        folder=state,
        log_dir=folder / "logs",
        report=lambda line: None,
    )
    seconds = [row["seconds"] for row in rows]
    return seconds, time.perf_counter() - started - sum(seconds)


def main() -> int:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n_photos", type=int, default=256)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--backbone", default="MobileNetV3Small")
    parser.add_argument("--epochs", type=int, default=50, help="of the whole stage")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_crops(folder / "oat", args.n_photos)
        crops = open_set(folder / "oat", ("train", "val"))
        loaders = CropLoader(crops, "train"), CropLoader(crops, "val")
        for loader in loaders:
            loader.check()
        seconds, before = {}, {}
        for views, epochs in ((0, 4), (args.views, 12)):
            phase = Phase("head", 0, "adamax", 1e-3, epochs, 10**6, 16, views)
            all_epochs, before[views] = measure(folder, loaders, phase, args.backbone)
            seconds[views] = statistics.median(all_epochs[1:])
            print(
                f"{'cached features' if views else 'end to end':16} "
                f"{seconds[views] * 1000:8.0f} ms an epoch, {before[views]:6.1f} s before it"
            )
    print(f"per epoch: {seconds[0] / seconds[args.views]:.1f} times (aim 10)")
    whole = [before[views] + args.epochs * seconds[views] for views in (0, args.views)]
    print(f"{args.epochs} epochs with {args.views} views: {whole[0] / whole[1]:.1f} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
