"""Training a YOLO network with Ultralytics (licence AGPL-3.0), and scoring it."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from footprints.detector.detector_data import DetectorData
from footprints.detector.detector_progress import EpochLines
from footprints.detector.detector_resume import TrainingState
from footprints.detector.yolo import load_ultralytics, load_yolo
from footprints.pictures.folders import SPLITS
from footprints.system.errors import UserError
from footprints.system.files import MARK, naming, sha256_of, write_bytes
from footprints.system.text import reason_of

_AWKWARD = set("'\"[]*?{}\\\n")  # Ultralytics mistakes paths with these
_KEPT = ("epochs", "patience", "imgsz", "batch", "lr", "mosaic", "seed", "precision")
_TOLD = ("epochs", "patience", "imgsz", "batch", "seed", "precision")  # beside the scores


@dataclass(frozen=True)
class Training:
    """How a detector is trained; see the flags of ``train_detector``.

    Attributes:
        weights: A ``.pt`` file to start from, or the description of a network, ``.yaml``.
        epochs: At most; 0 only scores.
        patience: Epochs without gain before it ends.
        imgsz: Longer side of a photo in pixels.
        batch: Photos a step.
        lr: Learning rate of AdamW; None: as Ultralytics chooses.
        mosaic: How often four photos are put together, 0 to 1.
        seed: Of weights, order and augmentation.
        precision: ``fp32`` or ``bf16``.
        device: In Ultralytics' words, or ``auto``.
        threads: For the computation.
        verbose: Show all that Ultralytics says.
    """

    weights: str
    epochs: int
    patience: int
    imgsz: int
    batch: int
    lr: float | None
    mosaic: float
    seed: int
    precision: str
    device: str
    threads: int
    verbose: bool

    @property
    def kept(self) -> dict[str, Any]:
        """What the result depends on, besides the photos."""
        path = Path(self.weights)
        start = f"sha256 {sha256_of(path)}" if path.is_file() else self.weights
        return {name: getattr(self, name) for name in _KEPT} | {"start": start}

    @property
    def log_level(self) -> int:
        """Of Ultralytics."""
        return logging.INFO if self.verbose else logging.ERROR


def load_start(training: Training) -> tuple[Any, Training]:
    """Return the Ultralytics model that a training starts from, and the training on its device.

    Raises:
        UserError: If it cannot be had, or there is no such device.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(training.threads))
    training = replace(training, device=_device(training.device))
    if training.weights.lower().endswith((".yaml", ".yml")):
        model = _random_network(training.weights, load_ultralytics(training.log_level))
    else:
        model = load_yolo(Path(training.weights), training.log_level)
    import torch
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = training.threads  # it would leave one core out
    torch.set_num_threads(training.threads)
    _provide_fonts()
    return model, training


def _random_network(name: str, ultralytics: Any) -> Any:
    """Build a network from a description of ours or of Ultralytics; nothing is downloaded."""
    problem = f"--weights {name}: no such description of a network; try yolo11n.yaml"
    if ":" in name and not Path(name).is_file():
        raise UserError(problem)
    try:
        model = ultralytics.YOLO(name, task="detect")
    except FileNotFoundError:
        raise UserError(problem) from None
    except Exception as error:  # what a foreign description raises when it is put into practice
        reason = reason_of(error, with_kind=True)
        raise UserError(f"--weights {name}: not a description of a network: {reason}") from None
    if model.task != "detect":
        raise UserError(f"--weights {name}: made for the task {model.task!r}")
    return model


def _device(given: str) -> str:
    """Return a device in Ultralytics' words.

    Raises:
        UserError: If it is not there.
    """
    import torch

    if given == "auto":
        return "0" if torch.cuda.is_available() else "cpu"
    if given == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: this computer has none; give auto or cpu")
    if given.isdecimal() and int(given) >= torch.cuda.device_count():
        n_gpus = torch.cuda.device_count()
        raise UserError(f"--device {given}: PyTorch sees {n_gpus} GPUs here; give auto or cpu")
    return given


def train(
    model: Any,
    state: TrainingState,
    training: Training,
    data_yaml: Path,
    work: Path,
    output_dir: Path,
) -> int:
    """Train, or go on, and write the detector and the figures of its epochs.

    Args:
        model: Of ``load_start``.
        state: What earlier runs kept.
        training: How to train.
        data_yaml: Of the copied photos.
        work: A folder of this run.
        output_dir: Where ``detector.pt`` and ``training.csv`` go.

    Returns:
        How many epochs it took.
    """
    run_folder = work / "run"
    options = _options(training, data_yaml, run_folder)
    stopped = state.read()
    if stopped is not None:
        last = state.restore(run_folder, options)
        print(f"going on after epoch {stopped.epochs} of {training.epochs}", flush=True)
        model = load_yolo(last, training.log_level)
        options["resume"] = str(last)
    if stopped is None or not stopped.is_done:
        _run_epochs(model, state, training, options, output_dir)
    write_bytes(output_dir / "detector.pt", state.best.read_bytes())
    write_bytes(output_dir / "training.csv", (run_folder / "results.csv").read_bytes())
    return _count_rows(run_folder / "results.csv")


def _options(training: Training, data_yaml: Path, run_folder: Path) -> dict[str, Any]:
    """Return the training in Ultralytics' words."""
    rate = {}
    if training.lr is not None:
        # nbs: else weights change once in 64 photos, which is once an epoch in a small set
        rate = {"optimizer": "AdamW", "lr0": training.lr, "warmup_epochs": 1, "nbs": training.batch}
    return {
        "data": str(data_yaml),
        "epochs": training.epochs,
        "patience": training.patience,
        "imgsz": training.imgsz,
        "batch": training.batch,
        "seed": training.seed,
        "device": training.device,
        "workers": min(8, training.threads),
        "save_dir": str(run_folder),
        "pretrained": training.weights.lower().endswith(".pt"),
        "amp": False,  # its check would download weights
        "plots": False,
        "verbose": False,
        "flipud": 0.5,  # seen from above, a print has no upper side
        "mosaic": training.mosaic,
        "close_mosaic": min(10, training.epochs // 3),
        **rate,
    }


def _run_epochs(
    model: Any, state: TrainingState, training: Training, options: dict[str, Any], output_dir: Path
) -> None:
    """Have Ultralytics train; each whole epoch is shown and kept.

    Raises:
        UserError: If it cannot for want of memory, or the loss is no number.
    """
    if training.precision == "bf16":
        model.add_callback("on_train_start", compute_in_bf16)
    EpochLines().follow(model)
    model.add_callback("on_model_save", state.save)
    try:
        model.train(**options)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(output_dir)) from error
    except RuntimeError as error:
        reason = reason_of(error)
        if "out of memory" in reason or "alloc" in reason:
            problem = f"not enough memory; give a smaller --batch or --imgsz ({reason})"
            raise UserError(problem) from None
        if "NaN" in reason:
            raise UserError(f"the training has failed; give a smaller --lr ({reason})") from None
        raise


def score(
    detector: Path,
    training: Training,
    data: DetectorData,
    data_yaml: Path,
    work: Path,
    epochs_run: int,
) -> dict[str, Any]:
    """Return the figures of a detector on the test part, or on val where there is no test.

    Args:
        detector: A ``.pt`` file.
        training: How it was trained, and is scored.
        data: The photos.
        data_yaml: Of their copy.
        work: A folder of this run.
        epochs_run: That the training took.
    """
    import ultralytics

    part = "test" if data.parts["test"] else "val"
    measured = load_yolo(detector, training.log_level).val(
        data=str(data_yaml),
        split=part,
        imgsz=training.imgsz,
        batch=training.batch,
        device=training.device,
        workers=0,
        project=str(work),
        name="scores",
        plots=False,
        verbose=False,
    )
    return {
        "part": part,
        "photos": len(data.parts[part]),
        "boxes": sum(len(photo.boxes) for photo in data.parts[part]),
        "mAP50": float(measured.box.map50),
        "mAP50-95": float(measured.box.map),
        "precision": float(measured.box.mp),
        "recall": float(measured.box.mr),
        "note": "precision and recall at the confidence with the best F1",
        "training": {
            "photos": {name: len(data.parts[name]) for name in SPLITS},
            "pseudo_labelled_photos": data.n_pseudo,
            "left_out": len(data.left_out),
            "weights": Path(training.weights).name,
            "epochs_run": epochs_run,
            **{name: getattr(training, name) for name in _TOLD},
            "ultralytics": ultralytics.__version__,
        },
    }


def _count_rows(path: Path) -> int:
    with open(path, newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def compute_in_bf16(trainer: Any) -> None:
    """Let the layers compute in bfloat16; weights, losses and boxes stay in float32.

    Ultralytics does so on GPUs only, and there computes the losses in 16 bits too.
    """
    import torch

    network = trainer.model
    predict = network.predict

    def wide(outputs: Any) -> Any:
        if isinstance(outputs, dict):
            return {name: wide(value) for name, value in outputs.items()}
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(wide(value) for value in outputs)
        return outputs.float() if outputs.is_floating_point() else outputs

    def in_bf16(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(trainer.device.type, torch.bfloat16):
            outputs = predict(*args, **kwargs)
        return wide(outputs)

    network.to(memory_format=torch.channels_last)
    network.predict = in_bf16  # what is saved is the average of the weights, another object


def _provide_fonts() -> None:
    """Put a font where Ultralytics looks before it downloads one."""
    import matplotlib
    from ultralytics.utils import USER_CONFIG_DIR

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        place = Path(USER_CONFIG_DIR) / name
        if font.is_file() and not place.exists():
            with naming(place):
                shutil.copyfile(font, place)


def export_onnx(detector: Path, training: Training, work: Path) -> None:
    """Write an ONNX file beside a detector: the image size in its shape, no NMS in the graph."""
    copy = work / "detector.pt"
    shutil.copyfile(detector, copy)
    model = load_yolo(copy, training.log_level)
    made = model.export(
        format="onnx", imgsz=training.imgsz, simplify=False, dynamic=False, device="cpu"
    )
    write_bytes(detector.with_suffix(".onnx"), Path(made).read_bytes())


@contextlib.contextmanager
def work_folder(output_dir: Path) -> Iterator[Path]:
    """Give a new, empty folder, in the output folder where its name allows."""
    parent, prefix = output_dir.resolve(), f"{MARK}detector-"
    if _AWKWARD & set(str(parent)) or str(parent) != str(parent).strip():
        digest = hashlib.sha256(os.fsencode(parent)).hexdigest()[:16]
        parent, prefix = Path(tempfile.gettempdir()), f"footprints-detector-{digest}-"
        for leftover in parent.glob(f"{prefix}*"):  # of a killed training into the same folder
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
