"""What needs a GPU, each as a process with a limit of time; one table. See ``gpu_check.sh``.

tests: those that are marked gpu.
floor: prediction as a whole against the network alone, bf16 and fp32.
feeding: an epoch of EfficientNet-Lite0 against its optimiser steps on a fixed batch.
agreement: network inputs and probabilities against the CPU, in fp32.
torchrun: one process that torchrun starts (NCCL on a GPU) against a plain training.
variants: floor in bf16 with all threads in one stream, and with two batches in flight.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

LIMIT_S = 480.0
NEEDED = ("torch", "torchvision", "timm", "numpy", "soundfile", "soxr", "pytest", "tensorboard")
PREDICTION, FP32_PREDICTION, TRAINING = 1.25, 1.3, 1.15  # most times the network alone
FEATURES, PROBABILITIES, LOSSES = 1e-3, 1e-4, 1e-4  # largest difference


class Row(NamedTuple):
    """A line of the table; ``good`` None: it was not judged."""

    check: str
    found: str
    wanted: str = ""
    good: bool | None = None


def _output_of(arguments: list[str], seconds: float) -> tuple[int, str]:
    """Run Python; return its status and all that it said."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as stopped:
        said = stopped.stdout or b""
        return 124, said.decode() if isinstance(said, bytes) else said
    return done.returncode, done.stdout


def _failed(check: str, status: int, said: str) -> Row:
    last = said.strip().splitlines()[-1:] or ["nothing was said"]
    return Row(check, f"status {status}: {last[0][:110]}", "", False)


def tests(device: str, seconds: float) -> list[Row]:
    """Run the tests that need a CUDA device."""
    if device != "cuda":
        return [Row("tests", "left out: they need a CUDA device")]
    arguments = ["-m", "pytest", "-q", "-m", "gpu", "--durations=0", "tests/animal_spot"]
    status, said = _output_of(arguments, seconds)
    last = [line for line in said.splitlines() if re.search(r"\d+ (passed|failed)", line)]
    if status and not last:
        return [_failed("tests", status, said)]
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    rows = [Row("tests", last[-1].strip("= "), "all", status == 0)]
    return rows + [Row("tests", f"failed: {name}", "", False) for name in failures]


def floor(device: str, seconds: float) -> list[Row]:
    """Compare prediction with the network alone."""
    small = device == "cpu"
    rows = []
    limits = {"bf16": PREDICTION, "fp32": FP32_PREDICTION}
    if device == "mps":
        del limits["bf16"]
    for precision, limit in limits.items():
        arguments = [
            *("-m", "tests.bench.bench_prediction", "--only", "floor", "--precision", precision),
            *("--device", device, "--rounds", "1" if small else "3"),
            *("--minutes", "0.25" if small else "30"),
        ]
        status, said = _output_of(arguments, seconds / len(limits))
        rows.append(_ratio(f"floor {precision}", status, said, None if small else limit))
    return rows


def feeding(device: str, seconds: float) -> list[Row]:
    """Compare an epoch with its optimiser steps."""
    small = device == "cpu"
    n_workers = min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    arguments = [
        *("-m", "tests.bench.bench_training", "--only", "epoch", "--device", device),
        *("--network", "EfficientNet-Lite0", "--batch_size", "16"),
        *("--num_workers", str(n_workers), "--clips", "12" if small else "300"),
        *("--rounds", "1" if small else "3"),
    ]
    status, said = _output_of(arguments, seconds)
    lines = [line for line in said.splitlines() if "floor" in line]
    if status or not lines:
        return [_failed("feeding", status, said)]
    return [_ratio("feeding", 0, line, None if small else TRAINING) for line in lines]


def _ratio(check: str, status: int, said: str, limit: float | None) -> Row:
    found = re.findall(r"^.*: ([\d.]+) x.*$", said, re.MULTILINE)
    if status or not found:
        return _failed(check, status, said)
    (line,) = [m[0] for m in re.finditer(r"^.*: [\d.]+ x.*$", said, re.MULTILINE)][-1:]
    if limit is None:
        return Row(check, line)
    return Row(check, line, f"at most {limit} x", float(found[-1]) <= limit)


def agreement(device: str, seconds: float) -> list[Row]:
    """Compare network inputs and probabilities with those of the CPU."""
    status, said = _output_of(["-m", "tests.bench.gpu_check", "--differences", device], seconds)
    rows = []
    for name, value, limit in re.findall(r"^(\S+) differ by (\S+), limit (\S+)$", said, re.M):
        good = float(value) <= float(limit)
        rows.append(Row(f"agreement: {name}", f"within {value}", f"within {limit}", good))
    return rows if rows and not status else [_failed("agreement", status, said)]


def differences(device: str) -> None:
    """Print how far a device is from the CPU, in fp32."""
    import numpy as np
    import torch

    from animal_spot.audio.signal_config import Pcen, SignalConfig
    from animal_spot.audio.spectrograms import SpectrogramPipeline
    from animal_spot.audio.window_features import WindowFeatures
    from animal_spot.audio.windows import WindowGrid
    from tests.bench.bench_prediction import long_recording, make_run, predicted, random_model

    torch.backends.cuda.matmul.allow_tf32 = False
    rng = np.random.default_rng(0)
    signals = {
        "linear": {"n_freq_bins": 256, "min_max_norm": True},
        "mel": {"n_freq_bins": 96, "freq_compression": "mel", "fmax": 12_000},
        "mfcc": {"n_freq_bins": 96, "freq_compression": "mfcc", "fmax": 12_000},
        "pcen": {"n_freq_bins": 96, "freq_compression": "mel", "fmax": 12_000, "pcen": Pcen()},
    }
    for name, options in signals.items():
        pipeline = SpectrogramPipeline(SignalConfig(n_fft=1024, hop_length=172, **options))
        grid = WindowGrid.of_seconds(0.5, 0.25, 44_100)
        samples = rng.standard_normal(grid.length + 199 * grid.hop).astype(np.float32) * 0.1
        here, there = (
            WindowFeatures(pipeline, grid, place).of_stretch(samples, 200).cpu()
            for place in ("cpu", device)
        )
        scale = float(here.abs().max())  # coefficients are not in 0..1
        difference = float((here - there).abs().max()) / scale
        print(f"inputs-{name} differ by {difference:.1e}, limit {FEATURES:g}")
    with tempfile.TemporaryDirectory() as folder:
        paths = [long_recording(Path(folder) / f"{i}.wav", 20 + i, []) for i in range(4)]
        model = random_model(Path(folder) / "model.pk", 2)
        of_cpu, of_device = (
            predicted(make_run(model, "fp32", "--device", place).predictor(paths), paths)[0]
            for place in ("cpu", device)
        )
    difference = float(np.abs(of_cpu - of_device).max())
    print(f"probabilities differ by {difference:.1e}, limit {PROBABILITIES:g}")


def torchrun(device: str, seconds: float) -> list[Row]:
    """Compare a training that torchrun starts with a plain one."""
    from animal_spot.demo import corpus
    from tests.helpers.distributed import losses_of
    from tests.helpers.training import MAIN, SMALL, folders

    small = ("--max_train_epochs", "2", "--epochs_per_eval", "1", "--device", device)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1")
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        corpus.synthesise(base / "data", 12, 12, 0)
        for name, way in (("plain", ()), ("together", launcher)):
            arguments = [*way, str(MAIN), "--data_dir", str(base / "data"), *SMALL, *small]
            status, said = _output_of([*arguments, *folders(base / name)], seconds / 2)
            if status:
                return [_failed(f"torchrun ({name})", status, said)]
        plain, together = losses_of(base / "plain"), losses_of(base / "together")
    largest = max(
        abs(a - b) for tag in plain for a, b in zip(plain[tag], together[tag], strict=True)
    )
    found = f"losses of {len(plain)} phases within {largest:.1e}"
    return [Row("torchrun", found, f"within {LOSSES:g}", largest <= LOSSES)]


def variants(device: str, seconds: float) -> list[Row]:
    """Compare prediction with the network alone where something is done in another way."""
    rows = []
    for name in VARIANTS:
        arguments = ["-m", "tests.bench.gpu_check", "--variant", name, "--device", device]
        status, said = _output_of(arguments, seconds / len(VARIANTS))
        rows.append(_ratio(f"variant: {name}", status, said, None))
    return rows


def _one_stream() -> None:
    from animal_spot.audio.own_stream import OwnStream

    OwnStream.__call__ = lambda _: contextlib.nullcontext()


def _two_batches() -> None:
    from animal_spot.prediction.engines import TorchEngine

    TorchEngine.n_parallel = 2


VARIANTS = {"one stream": _one_stream, "two batches": _two_batches}


def run_variant(name: str, device: str) -> None:
    """Print the floor of a variant."""
    from tests.bench import bench_prediction

    VARIANTS[name]()
    small = device == "cpu"
    args = argparse.Namespace(
        minutes=0.25 if small else 30,
        rounds=1 if small else 3,
        device=device,
        model=None,
        precision="fp32" if device == "mps" else "bf16",
    )
    with tempfile.TemporaryDirectory() as folder:
        bench_prediction.bench_floor(args, Path(folder), [])


STEPS: dict[str, tuple[Callable[[str, float], list[Row]], float]] = {
    "agreement": (agreement, 60),  # and the most seconds it may take
    "floor": (floor, 120),
    "feeding": (feeding, 110),
    "torchrun": (torchrun, 70),
    "variants": (variants, 80),
    "tests": (tests, 200),
}


def about_machine(device: str) -> list[Row]:
    """Say what there is, and what is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    rows = []
    if missing:
        rows.append(Row("missing", f"pip install {' '.join(missing)}", "all packages", False))
    if "torch" in missing:
        return rows
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    rows.append(Row("machine", f"torch {torch.__version__}, {name}, {os.cpu_count()} cores"))
    if not there.get(device, lambda: True)():
        rows.append(
            Row("machine", f"no {device}: DEVICE=cpu shows that the script works", "", False)
        )
    return rows


def table(rows: list[Row]) -> str:
    """Write rows below each other."""
    words = {True: "yes", False: "NO", None: ""}
    cells = [("check", "found", "wanted", "good")]
    cells += [(row.check, row.found, row.wanted, words[row.good]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def main() -> int:
    """Run the checks; print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("steps", nargs="*", help=f"of {', '.join(STEPS)}; none: all")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--differences", metavar="DEVICE", help=argparse.SUPPRESS)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.variant:
        run_variant(args.variant, args.device)
        return 0
    if args.differences:
        differences(args.differences)
        return 0
    if unknown := set(args.steps) - set(STEPS):
        parser.error(f"no step {', '.join(sorted(unknown))}: there are {', '.join(STEPS)}")
    rows = about_machine(args.device)
    started = time.monotonic()
    can_start = all(row.good is not False for row in rows)
    for name in (args.steps or STEPS) if can_start else ():
        check, most = STEPS[name]
        patience = 4 if args.device == "cpu" else 1
        left = patience * LIMIT_S - (time.monotonic() - started)
        if left < 5:
            rows.append(Row(name, f"left out: {LIMIT_S:g} s are over", "", False))
            continue
        began = time.monotonic()
        rows += check(args.device, min(patience * most, left))
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(rows))
    return int(any(row.good is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
