"""Train a YOLO detector of footprints and score it on photos it has not seen.

``python -m footprints.train_detector --data data.yaml`` works on a copy of the photos, upright and
no larger than the network sees them, in the output folder. Folders of the user are only read.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footprints.detector.detector_data import (
    PARTS,
    DetectorData,
    read_data_yaml,
    read_pseudo_labels,
)
from footprints.detector.detector_progress import EpochLines
from footprints.detector.detector_resume import FOLDER, UNFINISHED, TrainingState
from footprints.preparation.manifest import LEFT_OUT_COLUMNS
from footprints.system import flags
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import (
    MARK,
    naming,
    output_folder,
    read_text,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)
from footprints.system.progress import available_cores, warn
from footprints.system.resuming import compare_settings
from footprints.system.text import csv_of, printable, reason_of
from footprints.system.typed import json_object

_AWKWARD = set("'\"[]*?{}\\\n")  # Ultralytics mistakes paths with these
_BLIND = 0.05  # mAP50 below which a detector is of no use
_SETTINGS = ("epochs", "patience", "imgsz", "batch", "lr", "mosaic", "seed", "precision")


def build_parser() -> argparse.ArgumentParser:
    """Return the flags of this step."""
    parser = argparse.ArgumentParser(
        prog=flags.program("train_detector"),
        description="Train a YOLO detector of footprints and score it on its held-back photos.",
        epilog="Writes detector.pt, scores.json, training.csv and left_out.csv; with --epochs 0 "
        "only scores_of_<detector>.json and left_out.csv. A training that was stopped, in whatever "
        "way, goes on after its last whole epoch with the same command; its best network until "
        f"then is {UNFINISHED}. "
        "Exit status: 0 all photos used, 3 some photos could not be used (left_out.csv), 1 failed.",
    )
    add = parser.add_argument
    add("--data", type=flags.some_path, required=True, help="data.yaml in YOLO's format")
    add(
        "--weights",
        default="yolo11n.yaml",
        help="a .pt file to start from, or a .yaml for random weights (default: %(default)s)",
    )
    add(
        "--output_dir",
        type=flags.some_path,
        default=Path("outputs/detector"),
        help="detector, scores, tables (default: %(default)s)",
    )
    add(
        "--epochs",
        type=flags.whole(0, 100_000),
        default=100,
        help="at most; 0 only scores the .pt file of --weights (default: %(default)s)",
    )
    add(
        "--patience",
        type=flags.whole(1, 100_000),
        default=30,
        help="epochs without gain (default: %(default)s)",
    )
    add(
        "--imgsz",
        type=flags.whole(32, 8192),
        default=640,
        help="longer side (default: %(default)s)",
    )
    add(
        "--batch",
        type=flags.whole(1, 4096),
        default=16,
        help="photos a step (default: %(default)s)",
    )
    add(
        "--lr",
        type=flags.number(0, 1, low_is_in=False),
        help="learning rate of AdamW, 0.005 for a small network from random weights (default: "
        "chosen by Ultralytics)",
    )
    add(
        "--mosaic",
        type=flags.number(0, 1),
        default=1.0,
        help="how often four photos are put together in training, 0 to 1; 0 for some dozens of "
        "photos (default: %(default)s)",
    )
    add(
        "--seed",
        type=flags.whole(0, 2**31 - 1),
        default=0,
        help="of weights, order and augmentation (default: %(default)s)",
    )
    add(
        "--device",
        default="auto",
        help="cpu, mps, or number of a GPU; auto: the first GPU, else cpu (default: %(default)s)",
    )
    add(
        "--threads",
        type=flags.whole(1, 1024),
        default=_cores(),
        help="of PyTorch, and processes that read photos (default: one a core, here %(default)s)",
    )
    add(
        "--precision",
        choices=["fp32", "bf16"],
        default="fp32",
        help="bf16 is faster on CPUs with AMX, slower on those without (default: %(default)s)",
    )
    add("--export", choices=["onnx"], help="write detector.onnx too")
    add(
        "--pseudo_labels",
        type=flags.some_path,
        metavar="CSV",
        help="more training boxes (file,x,y,width,height; x, y the upper left corner; all as parts "
        "of the photo's size), found by a detector; for training only, never for scores",
    )
    add(
        "--pseudo_photos",
        type=flags.some_path,
        metavar="DIR",
        help="folder the CSV's file names start from",
    )
    add(
        "--exclude",
        type=flags.some_path,
        action="append",
        default=[],
        metavar="FILE",
        help="photos to keep out of the training: a manifest.csv of footprints.prepare (all that "
        "is not in its training part), or a list with one file name a line; may be repeated",
    )
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with what the output folder holds; --no-resume replaces it (default: --resume)",
    )
    add("--verbose", action="store_true", help="show all that Ultralytics says")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Train, score, write; see ``build_parser``.

    Returns:
        0, or 3 if photos could not be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.epochs == 0 and not args.weights.lower().endswith(".pt"):
        parser.error("--epochs 0 scores a detector: name its .pt file with --weights")
    if (args.pseudo_labels is None) != (args.pseudo_photos is None):
        parser.error("--pseudo_labels and --pseudo_photos belong together")
    if not (args.device in ("auto", "cpu", "mps") or args.device.isdecimal()):
        parser.error(f"--device is auto, cpu, mps or the number of a GPU, not {args.device!r}")
    level = logging.INFO if args.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")
    if not args.verbose:
        warnings.filterwarnings("ignore")

    data = read_data_yaml(args.data)
    _check_output_dir(args.output_dir, data)
    if args.pseudo_labels:
        read_pseudo_labels(data, args.pseudo_labels, args.pseudo_photos)
    for path in args.exclude:
        data.exclude(path)
    start = _load_start(args)
    with output_folder(args.output_dir, FOLDER), _work_folder(args.output_dir) as work:
        try:
            data.check_parts()
            data_yaml = data.write_copy(work, args.imgsz)
        finally:
            _write_left_out(args.output_dir / "left_out.csv", data)
        print(data.summary(), flush=True)
        if not args.epochs:
            detector = Path(args.weights)
            scores = _score(detector, args, data, data_yaml, work, 0)
            write_json(args.output_dir / f"scores_of_{detector.stem}.json", scores)
            _report(scores, detector)
        else:
            _train_and_score(start, args, data, data_yaml, work)
    return STATUS_SOME_FAILED if data.n_unusable else 0


def _train_and_score(
    start: Any, args: argparse.Namespace, data: DetectorData, data_yaml: Path, work: Path
) -> None:
    """Train, or go on, or see that all is done; the scores come last, as they say "finished"."""
    detector, record = args.output_dir / "detector.pt", args.output_dir / "scores.json"
    settings = {name: getattr(args, name) for name in _SETTINGS}
    settings |= {"start": _identity(args.weights), "photos": data.fingerprint()}
    state = TrainingState(args.output_dir, settings)
    if not args.resume:
        state.clear()
    elif _is_finished(detector, record, settings):
        state.clear()
        print(f"finished already: {printable(detector)}; --no-resume trains it afresh")
        if args.export == "onnx" and not detector.with_suffix(".onnx").is_file():
            _export_onnx(detector, args, work)
        return
    epochs_run = _train(start, state, args, data_yaml, work)
    scores = _score(detector, args, data, data_yaml, work, epochs_run)
    if args.export == "onnx":
        _export_onnx(detector, args, work)
    write_json(record, scores | {"settings": settings})
    state.clear()
    _report(scores, detector)


def _is_finished(detector: Path, record: Path, settings: dict[str, Any]) -> bool:
    """Tell whether a training came to its end with these settings.

    Raises:
        UserError: If there is a detector that was trained with others.
    """
    if not record.is_file() or not detector.is_file():
        return False
    try:
        before = json_object(read_text(record)).get("settings")
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise UserError(
            f"{detector}: is there already, and nothing says how it was trained; choose another "
            "--output_dir, or replace it with --no-resume"
        )
    compare_settings(before, settings, f"{detector}: was trained")
    return True


def _report(scores: dict[str, Any], detector: Path) -> None:
    print(
        f"{scores['part']} part, {scores['photos']} photos, {scores['boxes']} boxes: "
        f"mAP50 {scores['mAP50']:.3f}, mAP50-95 {scores['mAP50-95']:.3f}, "
        f"precision {scores['precision']:.3f}, recall {scores['recall']:.3f}"
    )
    print(f"detector: {printable(detector)}")
    if scores["mAP50"] < _BLIND:
        warn(
            f"{detector}: finds next to nothing in photos that it was not trained on; more photos, "
            "more --epochs, --mosaic 0 for some dozens of photos, or another --lr may help"
        )


def _cores() -> int:
    """Return how many threads may be used."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and 0 < int(given) <= 1024 else available_cores()


def _identity(weights: str) -> str:
    """Return what tells one start from another, wherever its file is."""
    path = Path(weights)
    return f"sha256 {sha256_of(path)}" if path.is_file() else weights


def _check_output_dir(folder: Path, data: DetectorData) -> None:
    """Refuse to write among the photos."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; choose another --output_dir")
    with_photos = {photo.path.resolve().parent for part in PARTS for photo in data.parts[part]}
    if folder.resolve() in with_photos:
        raise UserError(f"{folder}: holds photos of the data set; choose another --output_dir")


@contextlib.contextmanager
def _work_folder(output_dir: Path) -> Iterator[Path]:
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


def _write_left_out(path: Path, data: DetectorData) -> None:
    write_text(path, csv_of([LEFT_OUT_COLUMNS, *data.left_out]))


def _load_start(args: argparse.Namespace) -> Any:
    """Return the Ultralytics model that training starts from."""
    from footprints.detector.yolo import load_ultralytics, load_yolo

    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    args.device = _device(args.device)
    log_level = logging.INFO if args.verbose else logging.ERROR
    if args.weights.lower().endswith((".yaml", ".yml")):
        model = _random_network(args.weights, load_ultralytics(log_level))
    else:
        model = load_yolo(Path(args.weights), log_level)
    import torch
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = args.threads  # it would leave one core out
    torch.set_num_threads(args.threads)
    _provide_fonts()
    return model


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
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
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


def _train(
    model: Any, state: TrainingState, args: argparse.Namespace, data_yaml: Path, work: Path
) -> int:
    """Train on the copy, write the detector, return how many epochs it took."""
    from footprints.detector.yolo import load_yolo

    run_folder = work / "run"
    options = _options(args, data_yaml, run_folder)
    stopped = state.read()
    if stopped is not None:
        last = state.restore(run_folder, options)
        print(f"going on after epoch {stopped.epochs} of {args.epochs}", flush=True)
        model = load_yolo(last, logging.INFO if args.verbose else logging.ERROR)
        options["resume"] = str(last)
    if stopped is None or not stopped.is_done:
        _run_epochs(model, state, args, options)
    write_bytes(args.output_dir / "detector.pt", state.best.read_bytes())
    write_bytes(args.output_dir / "training.csv", (run_folder / "results.csv").read_bytes())
    return _count_rows(run_folder / "results.csv")


def _options(args: argparse.Namespace, data_yaml: Path, run_folder: Path) -> dict[str, Any]:
    """Return the training in Ultralytics' words."""
    rate = {}
    if args.lr is not None:
        # nbs: else weights change once in 64 photos, which is once an epoch in a small set
        rate = {"optimizer": "AdamW", "lr0": args.lr, "warmup_epochs": 1, "nbs": args.batch}
    return {
        "data": str(data_yaml),
        "epochs": args.epochs,
        "patience": args.patience,
        "imgsz": args.imgsz,
        "batch": args.batch,
        "seed": args.seed,
        "device": args.device,
        "workers": min(8, args.threads),
        "save_dir": str(run_folder),
        "pretrained": args.weights.lower().endswith(".pt"),
        "amp": False,  # its check would download weights
        "plots": False,
        "verbose": False,
        "flipud": 0.5,  # seen from above, a print has no upper side
        "mosaic": args.mosaic,
        "close_mosaic": min(10, args.epochs // 3),
        **rate,
    }


def _run_epochs(
    model: Any, state: TrainingState, args: argparse.Namespace, options: dict[str, Any]
) -> None:
    """Have Ultralytics train; each whole epoch is shown and kept.

    Raises:
        UserError: If it cannot for want of memory, or the loss is no number.
    """
    if args.precision == "bf16":
        model.add_callback("on_train_start", _compute_in_bf16)
    EpochLines().follow(model)

    def keep(trainer: Any) -> None:
        is_best = trainer.best.is_file() and trainer.fitness == trainer.best_fitness
        state.save(trainer, _without_paths(trainer.best) if is_best else None)

    model.add_callback("on_model_save", keep)
    try:
        model.train(**options)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(args.output_dir)) from error
    except RuntimeError as error:
        reason = reason_of(error)
        if "out of memory" in reason or "alloc" in reason:
            problem = f"not enough memory; give a smaller --batch or --imgsz ({reason})"
            raise UserError(problem) from None
        if "NaN" in reason:
            raise UserError(f"the training has failed; give a smaller --lr ({reason})") from None
        raise


def _score(
    detector: Path,
    args: argparse.Namespace,
    data: DetectorData,
    data_yaml: Path,
    work: Path,
    epochs_run: int,
) -> dict[str, Any]:
    """Return the figures of the detector on the test part, or on val where there is no test."""
    import ultralytics

    from footprints.detector.yolo import load_yolo

    part = "test" if data.parts["test"] else "val"
    level = logging.INFO if args.verbose else logging.ERROR
    measured = load_yolo(detector, level).val(
        data=str(data_yaml),
        split=part,
        imgsz=args.imgsz,
        batch=args.batch,
        device=args.device,
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
            "photos": {name: len(data.parts[name]) for name in PARTS},
            "pseudo_labelled_photos": data.n_pseudo,
            "left_out": len(data.left_out),
            "weights": Path(args.weights).name,
            "epochs_run": epochs_run,
            **{
                k: getattr(args, k)
                for k in ("epochs", "patience", "imgsz", "batch", "seed", "precision")
            },
            "ultralytics": ultralytics.__version__,
        },
    }


def _compute_in_bf16(trainer: Any) -> None:
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


def _without_paths(path: Path) -> bytes:
    """Return a checkpoint of our own training as a network to be used.

    Without the state of the training, and without the folders and names of this computer.
    """
    import io

    import torch
    from ultralytics.nn import tasks

    checkpoint, _ = tasks.torch_safe_load(path, safe_only=True)
    network = checkpoint.get("ema") or checkpoint["model"]
    for key in ("git", "train_results"):
        checkpoint.pop(key, None)
    for key in ("ema", "optimizer", "scaler", "stopper", "updates", "best_fitness"):
        checkpoint[key] = None
    checkpoint |= {"epoch": -1, "model": network}
    network.args = dict(network.args)
    for holder in (checkpoint["train_args"], network.args):
        for key in ("data", "project", "save_dir", "model", "name", "resume"):
            if key in holder:
                holder[key] = None
    if hasattr(network, "pt_path"):
        network.pt_path = None
    if isinstance(getattr(network, "yaml", None), dict) and network.yaml.get("yaml_file"):
        network.yaml["yaml_file"] = Path(network.yaml["yaml_file"]).name
    content = io.BytesIO()
    torch.save(checkpoint, content)
    return content.getvalue()


def _export_onnx(detector: Path, args: argparse.Namespace, work: Path) -> None:
    """Write detector.onnx, with the image size in its input shape, without NMS in the graph."""
    from footprints.detector.yolo import load_yolo

    copy = work / "detector.pt"
    shutil.copyfile(detector, copy)
    model = load_yolo(copy, logging.INFO if args.verbose else logging.ERROR)
    made = model.export(
        format="onnx", imgsz=args.imgsz, simplify=False, dynamic=False, device="cpu"
    )
    write_bytes(args.output_dir / "detector.onnx", Path(made).read_bytes())


def _count_rows(path: Path) -> int:
    with open(path, newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(run(main))
