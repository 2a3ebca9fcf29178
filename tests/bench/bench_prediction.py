"""How fast is prediction? Run by hand on a quiet machine; prints ratios.

    python -m tests.bench.bench_prediction [--only NAME] [--recordings DIR] [--model PK]

floor: end to end over a long recording, or --side_by_side several that are as long together,
    against the network alone on as many windows.
baseline: the same against a loop that takes one window at a time, as the original does.
folder: many one-second files against one file with as many windows.
agreement: decisions and probabilities of each arithmetic against fp32, on all recordings.
memory: peak over a long recording against the loaded model; --hours sets its length.
start: --help, and the first window, as processes.
lites: EfficientNet-Lite0, 1 and 2 with the signal path of the preset recommended, end to end.

Without --model a ResNet-18 with random weights is used, without --recordings synthetic sound.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from animal_spot import predict
from animal_spot.audio import dsp
from animal_spot.audio.clip_files import read_waveform
from animal_spot.audio.recordings import find_recordings
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.windows import WindowGrid
from animal_spot.demo.corpus import sea_noise
from animal_spot.model_files.model_file import ModelFile, load_model, save_model
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model, encoder_options
from animal_spot.prediction.config import parse_config
from animal_spot.prediction.predictor import Predictor
from animal_spot.prediction.settled import Run, load_models, settled
from tests.helpers.places import ROOT

WINDOW_S, HOP_S = 0.5, 0.25
SIGNAL = SignalConfig(n_fft=1024, hop_length=172, n_freq_bins=256, min_max_norm=True)


def random_model(path: Path, max_pool: int) -> Path:
    """Write a ResNet-18 with random weights, sure of itself as trained ones mostly are."""
    torch.manual_seed(0)
    options = {
        "input_channels": 1,
        "conv_kernel_size": 7,
        "max_pool": max_pool,
        "resnet_size": 18,
    }
    classes = {"noise": 0, "target": 1}
    classifier_opts = {"input_channels": 512, "pooling": "avg", "num_classes": 2}
    model = build_model(build_encoder("resnet", options), Classifier(**classifier_opts))
    with torch.no_grad():
        for _ in range(20):  # else its activations are so small that the CPU is slow with them
            model.train()(torch.rand(4, 1, 128, SIGNAL.n_freq_bins))
        model.eval().classifier.linear.bias.copy_(torch.tensor([4.0, 0.0]))
    content = ModelFile(
        model, options, classifier_opts, SIGNAL, classes, "resnet", int(1000 * WINDOW_S), "min_max"
    )
    save_model(content, path)
    return path


def long_recording(path: Path, seconds: float, sources: list[Path]) -> Path:
    """Write a 44.1 kHz recording: the sources over and over, or noise."""
    rate = SIGNAL.sr
    if sources:
        block = np.concatenate([read_waveform(source, rate)[0].numpy() for source in sources])
    else:
        block = 0.05 * sea_noise(60 * rate, 1, np.random.default_rng(0)).astype(np.float32)
    left = int(seconds * rate)
    container = "RF64" if left > 2**30 else "WAV"
    with sf.SoundFile(path, "w", rate, 1, "PCM_16", format=container) as file:
        while left > 0:
            file.write(block[:left])
            left -= len(block)
    return path


def make_run(model: Path, precision: str, *extra: str) -> Run:
    """Set up a run as predict.py does."""
    config = parse_config(
        [
            *("--model_path", str(model), "--sequence_len", str(WINDOW_S), "--hop", str(HOP_S)),
            *("--override_model", "--precision", precision, *extra),
        ]
    )
    return settled(config, load_models(config))


def predicted(predictor: Predictor, paths: list[Path]) -> tuple[np.ndarray, float]:
    """Return the probabilities of all windows, and the time they took."""
    started = time.perf_counter()
    rows = []
    for outcome in predictor.run(paths):
        if outcome.reason:
            raise SystemExit(f"{outcome.path}: {outcome.reason}")
        rows.append(np.concatenate(list(outcome.probabilities.batches(4096))))
        outcome.close()
    return np.concatenate(rows), time.perf_counter() - started


def network_alone(predictor: Predictor, n_windows: int, shape: tuple[int, int]) -> float:
    """Return the time that the network needs for so many windows, from memory."""
    engine = predictor.detectors[0].engine
    batch = torch.rand(engine.batch_size, 1, *shape)
    n_batches = max(1, n_windows // engine.batch_size)
    with ThreadPoolExecutor(engine.n_parallel) as pool:
        list(pool.map(engine.infer, [batch] * 4))
        started = time.perf_counter()
        list(pool.map(engine.infer, [batch] * n_batches))
        seconds = time.perf_counter() - started
    return seconds * n_windows / (n_batches * engine.batch_size)


def shape_of(run: Run) -> tuple[int, int]:
    """Return frames and bins of a window."""
    signal = run.models[0].signal
    length = run.grid_of(run.models[0]).length
    pipeline = SpectrogramPipeline(signal)
    return dsp.n_frames(length, signal.n_fft, signal.hop_length), pipeline.n_features


def bench_floor(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """End to end against the network alone."""
    seconds_each = 60 * args.minutes / args.side_by_side
    recordings = [
        long_recording(folder / f"long{i}.wav", seconds_each, sources)
        for i in range(args.side_by_side)
    ]
    model = args.model or random_model(folder / "floor.pk", 2)
    for precision in [args.precision] if args.precision else ["fp32", "bf16"]:
        run = make_run(model, precision, "--device", args.device)
        with sole_output(folder) as output:
            predictor = run.predictor(recordings, temporary_folder=output)
            whole, alone = [], []
            for _ in range(args.rounds):
                probabilities, seconds = predicted(predictor, recordings)
                whole.append(seconds)
                alone.append(network_alone(predictor, len(probabilities), shape_of(run)))
        n = len(probabilities)
        ratio = statistics.median(whole) / statistics.median(alone)
        print(
            f"{predictor.detectors[0].engine.name}, {args.minutes:g} min, {n} windows: "
            f"{1e3 * statistics.median(whole) / n:.2f} ms a window, network alone "
            f"{1e3 * statistics.median(alone) / n:.2f} ms: {ratio:.3f} x; "
            f"{60 * args.minutes / statistics.median(whole):.0f} x real time"
        )


def literal_loop(content: ModelFile, path: Path, n_windows: int) -> float:
    """Take one window at a time, each from scratch; return seconds for each."""
    signal = content.signal
    network = content.model.eval()
    grid = WindowGrid.of_seconds(WINDOW_S, HOP_S, signal.sr)
    waveform = read_waveform(path, signal.sr)
    window = torch.hann_window(signal.n_fft)
    low, high = dsp.linear_band(signal.n_fft, signal.sr, signal.fmin, signal.fmax)
    nearest = dsp.nearest_indices(high - low, signal.n_freq_bins)
    started = time.perf_counter()
    with torch.no_grad():
        for i in range(n_windows):
            part = waveform[:, i * grid.hop : i * grid.hop + grid.length].clone()
            part[:, 1:] -= signal.preemphases * part[:, :-1].clone()
            spectrum = torch.stft(
                *(part, signal.n_fft, signal.hop_length),
                window=window,
                center=False,
                return_complex=True,
            )
            power = (spectrum / window.pow(2).sum().sqrt()).abs().pow(2).transpose(1, 2)
            level = 10 * power[..., low:high][..., nearest].clamp(min=1e-10).log10()
            level = level - level.min()
            network((level / level.max())[None]).softmax(1)
    return (time.perf_counter() - started) / n_windows


def bench_baseline(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """End to end, automatic, against one window at a time."""
    recording = long_recording(folder / "long.wav", 60 * min(args.minutes, 10), sources)
    for max_pool, wanted in ((2, 9), (1, 12)):
        model = random_model(folder / f"baseline{max_pool}.pk", max_pool)
        content = load_model(model)
        predictor = make_run(model, "auto").predictor([recording], temporary_folder=folder)
        slow, fast = [], []
        for _ in range(args.rounds):
            slow.append(literal_loop(content, recording, 200))
            probabilities, seconds = predicted(predictor, [recording])
            fast.append(seconds / len(probabilities))
        one, ours = statistics.median(slow), statistics.median(fast)
        print(
            f"max_pool {max_pool}: one at a time {1e3 * one:.1f} ms a window, "
            f"{predictor.detectors[0].engine.name} {1e3 * ours:.2f} ms: {one / ours:.1f} x "
            f"(wanted: {wanted} x)"
        )


def bench_folder(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """Many short files against one long one; whole runs with their results."""
    n_files = args.files
    n_windows = 3 * n_files  # of 0.5 s every 0.25 s in 1 s
    long = long_recording(folder / "one.wav", WINDOW_S + HOP_S * (n_windows - 1), sources)
    samples, rate = sf.read(long, dtype="int16")
    short = folder / "short"
    short.mkdir()
    for i in range(n_files):
        start = i * rate // 2 % (len(samples) - rate)
        sf.write(short / f"s{i:05d}.wav", samples[start : start + rate], rate, subtype="PCM_16")
    model = args.model or random_model(folder / "folder.pk", 2)
    rates = {}
    for name, source in (("one file", long), ("short files", short)):
        times = []
        for _ in range(args.rounds):
            with sole_output(folder) as output:
                started = [0.0]
                status = predict_timed(
                    started,
                    *("--model_path", str(model), "--input_file", str(source)),
                    *("--output_dir", str(output), "--sequence_len", str(WINDOW_S)),
                    *("--hop", str(HOP_S), "--override_model"),
                )
                times.append(time.perf_counter() - started[0])
                if status:
                    raise SystemExit(f"prediction ended with {status}")
        rates[name] = n_windows / statistics.median(times)
        print(f"{name}: {rates[name]:.1f} windows/s")
    print(f"{n_files} files: {rates['short files'] / rates['one file']:.3f} of one file's speed")


def predict_timed(started: list[float], *arguments: str) -> int:
    """Run predict.py in this process; note when the network was ready."""
    original = Predictor.run

    def run(self: Predictor, paths: list[Path]) -> object:
        started[0] = time.perf_counter()
        return original(self, paths)

    Predictor.run = run
    try:
        return predict.main([*arguments, "--no_report"])
    finally:
        Predictor.run = original


def bench_agreement(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """Each arithmetic against fp32 on the recordings."""
    recordings = sources or [long_recording(folder / "long.wav", 120, [])]
    model = args.model or random_model(folder / "agreement.pk", 2)
    place = ("--device", args.device)
    exact, seconds = predicted(make_run(model, "fp32", *place).predictor(recordings), recordings)
    print(f"fp32: {1e3 * seconds / len(exact):.2f} ms a window, {len(exact)} windows")
    for precision in ("auto", "bf16", *(["fp16"] if torch.cuda.is_available() else [])):
        predictor = make_run(model, precision, *place).predictor(recordings)
        found, seconds = predicted(predictor, recordings)
        same = decisions(found) == decisions(exact)
        print(
            f"{precision} ({predictor.detectors[0].engine.name}): "
            f"{1e3 * seconds / len(found):.2f} ms a window, decisions equal "
            f"{100 * same.mean():.2f} %, probabilities within {np.abs(found - exact).max():.4f}"
        )


def decisions(probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return the class that each window is a detection of, or -1."""
    if probabilities.shape[1] == 2:
        return np.where(probabilities[:, 1] >= threshold, 1, -1)
    return np.where(probabilities.max(1) >= threshold, probabilities.argmax(1), -1)


def bench_memory(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """Peak memory over a long recording, in a process of its own."""
    recording = long_recording(folder / "day.wav", 3600 * args.hours, sources)
    model = args.model or random_model(folder / "memory.pk", 1)
    code = (
        "import sys, resource\n"
        "from animal_spot import predict\n"
        "from animal_spot.prediction import predictor\n"
        "run = predictor.Predictor.run\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20\n"
        "def noted(self, paths):\n"
        "    print('loaded', peak(), flush=True)\n"
        "    return run(self, paths)\n"
        "predictor.Predictor.run = noted\n"
        "status = predict.main(sys.argv[1:])\n"
        "print('end', peak(), flush=True)\n"
        "sys.exit(status)\n"
    )
    with sole_output(folder) as output:
        started = time.perf_counter()
        result = subprocess.run(
            [
                *(sys.executable, "-c", code),
                *("--model_path", str(model), "--input_file", str(recording)),
                *("--output_dir", str(output), "--sequence_len", str(WINDOW_S)),
                *("--hop", str(args.hop), "--override_model"),
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    peaks = dict(line.split() for line in result.stdout.splitlines())
    loaded, end = float(peaks["loaded"]), float(peaks["end"])
    print(
        f"{args.hours:g} h at 44.1 kHz ({recording.stat().st_size / 2**30:.2f} GiB), hop "
        f"{args.hop:g} s, {time.perf_counter() - started:.0f} s: peak {end:.2f} GiB, "
        f"{end - loaded:.2f} GiB above the loaded model"
    )


def bench_start(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """Processes from their start."""
    recording = long_recording(folder / "short.wav", 1.0, sources)
    model = args.model or random_model(folder / "start.pk", 2)
    program = str(ROOT / "ANIMAL-SPOT" / "predict.py")

    def seconds_of(*arguments: str) -> float:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, program, *arguments, "--no_report"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.perf_counter() - started

    def median(action: Callable[[], float]) -> float:
        return statistics.median(action() for _ in range(args.rounds))

    print(f"--help: {median(lambda: seconds_of('--help')):.2f} s")

    def predict_once() -> float:
        with sole_output(folder) as output:
            return seconds_of(
                *("--model_path", str(model), "--input_file", str(recording)),
                *("--output_dir", str(output)),
            )

    print(f"a recording of 1 s, start to end of the process: {median(predict_once):.2f} s")


def bench_lites(args: argparse.Namespace, folder: Path, sources: list[Path]) -> None:
    """Backbones of one family in turn, so that all have the same disturbances."""
    signal = SignalConfig(
        sr=32_000,
        n_fft=1024,
        hop_length=500,
        n_freq_bins=96,
        fmin=300,
        fmax=12_000,
        freq_compression="mel",
        min_max_norm=True,
    )
    recording = long_recording(folder / "long.wav", 60 * args.minutes, sources)
    names = [f"efficientnet_lite{number}" for number in range(3)]
    predictors = {}
    for name in names:
        torch.manual_seed(0)
        options = encoder_options(name, {"pretrained": True}, (190, 96))
        encoder = build_encoder(name, options, pretrained=True)
        classifier_opts = {"input_channels": 1280, "pooling": "avg", "num_classes": 8}
        model = build_model(encoder, Classifier(**classifier_opts)).eval()
        classes = {f"c{i}": i for i in range(8)}
        content = ModelFile(model, options, classifier_opts, signal, classes, name, 3000, "min_max")
        save_model(content, folder / f"{name}.pk")
        config = parse_config(
            [
                *("--model_path", str(folder / f"{name}.pk"), "--hop", "0.5"),
                *("--precision", args.precision or "auto"),
            ]
        )
        run = settled(config, load_models(config))
        predictors[name] = run.predictor([recording], temporary_folder=folder)
    seconds = {name: [] for name in names}
    cpu_seconds = {name: [] for name in names}
    for _ in range(args.rounds + 1):
        for name in names:
            started = time.process_time()
            probabilities, wall = predicted(predictors[name], [recording])
            seconds[name].append(wall)
            cpu_seconds[name].append(time.process_time() - started)
    for name in names:
        wall, cpu, of_lite0 = (
            1e3 * statistics.median(times[1:]) / len(probabilities)  # the first warms up
            for times in (seconds[name], cpu_seconds[name], cpu_seconds[names[0]])
        )
        engine = predictors[name].detectors[0].engine.name
        print(
            f"{name} ({engine}): {wall:.2f} ms a window of 3 s, {cpu:.2f} ms of CPU, "
            f"{cpu / of_lite0:.2f} x lite0"
        )


@contextlib.contextmanager
def sole_output(folder: Path) -> object:
    """Give an empty output folder that is removed afterwards."""
    output = folder / "output"
    output.mkdir()
    try:
        yield output
    finally:
        shutil.rmtree(output)


BENCHES = {
    "floor": bench_floor,
    "baseline": bench_baseline,
    "folder": bench_folder,
    "agreement": bench_agreement,
    "start": bench_start,
    "memory": bench_memory,
    "lites": bench_lites,
}


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    by_name = ("memory", "lites")
    parser.add_argument(
        "--only", choices=list(BENCHES), help=f"none: all but {' and '.join(by_name)}"
    )
    parser.add_argument("--recordings", help="folder of real sound; none: synthetic")
    parser.add_argument("--model", type=Path, help="model file; none: random weights")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--side_by_side", type=int, default=1, help="recordings, for floor")
    parser.add_argument("--precision", help="for floor and lites; none: fp32 and bf16, auto")
    parser.add_argument("--device", default="auto", help="for floor and agreement")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--hop", type=float, default=1.0, help="seconds, for memory")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    logging.getLogger("PREDICT").setLevel(logging.WARNING)
    print(f"{os.cpu_count()} cores, torch {torch.__version__}")
    sources = find_recordings([args.recordings]) if args.recordings else []
    for name in [args.only] if args.only else [n for n in BENCHES if n not in by_name]:
        with tempfile.TemporaryDirectory() as temporary:
            BENCHES[name](args, Path(temporary), sources)


if __name__ == "__main__":
    main()
