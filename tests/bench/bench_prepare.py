"""How fast is prepare? Printed as ratios; run by hand: python -m tests.bench.bench_prepare.

1. Photos/s of prepare with a detector against bare YOLO calls, one process each, start-up left
   out on both sides (goal: 0.9).
2. Photos/s of two processes against one (goal: 1.6; needs two idle cores).
3. Seconds of a warm second prepare of 4,000 photos, start-up included (goal: below 5).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.places import ROOT

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "false",
}
UNTRAINED = """
import sys
from footprints.detector.yolo import load_ultralytics
load_ultralytics().YOLO("yolo11n.yaml").save(sys.argv[1])
"""
BARE = """
import sys, time
from pathlib import Path
from footprints.detector.yolo import load_yolo
import torch
torch.set_num_threads(1)
model = load_yolo(Path(sys.argv[1]))
photos = sorted(Path(sys.argv[2]).rglob("*.jpg"))
for number, photo in enumerate(photos):
    if number == int(sys.argv[3]):
        start = time.perf_counter()
    model.predict(str(photo), conf=0.25, iou=0.45, imgsz=640, device="cpu", verbose=False)
print((len(photos) - int(sys.argv[3])) / (time.perf_counter() - start))
"""


def draw(folder: Path, n: int, width: int, height: int) -> Path:
    """Write photos of soft shapes with grain, in two classes."""
    rng = np.random.default_rng(0)
    for number in range(n):
        small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        if width > 200:
            grain = rng.normal(0, 8, (height, width, 1))
            image = Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
        path = folder / f"class{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=90)
    return folder


def command(photos: Path, output: Path, detector: str, processes: int) -> list[str]:
    """Return the command of one prepare."""
    step = [sys.executable, "-m", "footprints.prepare", "--real_dir", str(photos)]
    return [
        *step,
        *("--output_dir", str(output), "--detector", detector, "--processes", str(processes)),
    ]


def bare_rate(photos: Path, detector: str, skip: int) -> float:
    """Return the photos/s of YOLO calls in a loop, after ``skip`` photos."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, detector, str(photos), str(skip)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def prepare_rate(photos: Path, detector: str, processes: int, skip: int) -> float:
    """Return the photos/s of prepare after ``skip`` photos, seen from the lines of its journal."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "out" / "crops" / "journal.jsonl"
        run = subprocess.Popen(
            command(photos, Path(folder) / "out", detector, processes),
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        total = sum(1 for _ in photos.rglob("*.jpg"))
        first = None
        while True:
            n = journal.read_bytes().count(b"\n") if journal.exists() else 0
            now = time.perf_counter()
            if first is None and n >= skip:
                first = (n, now)
            if n >= total:
                break
            if run.poll() not in (None, 0):
                raise SystemExit(f"prepare ended with status {run.returncode}")
            time.sleep(0.005)
        run.wait()
        return (total - first[0]) / (now - first[1])


def warm_seconds(n: int) -> tuple[float, float]:
    """Return the seconds of a first and a second prepare of small photos."""
    with tempfile.TemporaryDirectory() as folder:
        photos = draw(Path(folder) / "photos", n, 96, 96)
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run(
                command(photos, Path(folder) / "out", "none", 2),
                env=ENVIRONMENT,
                capture_output=True,
                check=True,
            )
            seconds.append(time.perf_counter() - start)
        return seconds[0], seconds[1]


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", help="a .pt file (default: an untrained yolo11n)")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm", type=int, default=4000, help="photos of the third measurement")
    parser.add_argument("--skip", type=int, default=20, help="photos not timed, at the start")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        detector = args.detector or str(Path(folder) / "yolo11n.pt")
        if not args.detector:
            run = [sys.executable, "-c", UNTRAINED, detector]
            subprocess.run(run, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
        photos = draw(Path(folder) / "photos", args.photos, args.width, args.height)
        against_bare, against_one = [], []
        for _ in range(args.repeats):  # in turns, so that a busy machine hits all alike
            bare = bare_rate(photos, detector, args.skip)
            one = prepare_rate(photos, detector, 1, args.skip)
            two = prepare_rate(photos, detector, 2, args.skip)
            against_bare.append(one / bare)
            against_one.append(two / one)
            print(f"photos/s: bare {bare:.1f}, prepare {one:.1f}, two processes {two:.1f}")
    print(f"prepare / bare YOLO: {statistics.median(against_bare):.2f} (goal 0.9)")
    print(f"two processes / one: {statistics.median(against_one):.2f} (goal 1.6)")
    if args.warm:
        first, second = warm_seconds(args.warm)
        print(f"prepare of {args.warm} photos: first {first:.1f} s, second {second:.2f} s (goal 5)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
