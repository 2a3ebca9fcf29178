"""Train a YOLO detector of footprints and score it on photos it has not seen.

``python -m footprints.train_detector --data data.yaml`` works on a copy of the photos, upright and
no larger than the network sees them, in the output folder. Folders of the user are only read.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from footprints.detector_data import PARTS, DetectorData, read_data_yaml, read_pseudo_labels
from footprints.errors import STATUS_SOME_FAILED, UserError, run
from footprints.files import write_bytes, write_json, write_text
from footprints.progress import available_cores

UNFINISHED = "detector_unfinished.pt"  # the best so far, while a training runs
_AWKWARD = set("'\"[]*?{}\\\n")  # Ultralytics mistakes paths with these


def build_parser() -> argparse.ArgumentParser:
    """Return the flags of this step."""
    parser = argparse.ArgumentParser(
        prog="python -m footprints.train_detector",
        description="Train a YOLO detector of footprints and score it on its held-back photos.",
        epilog="Writes detector.pt, scores.json, training.csv and left_out.csv; with --epochs 0 "
        "only scores_of_<detector>.json and left_out.csv. A training that "
        f"was stopped leaves its best network as {UNFINISHED}, to go on from with --weights. "
        "Exit status: 0 all photos used, 3 some photos could not be used (left_out.csv), 1 failed.",
    )
    parser.add_argument("--data", type=Path, required=True, help="data.yaml in YOLO's format")
    parser.add_argument(
        "--weights",
        default="yolo11n.yaml",
        help="a .pt file to start from, or a .yaml for random weights (default: %(default)s)",
    )
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/detector"))
    parser.add_argument(
        "--epochs",
        type=int,
        default=100,
        help="at most; 0 only scores the .pt file of --weights (default: %(default)s)",
    )
    parser.add_argument(
        "--patience", type=int, default=30, help="epochs without gain (default: %(default)s)"
    )
    parser.add_argument("--imgsz", type=int, default=640, help="longer side (default: %(default)s)")
    parser.add_argument(
        "--batch", type=int, default=16, help="photos a step (default: %(default)s)"
    )
    parser.add_argument(
        "--lr",
        type=float,
        help="learning rate of AdamW, 0.005 for a small network from random weights (default: "
        "chosen by Ultralytics)",
    )
    parser.add_argument(
        "--mosaic",
        type=float,
        default=1.0,
        help="how often four photos are put together in training, 0 to 1; 0 for some dozens of "
        "photos (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, mps, or number of a GPU; auto: the first GPU, else cpu (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=_cores(), help="(default: %(default)s)")
    parser.add_argument(
        "--precision",
        choices=["fp32", "bf16"],
        default="fp32",
        help="bf16 is faster on CPUs with AMX, slower on those without (default: %(default)s)",
    )
    parser.add_argument("--export", choices=["onnx"], help="write detector.onnx too")
    parser.add_argument(
        "--pseudo_labels",
        type=Path,
        metavar="CSV",
        help="more training boxes (file,x,y,width,height; x, y the upper left corner; all as parts "
        "of the photo's size), found by a detector; for training only, never for scores",
    )
    parser.add_argument(
        "--pseudo_photos", type=Path, metavar="DIR", help="folder the CSV's file names start from"
    )
    parser.add_argument(
        "--exclude",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="photos to keep out of the training: a manifest.csv of footprints.prepare (all that "
        "is not in its training part), or a list with one file name a line; may be repeated",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Train, score, write; see ``build_parser``.

    Returns:
        0, or 3 if photos could not be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    for name in ("imgsz", "batch", "threads", "patience"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(args, name)}")
    if args.epochs < 0:
        parser.error(f"--epochs must be at least 0, not {args.epochs}")
    if args.epochs == 0 and not args.weights.lower().endswith(".pt"):
        parser.error("--epochs 0 scores a detector: name its .pt file with --weights")
    if (args.pseudo_labels is None) != (args.pseudo_photos is None):
        parser.error("--pseudo_labels and --pseudo_photos belong together")
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    data = read_data_yaml(args.data)
    _check_output_dir(args.output_dir, data)
    if args.pseudo_labels:
        read_pseudo_labels(data, args.pseudo_labels, args.pseudo_photos)
    for path in args.exclude:
        data.exclude(path)
    start = _load_start(args)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    work = _work_folder(args.output_dir)
    try:
        data_yaml = data.write_copy(work, args.imgsz)
        _write_left_out(args.output_dir / "left_out.csv", data)
        print(data.summary(), flush=True)
        if args.epochs:
            detector = args.output_dir / "detector.pt"
            epochs_run = _train(start, args, data, data_yaml, work)
        else:
            detector, epochs_run = Path(args.weights), 0
        scores = _score(detector, args, data, data_yaml, work, epochs_run)
        if args.export == "onnx":
            _export_onnx(detector, args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    name = "scores.json" if args.epochs else f"scores_of_{detector.stem}.json"
    write_json(args.output_dir / name, scores)
    print(
        f"{scores['part']} part, {scores['photos']} photos, {scores['boxes']} boxes: "
        f"mAP50 {scores['mAP50']:.3f}, mAP50-95 {scores['mAP50-95']:.3f}, "
        f"precision {scores['precision']:.3f}, recall {scores['recall']:.3f}"
    )
    print(f"detector: {detector}")
    return STATUS_SOME_FAILED if data.n_unusable else 0


def _cores() -> int:
    """Return how many threads may be used."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else available_cores()


def _check_output_dir(folder: Path, data: DetectorData) -> None:
    """Refuse to write among the photos."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; choose another --output_dir")
    with_photos = {photo.path.resolve().parent for part in PARTS for photo in data.parts[part]}
    if folder.resolve() in with_photos:
        raise UserError(f"{folder}: holds photos of the data set; choose another --output_dir")


def _work_folder(output_dir: Path) -> Path:
    """Return a new, empty folder, in the output folder where its name allows."""
    parent = output_dir.resolve()
    if _AWKWARD & set(str(parent)) or str(parent) != str(parent).strip():
        return Path(tempfile.mkdtemp(prefix="footprints-detector-"))
    for leftover in parent.glob(".work-*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=".work-", dir=parent))


def _write_left_out(path: Path, data: DetectorData) -> None:
    lines = ["source,reason"]
    for source, reason in data.left_out:
        lines.append(",".join('"' + str(v).replace('"', '""') + '"' for v in (source, reason)))
    write_text(path, "\n".join(lines) + "\n")


def _load_start(args: argparse.Namespace) -> Any:
    """Return the Ultralytics model that training starts from."""
    from footprints.detect import load_ultralytics, load_yolo

    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    if args.device == "auto":
        args.device = _automatic_device()
    if args.weights.lower().endswith((".yaml", ".yml")):
        try:
            model = load_ultralytics(logging.INFO).YOLO(args.weights, task="detect")
        except FileNotFoundError:
            raise UserError(
                f"--weights {args.weights}: no such description of a network; try yolo11n.yaml"
            ) from None
    else:
        model = load_yolo(Path(args.weights), logging.INFO)
    import torch
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = args.threads  # it would leave one core out
    torch.set_num_threads(args.threads)
    _provide_fonts()
    return model


def _automatic_device() -> str:
    """Return the first GPU, or the CPU, in Ultralytics' words."""
    import torch

    return "0" if torch.cuda.is_available() else "cpu"


def _train(
    model: Any, args: argparse.Namespace, data: DetectorData, data_yaml: Path, work: Path
) -> int:
    """Train on the copy, write the detector, return how many epochs it took."""
    if args.precision == "bf16":
        model.add_callback("on_train_start", _compute_in_bf16)
    unfinished = args.output_dir / UNFINISHED

    def keep_best(trainer: Any) -> None:
        if trainer.best.is_file() and trainer.fitness == trainer.best_fitness:
            write_bytes(unfinished, _without_paths(trainer.best))

    model.add_callback("on_model_save", keep_best)
    rate = {}
    if args.lr is not None:
        # nbs: else weights change once in 64 photos, which is once an epoch in a small set
        rate = {"optimizer": "AdamW", "lr0": args.lr, "warmup_epochs": 1, "nbs": args.batch}
    model.train(
        data=str(data_yaml),
        epochs=args.epochs,
        patience=args.patience,
        imgsz=args.imgsz,
        batch=args.batch,
        seed=args.seed,
        device=args.device,
        workers=min(8, args.threads),
        project=str(work),
        name="run",
        pretrained=args.weights.lower().endswith(".pt"),
        amp=False,  # its check would download weights
        plots=False,
        verbose=False,
        flipud=0.5,  # seen from above, a print has no upper side
        mosaic=args.mosaic,
        close_mosaic=min(10, args.epochs // 3),
        **rate,
    )
    run_folder = Path(model.trainer.save_dir)
    write_bytes(args.output_dir / "detector.pt", _without_paths(run_folder / "weights" / "best.pt"))
    write_bytes(args.output_dir / "training.csv", (run_folder / "results.csv").read_bytes())
    unfinished.unlink(missing_ok=True)
    return _count_rows(run_folder / "results.csv")


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

    from footprints.detect import load_yolo

    part = "test" if data.parts["test"] else "val"
    measured = load_yolo(detector, logging.INFO).val(
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
        if font.is_file() and not (Path(USER_CONFIG_DIR) / name).exists():
            shutil.copyfile(font, Path(USER_CONFIG_DIR) / name)


def _without_paths(path: Path) -> bytes:
    """Return a checkpoint of our own training as a network to be used.

    Without the state of the training, and without the folders and names of this computer.
    """
    import io

    import torch

    checkpoint = torch.load(path, map_location="cpu", weights_only=False)  # we wrote it just now
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
    from footprints.detect import load_yolo

    copy = work / "detector.pt"
    shutil.copyfile(detector, copy)
    model = load_yolo(copy, logging.INFO)
    made = model.export(
        format="onnx", imgsz=args.imgsz, simplify=False, dynamic=False, device="cpu"
    )
    write_bytes(args.output_dir / "detector.onnx", Path(made).read_bytes())


def _count_rows(path: Path) -> int:
    with open(path, newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(run(main))
