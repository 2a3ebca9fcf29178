"""Train a YOLO detector of footprints and score it on photos it has not seen.

``python -m footprints.train_detector --data data.yaml`` works on a copy of the photos, upright and
no larger than the network sees them, in the output folder. Folders of the user are only read.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

from footprints.detector.data_yaml import read_data_yaml, read_pseudo_labels
from footprints.detector.detector_data import DetectorData
from footprints.detector.detector_resume import FOLDER, UNFINISHED, TrainingState, is_finished
from footprints.detector.training import (
    Training,
    export_onnx,
    load_start,
    score,
    train,
    work_folder,
)
from footprints.pictures.folders import SPLITS
from footprints.preparation.manifest import LEFT_OUT_COLUMNS
from footprints.system import flags
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import (
    output_folder,
    write_json,
    write_text,
)
from footprints.system.progress import available_cores, warn
from footprints.system.resuming import add_resume_flag
from footprints.system.text import csv_of, printable

_BLIND = 0.05  # mAP50 below which a detector is of no use


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
    option = functools.partial(flags.option, parser)
    option("output_dir", flags.some_path, Path("outputs/detector"), "detector, scores, tables")
    option(
        "epochs", flags.whole(0, 100_000), 100, "at most; 0 only scores the .pt file of --weights"
    )
    option("patience", flags.whole(1, 100_000), 30, "epochs without gain")
    option("imgsz", flags.whole(32, 8192), 640, "longer side")
    option("batch", flags.whole(1, 4096), 16, "photos a step")
    add(
        "--lr",
        type=flags.number(0, 1, low_is_in=False),
        help="learning rate of AdamW, 0.005 for a small network from random weights (default: "
        "chosen by Ultralytics)",
    )
    option(
        "mosaic",
        flags.number(0, 1),
        1.0,
        "how often four photos are put together in training, 0 to 1; 0 for some dozens of photos",
    )
    option("seed", flags.whole(0, 2**31 - 1), 0, "of weights, order and augmentation")
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
    add_resume_flag(parser)
    flags.add_report_flag(parser)
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
    training = Training(**{one.name: getattr(args, one.name) for one in fields(Training)})
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
    start, training = load_start(training)
    with output_folder(args.output_dir, FOLDER), work_folder(args.output_dir) as work:
        try:
            data.check_parts()
            data_yaml = data.write_copy(work, args.imgsz)
        finally:
            left_out = csv_of([LEFT_OUT_COLUMNS, *data.left_out])
            write_text(args.output_dir / "left_out.csv", left_out)
        print(data.summary(), flush=True)
        if not args.epochs:
            detector = Path(args.weights)
            scores = score(detector, training, data, data_yaml, work, 0)
            write_json(args.output_dir / f"scores_of_{detector.stem}.json", scores)
            _report(scores, detector)
        else:
            _train_and_score(start, training, args, data, data_yaml, work)
        if not args.no_report:
            from footprints.reporting.run import report_after  # Matplotlib: not for help

            report_after(args.output_dir)
    return STATUS_SOME_FAILED if data.n_unusable else 0


def _train_and_score(
    start: Any,
    training: Training,
    args: argparse.Namespace,
    data: DetectorData,
    data_yaml: Path,
    work: Path,
) -> None:
    """Train, or go on, or see that all is done; the scores come last, as they say "finished"."""
    detector, record = args.output_dir / "detector.pt", args.output_dir / "scores.json"
    settings = training.kept | {"photos": data.fingerprint()}
    state = TrainingState(args.output_dir, settings)
    if not args.resume:
        state.clear()
    elif is_finished(detector, record, settings):
        state.clear()
        print(f"finished already: {printable(detector)}; --no-resume trains it afresh")
        if args.export == "onnx" and not detector.with_suffix(".onnx").is_file():
            export_onnx(detector, training, work)
        return
    epochs_run = train(start, state, training, data_yaml, work, args.output_dir)
    scores = score(detector, training, data, data_yaml, work, epochs_run)
    if args.export == "onnx":
        export_onnx(detector, training, work)
    write_json(record, scores | {"settings": settings})
    state.clear()
    _report(scores, detector)


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


def _check_output_dir(folder: Path, data: DetectorData) -> None:
    """Refuse to write among the photos."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; choose another --output_dir")
    with_photos = {photo.path.resolve().parent for part in SPLITS for photo in data.parts[part]}
    if folder.resolve() in with_photos:
        raise UserError(f"{folder}: holds photos of the data set; choose another --output_dir")


if __name__ == "__main__":
    sys.exit(run(main))
