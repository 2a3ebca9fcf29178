"""How long ``footprints.predict`` takes beside its parts: detector and classifier by themselves.

    python -m tests.bench.bench_footprint_predict --model FILE.keras --detector FILE [--photos DIR]

The detector alone is ``YoloInference.detect`` and the crop on every photo in one process, the
classifier alone ``Classifier.predict`` on the crops in another, both with as many threads as
predict has processes; predict is the step as a user calls it. Each is timed twice: the whole
process, start included, and the work after the start; processor seconds say the same on a machine
that has other work. Without ``--photos``, photos are drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers.places import ROOT

DETECTOR = """
import sys, time, numpy as np
from footprints.detector.yolo import YoloInference
from footprints.pictures.finding import find_photos
from footprints.pictures.crops import best_crop_of
from footprints.system.settings import Settings
from footprints.pictures.photos import load_photo
detector, folder, target = sys.argv[1:]
yolo, settings = YoloInference(detector), Settings()
yolo.detect(np.zeros((64, 64, 3), np.uint8))
start, crops = time.monotonic(), []
for path in find_photos(folder):
    photo = load_photo(path)
    crops.append(best_crop_of(photo, yolo.detect(photo), settings).rgb)
print("seconds", time.monotonic() - start)
np.save(target, np.stack(crops))
"""
CLASSIFIER = """
import sys, time, numpy as np
from footprints.network.classifier import Classifier
model, crops = Classifier(sys.argv[1]), np.load(sys.argv[2])
model.predict(crops[:32])
start = time.monotonic()
model.predict(crops)
print("seconds", time.monotonic() - start)
"""


def timed(command: list[str], threads: int) -> tuple[float, float, str]:
    """Run a process; returns its seconds, its processor seconds, and what it printed."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | dict.fromkeys(names, str(threads))
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment
    )
    seconds = time.monotonic() - start
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, used, done.stdout


def main() -> int:
    """Time the three and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--photos", type=Path, help="sound photos only")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = args.photos
        if photos is None:
            timed(["-m", "footprints.synthesise", "--output_dir", str(folder / "drawn")], 1)
            photos = folder / "drawn" / "real"
        crops = str(folder / "crops.npy")
        finding, finding_cpu, said = timed(
            ["-c", DETECTOR, args.detector, str(photos), crops], args.processes
        )
        finding_work = float(said.split()[-1])
        naming, naming_cpu, said = timed(["-c", CLASSIFIER, args.model, crops], args.processes)
        naming_work = float(said.split()[-1])
        flags = ["--model", args.model, "--detector", args.detector]
        flags += ["--processes", str(args.processes), "--output_dir", str(folder / "out")]
        whole, whole_cpu, said = timed(
            ["-m", "footprints.predict", str(photos), *flags], args.processes
        )
        whole_work = float(re.search(r"photos in ([\d.]+) s", said).group(1))
        count = len(json.loads((folder / "out" / "predictions.json").read_text())["photos"])
    print(f"{count} photos, {args.processes} processes")
    print(f"{'':28} {'process':>9} {'after start':>12} {'processor':>10}")
    rows = {
        "detector alone": (finding, finding_work, finding_cpu),
        "classifier alone": (naming, naming_work, naming_cpu),
        "predict": (whole, whole_work, whole_cpu),
    }
    for name, (process, work, cpu) in rows.items():
        print(f"{name:28} {process:8.1f}s {work:11.1f}s {cpu:9.1f}s")
    ratio = whole / (finding + naming)
    ratios = (
        ratio,
        whole_work / (finding_work + naming_work),
        whole_cpu / (finding_cpu + naming_cpu),
    )
    print("{:28} {:8.2f} {:12.2f} {:10.2f}".format("predict / both (at most 1.2)", *ratios))
    return 0 if ratio <= 1.2 else 1


if __name__ == "__main__":
    sys.exit(main())
