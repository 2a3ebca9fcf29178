"""What the tests of prediction share: networks, sounds, runs, and the log's grammar anew.

The grammar and the reference loop are written from the specification, not from the program.
"""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
import torch

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.model_files.model_file import ModelFile, save_model
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from tests.golden.fill_weights import fill_module
from tests.helpers.places import ROOT
from tests.helpers.programs import run_program

PREDICT = ROOT / "ANIMAL-SPOT" / "predict.py"

# The slowest but plainest arithmetic, and no wait for other engines, or the report, to be made.
PLAIN = ("--no_cuda", "--engine", "torch", "--precision", "fp32", "--no_report")
RATE = 16_000
SIGNAL = {"sr": RATE, "n_fft": 256, "hop_length": 160, "n_freq_bins": 32, "fmin": 500, "fmax": 7000}
LENGTH_S, HOP_S = 0.25, 0.125  # windows of most tests: 24 frames
BINARY = {"noise": 0, "target": 1}
MULTI = {"K1": 0, "a-b": 1, "noise": 2, "x,y": 3}  # names may hold what separates fields elsewhere


def sound(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Return tones of changing height and loudness in noise, so that windows differ."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    n_parts = max(1, round(seconds / 0.2))
    samples = 0.01 * rng.standard_normal(n)
    for start, end in zip(
        np.linspace(0, n, n_parts + 1)[:-1], np.linspace(0, n, n_parts + 1)[1:], strict=True
    ):
        part = np.arange(int(start), int(end))
        height = rng.uniform(600, 6500)
        samples[part] += rng.uniform(0, 0.5) * np.sin(2 * np.pi * height * part / rate)
    return samples.astype(np.float32)


def write_sound(path: Path, seconds: float, seed: int = 0, rate: int = RATE, **options) -> Path:
    """Write ``sound`` and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, sound(seconds, seed, rate), rate, **options)
    return path


def make_content(
    classes: dict[str, int] = BINARY,
    *,
    seed: int = 0,
    backbone: str = "resnet",
    min_max: bool = False,
    stored_ms: int | None = 250,
    **signal,
) -> ModelFile:
    """Return a network whose answers differ from window to window.

    Filled weights give nearly the same answer for every sound. The linear layer is therefore
    turned until the logits of some windows of ``sound`` have mean 0 and deviation 1.5.
    """
    if backbone == "resnet":
        options = {
            "input_channels": 1,
            "conv_kernel_size": 7,
            "max_pool": 1,
            "resnet_size": 18,
        }
    elif backbone.startswith("timm:"):
        from animal_spot.models.timm_encoder import encoder_options  # slow to import

        options = encoder_options(backbone, pretrained=False, input_size=(32, 32))
    else:
        options = {"input_channels": 1, "pretrained": False}
    encoder = build_encoder(backbone, options)
    classifier_opts = {
        "input_channels": encoder.out_channels,
        "pooling": "avg",
        "num_classes": len(classes),
    }
    model = build_model(encoder, Classifier(**classifier_opts)).eval()
    fill_module(model)
    config = SignalConfig(**(SIGNAL | signal), min_max_norm=min_max)
    pipeline = SpectrogramPipeline(config)
    length = round(0.25 if stored_ms is None else stored_ms / 1000 * config.sr)
    length = max(length, config.n_fft)
    samples = sound(20 * length / config.sr, seed=99, rate=config.sr)
    windows = torch.from_numpy(samples[: 20 * length].reshape(20, 1, length))
    with torch.no_grad():
        inputs = torch.stack([pipeline.features(window) for window in windows])
        embedding = model.classifier.embed(model.encoder(inputs))
        mean = embedding.mean(0)
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(len(classes), embedding.shape[1], generator=generator)
        spread = ((embedding - mean) @ weight.T).std(0)
        weight *= 1.5 / spread[:, None]
        model.classifier.linear.weight.copy_(weight)
        model.classifier.linear.bias.copy_(-(weight @ mean))
    return ModelFile(
        model=model,
        encoder_opts=options,
        classifier_opts=classifier_opts,
        signal=config,
        classes=dict(classes),
        backbone=backbone,
        sequence_len_ms=stored_ms,
        normalization="min_max" if min_max else "db_range",
    )


def save_original(content: ModelFile, path: Path) -> Path:
    """Write what the original program writes: neither normalisation nor clip length."""
    torch.save(
        {
            "encoderOpts": dict(content.encoder_opts),
            "classifierOpts": dict(content.classifier_opts),
            "dataOpts": content.signal.data_opts(),
            "encoderState": content.model.encoder.state_dict(),
            "classifierState": content.model.classifier.state_dict(),
            "classes": dict(content.classes),
        },
        path,
    )
    return path


class Models:
    """Model files, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}
        self._contents: dict[str, ModelFile] = {}

    def content(self, name: str) -> ModelFile:
        """Return what the file of that name holds."""
        if name not in self._contents:
            make = {
                "binary": lambda: make_content(),
                "original": lambda: self.content("binary"),
                "multi": lambda: make_content(MULTI, seed=1),
                "multi-2": lambda: make_content(MULTI, seed=2, min_max=True),
                "multi-24k": lambda: make_content(MULTI, seed=3, sr=24_000),
                "min-max": lambda: make_content(min_max=True),
                "convnext": lambda: make_content(MULTI, seed=4, backbone="convnext", stored_ms=500),
                "resnet-500": lambda: make_content(MULTI, seed=5, stored_ms=500),
            }
            self._contents[name] = make[name]()
        return self._contents[name]

    def __call__(self, name: str) -> Path:
        """Return the path of that model file."""
        if name not in self._made:
            path = self._folder / f"{name}.pk"
            if name == "original":
                save_original(self.content(name), path)
            else:
                save_model(self.content(name), path)
            self._made[name] = path
        return self._made[name]


def golden_content(kind: str) -> ModelFile:
    """Return the network that the golden logs were made with."""
    classes = {
        "binary": {"noise": 0, "target": 1},
        "multi": {"K1": 0, "K5": 1, "K7": 2, "noise": 3},
    }[kind]
    options = {"input_channels": 1, "conv_kernel_size": 7, "max_pool": 2, "resnet_size": 18}
    classifier_opts = {"input_channels": 512, "pooling": "avg", "num_classes": len(classes)}
    model = build_model(build_encoder("resnet", options), Classifier(**classifier_opts)).eval()
    fill_module(model)
    with torch.no_grad():
        model.classifier.linear.weight *= 0.5
    return ModelFile(
        model=model,
        encoder_opts=options,
        classifier_opts=classifier_opts,
        signal=SignalConfig(
            n_fft=1024, hop_length=172, n_freq_bins=128, min_max_norm=kind == "binary"
        ),
        classes=classes,
        sequence_len_ms=500 if kind == "binary" else 400,
        normalization=None,
    )


# -- runs -----------------------------------------------------------------------------------------


def run_predict(*arguments, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run ``predict.py`` as a process of its own."""
    return run_program("predict", *arguments, cwd=cwd, timeout=120)


def predict_here(*arguments, plain: bool = True) -> int:
    """Run ``predict.py`` in this process, in plain fp32 unless told otherwise."""
    from animal_spot import predict

    options = PLAIN if plain else ("--no_cuda", "--no_report")
    return predict.main([str(argument) for argument in (*arguments, *options)])


def predict_into(model: Path, source: Path, output: Path, *options, plain: bool = True) -> None:
    """Predict in this process to a good end."""
    folders = ("--model_path", model, "--input_file", source, "--output_dir", output)
    assert predict_here(*folders, *options, plain=plain) == 0


def messages(text: str, level: str) -> list[str]:
    """Return the messages of a level in what a run wrote to standard error."""
    return re.findall(rf"^\d\d:\d\d:\d\d\|{level}\|(.*)$", text, re.MULTILINE)


def only_error(text: str) -> str:
    """Return the one error line that a run could not start with: the last line, and no more."""
    assert "Traceback" not in text, text
    lines = text.rstrip("\n").split("\n")
    other = [line for line in lines[:-1] if not re.match(r"\d\d:\d\d:\d\d\|[IW]\|", line)]
    assert not other, f"more than start lines before the error: {other}"
    (line,) = messages(text, "E")
    assert lines[-1].endswith(line)
    return line


# -- the log, from reference 06 section 4.1 -------------------------------------------------------

PREFIX = r"\d\d:\d\d:\d\d\|{}\|"
NUMBER = r"\d+(?:\.\d+)?(?:e-\d\d)?"


@dataclass
class LoggedWindow:
    """A window as the log has it."""

    start: str
    end: str
    pred: int
    prob: float
    name: str | None = None
    index: int | None = None
    layer: dict[str, float] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None


@dataclass
class ReadLog:
    """A result log; ``header`` are its first lines without time and level."""

    header: list[str]
    windows: list[LoggedWindow]

    @property
    def times(self) -> list[tuple[str, str]]:
        """Begin and end of each window, as they are written."""
        return [(w.start, w.end) for w in self.windows]

    @property
    def probabilities(self) -> np.ndarray:
        """The output layer ``(windows, classes)``; of two classes the second column only."""
        if self.windows[0].layer:
            return np.array([list(w.layer.values()) for w in self.windows])
        return np.array([[w.prob] for w in self.windows])


def _probability(text: str) -> float:
    """Read a float32 that is written as the shortest decimal of its value in 64 bits."""
    assert re.fullmatch(NUMBER, text), text
    assert repr(float(np.float32(text))) == text
    return float(text)


def _check_seconds(text: str) -> None:
    assert repr(round(float(text), 3)) == text, f"not a rounded Python float: {text}"


def read_log(path: Path, *, debug: bool = False) -> ReadLog:
    """Read a result log line by line; whatever is not of the documented form fails."""
    content = path.read_bytes()
    assert content.endswith(b"\n")
    lines = content.decode(errors="surrogateescape").split("\n")[:-1]
    header = []
    for line in lines[:9]:
        match = re.fullmatch(PREFIX.format("I") + "(.*)", line)
        assert match, line
        header.append(match[1])
    assert header[1].startswith("Model Path: ")
    assert isinstance(ast.literal_eval(re.fullmatch(r"dataOpts: (\{.*\})", header[2])[1]), dict)
    assert re.fullmatch(
        rf"prediction length: {NUMBER}\[s\], hop length: {NUMBER}\[s\], threshold: {NUMBER}, "
        rf"prediction fmin: {NUMBER}\[Hz\] prediction fmax: {NUMBER}\[Hz\]",
        header[3],
    ), header[3]
    classes = ast.literal_eval(re.fullmatch(r"class distribution: (\{.*\})", header[4])[1])
    n_samples = int(re.fullmatch(r"size of the file\(samples\)=(\d+)", header[6])[1])
    hop = int(re.fullmatch(r"size of hop\(samples\)=(\d+)", header[7])[1])
    assert header[8] == f"stop time={max(1, n_samples // hop)}"

    rest = iter(lines[9:])
    windows = []
    for line in rest:
        first = last = None
        if debug:
            first = int(re.fullmatch(PREFIX.format("D") + r"start extract=(\d+)", line)[1])
            last = int(re.fullmatch(PREFIX.format("D") + r"end extract=(\d+)", next(rest))[1])
            line = next(rest)
        if len(classes) == 2:
            form = r"time=([\d.]+)-([\d.]+), pred=([01]), prob=(\S+)"
            match = re.fullmatch(PREFIX.format("I") + form, line)
            assert match, line
            start, end, pred, prob = match.groups()
            window = LoggedWindow(start, end, int(pred), _probability(prob))
        else:
            form = r"time=([\d.]+)-([\d.]+), pred=([01]), pred_class=(.+)-(\d+), prob=(\S+)"
            match = re.fullmatch(PREFIX.format("I") + form, line)
            assert match, line
            start, end, pred, name, index, prob = match.groups()
            assert classes[name] == int(index)
            assert next(rest) == "output_layer:"
            layer = {}
            for wanted in sorted(classes, key=classes.get):
                found, _, value = next(rest).rpartition("=")
                assert found == wanted
                assert value.endswith(";")
                layer[found] = _probability(value[:-1])
            assert next(rest) == ""
            window = LoggedWindow(start, end, int(pred), _probability(prob), name, int(index))
            window.layer = layer
            assert window.prob == max(layer.values()) == layer[name]
        _check_seconds(window.start)
        _check_seconds(window.end)
        window.first, window.last = first, last
        windows.append(window)
    return ReadLog(header, windows)


def body(path: Path) -> bytes:
    """Return a log without the time of day that its lines begin with."""
    return re.sub(rb"(?m)^\d\d:\d\d:\d\d\|", b"", path.read_bytes())


# -- the reference: one window at a time ----------------------------------------------------------


def load_whole(path: Path, rate: int) -> np.ndarray:
    """Read a file as the original does, all at once, with the project's resampler."""
    samples, rate_in = sf.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(1, dtype=np.float32)
    if rate_in == rate:
        return mono
    n_out = math.floor(len(mono) * rate / rate_in)
    resampled = soxr.resample(mono, rate_in, rate, quality="HQ")
    return np.pad(resampled, (0, max(0, n_out - len(resampled))))[:n_out]


def window_limits(
    n: int, length: int, hop: int, *, last_window: bool = False
) -> list[tuple[int, int]]:
    """Return first and last sample of each window: reference 06 section 2."""
    count = max(1, math.ceil((n + 1 - length) / hop))
    limits = [(i * hop, min(i * hop + length, n) - 1) for i in range(count)]
    if last_window and limits[-1][1] < n - 1:
        limits.append((n - length, n - 1))
    return limits


def reference(
    path: Path,
    content: ModelFile,
    length_s: float = LENGTH_S,
    hop_s: float = HOP_S,
    *,
    last_window: bool = False,
) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Classify each window by itself; return times as they are logged, and probabilities."""
    rate = content.signal.sr
    samples = load_whole(path, rate)
    length, hop = math.ceil(length_s * rate), math.ceil(hop_s * rate)
    pipeline = SpectrogramPipeline(content.signal)
    times, probabilities = [], []
    limits = window_limits(len(samples), length, hop, last_window=last_window)
    for first, last in limits:
        times.append((str(round(first / rate, 3)), str(round(last / rate, 3))))
        waveform = torch.from_numpy(samples[first : last + 1].copy())[None]
        with torch.no_grad():
            logits = content.model.eval()(pipeline.features(waveform)[None])
        probabilities.append(torch.softmax(logits, 1)[0].numpy())
    return times, np.array(probabilities)


def embeddings(path: Path, content: ModelFile) -> np.ndarray:
    """Return the pooled output of the encoder for each window."""
    rate = content.signal.sr
    samples = load_whole(path, rate)
    length, hop = math.ceil(LENGTH_S * rate), math.ceil(HOP_S * rate)
    pipeline = SpectrogramPipeline(content.signal)
    found = []
    for first, last in window_limits(len(samples), length, hop):
        waveform = torch.from_numpy(samples[first : last + 1].copy())[None]
        with torch.no_grad():
            maps = content.model.eval().encoder(pipeline.features(waveform)[None])
        found.append(maps.mean((2, 3))[0].numpy())
    return np.array(found)


def visible(folder: Path) -> list[str]:
    """Return the names in a folder that do not start with a dot."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))
