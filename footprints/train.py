"""Train the classifier; photos that are not prepared yet are prepared first.

Without ``--data_dir`` the photos are looked for where this project keeps them, and prepared first
(``preparation.missing_steps``).

Stage oat teaches a new head on the OpenAnimalTracks crops, the backbone stays as it is. Stage real
starts from that model with a new head for its own classes: first the head alone, then with it the
last layers of the backbone at a low rate. Validation crops choose the epoch, the temperature and
the "unknown" threshold, so a figure on them flatters; ``prepare --test_fraction`` keeps crops for
an honest one.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.backbones import BACKBONES
from footprints.pictures.scales import DEFAULT_SCALES
from footprints.pictures.views import COUNTS
from footprints.preparation import missing_steps
from footprints.scores.intervals import wilson_interval
from footprints.system import files
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.flags import number as bounded
from footprints.system.flags import program, some_path, some_text, whole
from footprints.system.text import csv_of, printable

if TYPE_CHECKING:
    import keras

    from footprints.network.loader import CropLoader
    from footprints.network.phase import Phase
    from footprints.network.prepared_set import PreparedSet
    from footprints.network.train_state import StageFolder

STAGES = ("oat", "real")
MODEL_FILES = {"oat": "mobilenet_oat.keras", "real": "mobilenet_real.keras"}
DEFAULT_BACKBONE, DEFAULT_WEIGHTS = "MobileNetV3Small", "imagenet"
_STATISTICS_BATCHES = 8  # of 64 crops, for the BatchNorm statistics of random weights
_COLUMNS = ("stage", "phase", "epoch", "loss", "accuracy")
_COLUMNS += ("val_loss", "val_accuracy", "val_macro_f1", "seconds", "is_best")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("train"),
        description="Train the classifier. Photos that are not prepared yet are prepared first, "
        "and stage real has stage oat trained first, if there are OpenAnimalTracks photos.",
        epilog="A training that was stopped, in whatever way, goes on with the same command. "
        "Folders are looked for from the current one on.",
    )
    add = parser.add_argument
    add("--stage", choices=[*STAGES, "all"], required=True, help="what to train; all: oat, real")
    add(
        "--data_dir",
        type=some_path,
        help="output folder of footprints.prepare; with this flag and neither of the next two, "
        f"nothing is prepared (default: {missing_steps.PREPARED}, filled where need be)",
    )
    add(
        "--output_dir",
        type=some_path,
        default=missing_steps.MODELS,
        help="models, histories, curves, logs (default: %(default)s)",
    )
    for stage, what in (("real", "your photos in <class>/"), ("oat", "OpenAnimalTracks photos")):
        add(
            f"--{stage}_dir",
            type=some_path,
            metavar="DIR",
            help=f"{what}, prepared into --data_dir if they are not (default: "
            f"{missing_steps.PHOTOS[stage]})",
        )
    add(
        "--detector",
        type=some_text,
        metavar="FILE|none",
        help="of prepare, if photos are to be prepared (default: "
        f"{missing_steps.DETECTOR} if it is there, else none: centre crops)",
    )
    add(
        "--weights",
        type=some_text,
        metavar="imagenet|none|FILE",
        help="start of the backbone: ImageNet weights (downloaded by Keras), random, a file for "
        "keras.applications (.h5, .weights.h5), or a .keras model of ours. Stage real starts from "
        f"{MODEL_FILES['oat']} of the output folder; with a .keras model here, from that "
        f"(default: {DEFAULT_WEIGHTS})",
    )
    add(
        "--backbone",
        choices=list(BACKBONES),
        help=f"network (default: {DEFAULT_BACKBONE}; with a .keras model, its own)",
    )

    positive, count = whole(1, 10**6), whole(0, 10**6)
    rate = bounded(0, 1000, low_is_in=False)

    def number(name: str, kind: Any, default: Any, text: str) -> None:
        add(f"--{name}", type=kind, default=default, help=f"{text} (default: %(default)s)")

    number("seed", whole(0, 2**31 - 10), 0, "of weights, order, augmentation, dropout")
    number("epochs_oat", positive, 50, "most epochs of each phase of stage oat")
    number("patience_oat", positive, 3, "epochs without improvement before stage oat stops")
    number("batch_oat", positive, 16, "photos per step in stage oat")
    number(
        "lr_oat",
        rate,
        1e-3,
        "learning rate of the head in stage oat (Adamax)",
    )
    number("unfreeze_oat", count, 0, "then train the last N backbone layers too; 0: never")
    number("lr_fine", rate, 1e-4, "learning rate of that (Adam)")
    number("head_epochs", positive, 30, "most epochs of the new head in stage real")
    number("lr_head", rate, 1e-3, "learning rate of the new head (Adam)")
    number("epochs_real", positive, 60, "most epochs with unfrozen layers in stage real")
    number("patience_real", positive, 5, "epochs without improvement before a phase stops")
    number("batch_real", positive, 32, "photos per step in stage real")
    number(
        "lr_real",
        rate,
        1e-5,
        "learning rate with unfrozen layers (Adam)",
    )
    number("unfreeze", count, 20, "last N backbone layers to train in stage real; 0: none")
    number(
        "cached_views",
        count,
        8,
        "while the backbone is frozen, train on stored features of so many augmented views of each "
        "crop; 0: end to end",
    )
    number("cached_views_fine", count, 0, "the same in phases with unfrozen layers")
    add(
        "--monitor",
        choices=["val_loss", "val_macro_f1"],
        default="val_loss",
        help="what early stopping watches; the loss is cross entropy alone (default: %(default)s)",
    )
    add("--class_weights", action="store_true", help="rare classes count as much as frequent ones")
    add(
        "--views",
        type=int,
        choices=COUNTS,
        default=1,
        help="the finished model answers by the mean over so many views of each picture: 2: also "
        "mirrored; 8: also turned and nearer; often better, and as many times slower (default: 1)",
    )
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with what the output folder holds; --no-resume replaces it (default: --resume)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Train one stage or both.

    Raises:
        UserError: If there are no data, or data, weights or an unfinished training in the output
            folder do not fit.
    """
    args = build_parser().parse_args(argv)
    _check_output(args.output_dir)
    stages = STAGES if args.stage == "all" else (args.stage,)
    status = 0
    if args.data_dir is None or args.real_dir or args.oat_dir:
        places = _places(args)
        missing_steps.refuse_absent(places, stages)
        stages = _with_oat(stages, places, args)
        status = missing_steps.prepare(places, stages, _say)
        if status not in (0, STATUS_SOME_FAILED):
            return status
        args.data_dir = places.prepared
    from footprints.network.prepared_set import open_set

    sets = {stage: open_set(args.data_dir / stage, ("train", "val")) for stage in stages}
    with files.output_folder(args.output_dir, "resume", "logs"):
        for stage in stages:
            try:
                train_stage(stage, sets[stage], args)
            except KeyboardInterrupt:
                _say(f"{stage}: stopped; finished epochs are kept in {args.output_dir / 'resume'}")
                raise
    return status


def _check_output(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder as --output_dir")


def _places(args: argparse.Namespace) -> missing_steps.Places:
    detector = args.detector
    if detector is None:
        there = missing_steps.DETECTOR.is_file()
        detector = str(missing_steps.DETECTOR) if there else "none"
    return missing_steps.Places(
        {stage: getattr(args, f"{stage}_dir") or missing_steps.PHOTOS[stage] for stage in STAGES},
        args.data_dir or missing_steps.PREPARED,
        detector,
    )


def _with_oat(
    stages: tuple[str, ...], places: missing_steps.Places, args: argparse.Namespace
) -> tuple[str, ...]:
    """Put stage oat first where stage real needs its model and there is none."""
    if stages != ("real",) or (args.weights or "").endswith(".keras"):
        return stages
    output = args.output_dir
    if (output / MODEL_FILES["oat"]).is_file():
        return stages
    begun = (output / MODEL_FILES["real"], output / "resume" / "real" / "stage.json")
    is_begun = args.resume and any(path.is_file() for path in begun)
    if places.has("oat") and not is_begun:
        _say(f"real: starts from stage oat, which is trained first ({output / MODEL_FILES['oat']})")
        return ("oat", "real")
    args.weights = args.weights or DEFAULT_WEIGHTS
    if not is_begun:
        _say(
            f"real: no OpenAnimalTracks photos in {places.photos['oat']}, so there is no stage "
            f"oat; starts from {args.weights} alone"
        )
    return stages


def phases_of(stage: str, args: argparse.Namespace) -> list[Phase]:
    """Return what a stage does, in order; see ``network.phase.Phase``."""
    from footprints.network.phase import Phase

    if stage == "oat":
        shared = {"epochs": args.epochs_oat, "patience": args.patience_oat}
        shared |= {"batch_size": args.batch_oat, "monitor": args.monitor}
        n_last, rate = args.unfreeze_oat, args.lr_fine
        head = Phase("head", 0, "adamax", args.lr_oat, cached_views=args.cached_views, **shared)
    else:
        shared = {"epochs": args.epochs_real, "patience": args.patience_real}
        shared |= {"batch_size": args.batch_real, "monitor": args.monitor}
        n_last, rate = args.unfreeze, args.lr_real
        head = Phase(
            "head",
            0,
            "adam",
            args.lr_head,
            cached_views=args.cached_views,
            **{**shared, "epochs": args.head_epochs},
        )
    if not n_last:
        return [head]
    views = args.cached_views_fine
    return [head, Phase("fine", n_last, "adam", rate, cached_views=views, **shared)]


def train_stage(stage: str, prepared: PreparedSet, args: argparse.Namespace) -> None:
    """Train and save one stage, or go on with it, or see that it is finished."""
    from footprints.network.train_state import StageFolder
    from footprints.system.resuming import compare_settings

    path = args.output_dir / MODEL_FILES[stage]
    folder = StageFolder(args.output_dir / "resume" / stage)
    start, backbone = _start_of(stage, args)
    phases = phases_of(stage, args)
    settings = {
        "stage": stage,
        "backbone": backbone,
        "start": _identity(start),
        "classes": list(prepared.classes),
        "image_size": prepared.image_size,
        "photos": prepared.fingerprint(),
        "seed": args.seed,
        "class_weights": args.class_weights,
        **{
            f"{phase.name} {name}": value
            for phase in phases
            for name, value in dataclasses.asdict(phase).items()
        },
    }
    if prepared.scales != DEFAULT_SCALES:
        settings["scales"] = list(prepared.scales)
    if args.views != 1:
        settings["views"] = args.views
    if not args.resume:
        folder.clear()
    elif path.is_file():
        from footprints.network.keras_file import read_metadata

        before = read_metadata(path).get("training", {})
        compare_settings(before, settings, f"{path}: was trained")
        folder.clear()
        _say(f"{stage}: finished already, {path}; --no-resume trains it afresh")
        return
    if folder.open(settings):
        _say(f"{stage}: going on with the training in {folder.folder}")
    from footprints.network.loader import CropLoader

    train, val = CropLoader(prepared, "train"), CropLoader(prepared, "val")
    what = "crops" if len(prepared.scales) == 1 else f"photos ({' and '.join(prepared.scales)})"
    _say(f"{stage}: {train.n_photos} {what} to learn from, {val.n_photos} for validation")
    train.check()
    val.check()
    model, first = _model_at(stage, folder, train, prepared, start, backbone, args.seed)
    counts = prepared.counts("train")
    rows = _train_phases(model, first, phases, stage, folder, (train, val), counts, args)
    _finish(model, stage, path, val, rows, prepared, settings, args)
    folder.clear()


def _start_of(stage: str, args: argparse.Namespace) -> tuple[str, str]:
    """Return where the backbone's weights come from, and its name.

    Raises:
        UserError: If stage real has nothing to start from, or another backbone was asked for.
    """
    weights = args.weights or DEFAULT_WEIGHTS
    if stage == "real" and not weights.endswith(".keras"):
        oat = args.output_dir / MODEL_FILES["oat"]
        if oat.is_file():
            weights = str(oat)
        elif args.weights is None:
            raise UserError(
                f"{oat}: not there; train --stage oat into this folder first, or name a start by "
                "--weights"
            )
    if not weights.endswith(".keras"):
        return weights, args.backbone or DEFAULT_BACKBONE
    from footprints.network.keras_file import read_metadata

    backbone = read_metadata(Path(weights))["backbone"]
    if args.backbone not in (None, backbone):
        raise UserError(f"{weights}: its backbone is {backbone}, not {args.backbone}")
    return weights, backbone


def _identity(start: str) -> str:
    """Return what tells one start from another, wherever its file is."""
    if start in ("imagenet", "none"):
        return start
    path = Path(start)
    if not path.is_file():
        raise UserError(f"{path}: no such file; --weights is imagenet, none or a file")
    return f"sha256 {files.sha256_of(path)}"


def _model_at(
    stage: str,
    folder: StageFolder,
    train: CropLoader,
    prepared: PreparedSet,
    start: str,
    backbone: str,
    seed: int,
) -> tuple[keras.Model, int]:
    """Return the whole model as it was before the phase that is to be done next, and its number."""
    from footprints.network.build import build_model
    from footprints.network.feature_cache import random_numbers
    from footprints.network.freezing import measure_batch_norm

    reached = folder.latest_weights()
    weights = start if reached is None else "none"
    size, n_classes = prepared.image_size, len(prepared.classes)
    model = build_model(n_classes, backbone, weights, seed + STAGES.index(stage), size)
    if reached is not None:
        from footprints.network.train_state import fitting

        with fitting(folder):
            model.set_weights(reached[1])
        return model, reached[0]
    if start == "none":
        order = int(random_numbers(seed, stage, "statistics").integers(2**31))
        batches = train.batches(64, order).take(_STATISTICS_BATCHES)
        measure_batch_norm(model, (photos for photos, _ in batches))
    _say(f"{stage}: {backbone} from {start}, {n_classes} classes, crops of {size} pixels")
    folder.save_weights(0, model.get_weights())
    return model, 0


def _train_phases(
    model: keras.Model,
    first: int,
    phases: list[Phase],
    stage: str,
    folder: StageFolder,
    loaders: tuple[CropLoader, CropLoader],
    counts: np.ndarray,
    args: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Run what is left of a stage; return the records of all its epochs."""
    from footprints.network.phase import class_weights, run_phase

    rows: list[dict[str, Any]] = []
    for number, phase in enumerate(phases):
        if number < first:
            rows += folder.rows(number)
            continue
        rows += run_phase(
            model,
            phase,
            number=number,
            stage=stage,
            train=loaders[0],
            val=loaders[1],
            seed=args.seed,
            weights=class_weights(counts) if args.class_weights else None,
            folder=folder,
            log_dir=args.output_dir / "logs" / stage / phase.name,
            report=_say,
        )
        folder.save_weights(number + 1, model.get_weights())
    return rows


def _finish(
    model: keras.Model,
    stage: str,
    path: Path,
    val: CropLoader,
    rows: list[dict[str, Any]],
    prepared: PreparedSet,
    settings: dict[str, Any],
    args: argparse.Namespace,
) -> None:
    """Calibrate on validation and write everything; the model comes last, as it says "finished"."""
    from footprints.network.keras_file import save_model
    from footprints.network.phase import predict_batches, validation_scores
    from footprints.scores import metrics
    from footprints.scores.calibration import (
        calibrated,
        choose_threshold,
        threshold_in_use,
        weakness,
    )
    from footprints.scores.plots import curves_png

    raw, labels = predict_batches(model, val, views=args.views), val.photo_labels
    temperature = metrics.fit_temperature(raw, labels)
    probabilities = calibrated(raw, temperature)
    threshold = choose_threshold(probabilities, labels)
    scores = validation_scores(raw, labels)
    validation = {
        "photos": len(labels),
        "loss": scores["val_loss"],
        "accuracy": scores["val_accuracy"],
        "macro_f1": scores["val_macro_f1"],
        "expected_calibration_error": metrics.expected_calibration_error(raw, labels),
        "expected_calibration_error_calibrated": metrics.expected_calibration_error(
            probabilities, labels
        ),
    }
    history = {
        "stage": stage,
        "settings": settings,
        "validation": validation,
        "temperature": temperature,
        "threshold": threshold,
        "weakness": weakness({"classes": prepared.classes, "validation": validation}),
        "epochs": rows,
    }
    files.write_json(args.output_dir / f"history_{stage}.json", history)
    table = [_COLUMNS, *([row.get(name) for name in _COLUMNS] for row in rows)]
    files.write_text(args.output_dir / f"history_{stage}.csv", csv_of(table))
    files.write_bytes(
        args.output_dir / f"curves_{stage}.png", curves_png(rows, f"stage {stage}, {path.name}")
    )
    save_model(
        model,
        path,
        classes=prepared.classes,
        stage=stage,
        temperature=temperature,
        threshold=threshold,
        settings=prepared.settings,
        scales=prepared.scales,
        views=args.views,
        extra={"training": settings, "validation": validation},
    )
    low, high = wilson_interval(scores["val_accuracy"] * len(labels), len(labels))
    _say(
        f"{stage}: {path}, {path.stat().st_size / 1e6:.1f} MB; validation accuracy "
        f"{scores['val_accuracy']:.3f} ({low:.3f} to {high:.3f}), "
        f"macro F1 {scores['val_macro_f1']:.3f}, temperature {temperature:.2f}"
    )
    facts = {"classes": prepared.classes, "threshold": threshold, "validation": validation}
    how = "chosen on validation" if threshold is not None else "validation could not choose one"
    _say(f'{stage}: answers below {threshold_in_use(facts):.2f} are "unknown" ({how})')
    if weak := weakness(facts):
        _say(f"{stage}: {weak}")


def _say(line: str) -> None:
    print(printable(line), flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
