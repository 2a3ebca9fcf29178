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
import functools
import sys
from pathlib import Path

from footprints.cropping.crop_pool import detector_named
from footprints.network.augmentation import KINDS, PLAIN
from footprints.network.backbones import BACKBONES
from footprints.network.classifier import read_model_metadata
from footprints.network.keras_file import read_metadata
from footprints.network.phase import Phase
from footprints.network.prepared_set import open_set
from footprints.network.stage import MODEL_FILES, STAGES, Stage, stage_folder, train_stage
from footprints.network.teachers import Teaching
from footprints.pictures.views import COUNTS
from footprints.preparation import missing_steps
from footprints.scores.groups import NONE, READY, groups_named, warn_of_other_names
from footprints.scores.strangers import KNOWN_KEPT, OTHER
from footprints.scores.thresholds import WANTED_PRECISION
from footprints.system import files
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.flags import (
    add_report_flag,
    number,
    option,
    program,
    some_path,
    some_text,
    whole,
)
from footprints.system.progress import say
from footprints.system.resuming import add_resume_flag

DEFAULT_BACKBONE, DEFAULT_WEIGHTS = "MobileNetV3Small", "imagenet"


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
    option(parser, "output_dir", some_path, missing_steps.MODELS, "models, histories, curves, logs")
    for stage, what in (("real", "your photos in <class>/"), ("oat", "OpenAnimalTracks photos")):
        add(
            f"--{stage}_dir",
            type=some_path,
            metavar="DIR",
            help=f"{what}, prepared into --data_dir if they are not (default: "
            f"{missing_steps.PHOTOS[stage]})",
        )
    add(
        "--others",
        type=some_path,
        metavar="DIR",
        help="photos of animals that are no class, in whatever folders, prepared with yours: stage "
        "real learns to answer them with unknown, and says how many it refuses "
        f"(default: a folder {OTHER} among your photos, if there is one)",
    )
    add(
        "--detector",
        type=some_text,
        metavar="FILE|none",
        help="of prepare, if photos are to be prepared, and for --unlabelled (default: "
        f"{missing_steps.DETECTOR} if it is there, else none: centre crops)",
    )
    add(
        "--weights",
        type=some_text,
        metavar="imagenet|none|FILE",
        help="start of the backbone: ImageNet weights (downloaded by Keras; those of "
        "EfficientNetLites are installed), random, a file for "
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
    rate = number(0, 1000, low_is_in=False)

    valued = functools.partial(option, parser)
    valued("seed", whole(0, 2**31 - 10), 0, "of weights, order, augmentation, dropout")
    valued("epochs_oat", positive, 50, "most epochs of each phase of stage oat")
    valued("patience_oat", positive, 3, "epochs without improvement before stage oat stops")
    valued("batch_oat", positive, 16, "photos per step in stage oat")
    valued("lr_oat", rate, 1e-3, "learning rate of the head in stage oat (Adamax)")
    valued("unfreeze_oat", count, 0, "then train the last N backbone layers too; 0: never")
    valued("lr_fine", rate, 1e-4, "learning rate of that (Adam)")
    valued("head_epochs", positive, 30, "most epochs of the new head in stage real")
    valued("lr_head", rate, 1e-3, "learning rate of the new head (Adam)")
    valued("epochs_real", positive, 60, "most epochs with unfrozen layers in stage real")
    valued("patience_real", positive, 5, "epochs without improvement before a phase stops")
    valued("batch_real", positive, 32, "photos per step in stage real")
    valued("lr_real", rate, 1e-5, "learning rate with unfrozen layers (Adam)")
    valued("unfreeze", count, 20, "last N backbone layers to train in stage real; 0: none")
    valued(
        "cached_views",
        count,
        8,
        "while the backbone is frozen, train on stored features of so many augmented views of each "
        "crop; 0: end to end",
    )
    valued("cached_views_fine", count, 0, "the same in phases with unfrozen layers")
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
        "--groups",
        type=some_text,
        default=NONE,
        metavar="FILE.csv|ready|none",
        help="the model answers a group, such as canids, where no species is probable enough: a "
        "table with the columns class and group, or ready for that of this program (default: "
        "%(default)s)",
    )
    valued(
        "wanted_precision",
        number(0, 1, low_is_in=False),
        WANTED_PRECISION,
        'share of right answers that the "unknown" threshold is chosen for, on validation',
    )
    add(
        "--augmentation",
        choices=KINDS,
        default=PLAIN,
        help="how photos are changed in training: plain: mirrored, turned, zoomed, lighter, "
        "darker; strong: also perspective, nearer crops, more light, colour and blur (default: "
        "%(default)s)",
    )
    valued(
        "known_kept",
        number(0, 1, low_is_in=False),
        KNOWN_KEPT,
        "photos that look like none of the classes are unknown; so large a share of the validation "
        "photos of the classes is kept; 1: nothing is refused",
    )
    _add_teacher_flags(parser)
    add_resume_flag(parser)
    add_report_flag(parser)
    return parser


def _add_teacher_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--teacher",
        type=some_text,
        metavar="MODEL[,MODEL...]",
        help="learn the answers of these larger networks of the same classes too (their mean)",
    )
    valued = functools.partial(option, parser)
    valued(
        "teacher_temperature",
        number(1, 100),
        2.0,
        "softens the answers of teacher and student before they are compared; 1: not at all",
    )
    valued(
        "teacher_weight",
        number(0, 1),
        0.5,
        "what the teacher's answer counts; what is left is the label's",
    )
    add(
        "--unlabelled",
        type=some_path,
        metavar="DIR",
        help="photos without labels, of which the teacher's answers are learned; prints are cut "
        "out as --detector says",
    )


def main(argv: list[str] | None = None) -> int:
    """Train one stage or both.

    Raises:
        UserError: If there are no data, or data, weights or an unfinished training in the output
            folder do not fit.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    teaching = _teaching(args, parser)
    _check_output(args.output_dir)
    stages = STAGES if args.stage == "all" else (args.stage,)
    status = 0
    if args.others and "real" not in stages:
        parser.error("--others is for stage real")
    if args.data_dir is None or args.real_dir or args.oat_dir or args.others:
        places = _places(args)
        missing_steps.refuse_absent(places, stages)
        stages = _with_oat(stages, places, args)
        status = missing_steps.prepare(places, stages, say)
        if status not in (0, STATUS_SOME_FAILED):
            return status
        args.data_dir = places.prepared
    sets = {stage: open_set(args.data_dir / stage, ("train", "val")) for stage in stages}
    # A table is for the last stage; that of the program knows the classes of both.
    groups = {one: args.groups if one == stages[-1] else NONE for one in stages}
    if args.groups == READY:
        groups = dict.fromkeys(stages, READY)
    for stage, asked in groups.items():
        groups_named(asked, sets[stage].classes)  # refuses what cannot be meant, before hours
        warn_of_other_names(asked, sets[stage].classes)
    with files.output_folder(args.output_dir, "resume", "logs"):
        for stage in stages:
            try:
                whole = _stage(stage, args, groups[stage], teaching)
                train_stage(whole, sets[stage], args.resume)
            except KeyboardInterrupt:
                say(f"{stage}: stopped; finished epochs are kept in {args.output_dir / 'resume'}")
                raise
        if not args.no_report:
            from footprints.reporting.run import report_after  # Matplotlib: not for help

            report_after(args.output_dir)
    return status


def _check_output(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; give a folder as --output_dir")


def _teaching(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Teaching | None:
    """Return who teaches the stage that was asked for.

    Raises:
        UserError: If a model or the detector is not there.
    """
    if args.teacher is None:
        if args.unlabelled is not None:
            parser.error("--unlabelled needs a --teacher, who says what is on the photos")
        return None
    if args.stage == "all":
        parser.error("--teacher is for one stage, of whose classes it is: --stage oat or real")
    models = tuple(Path(name) for name in args.teacher.split(",") if name)
    for path in models:
        read_model_metadata(path)
    detector = None if args.unlabelled is None else detector_named(_detector(args))
    return Teaching(
        models, args.teacher_temperature, args.teacher_weight, args.unlabelled, detector
    )


def _detector(args: argparse.Namespace) -> str:
    if args.detector is not None:
        return args.detector
    return str(missing_steps.DETECTOR) if missing_steps.DETECTOR.is_file() else "none"


def _places(args: argparse.Namespace) -> missing_steps.Places:
    return missing_steps.Places(
        {stage: getattr(args, f"{stage}_dir") or missing_steps.PHOTOS[stage] for stage in STAGES},
        args.data_dir or missing_steps.PREPARED,
        _detector(args),
        args.others,
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
    is_begun = args.resume and (
        (output / MODEL_FILES["real"]).is_file() or stage_folder(output, "real").is_begun()
    )
    if places.has("oat") and not is_begun:
        say(f"real: starts from stage oat, which is trained first ({output / MODEL_FILES['oat']})")
        return ("oat", "real")
    args.weights = args.weights or DEFAULT_WEIGHTS
    if not is_begun:
        say(
            f"real: no OpenAnimalTracks photos in {places.photos['oat']}, so there is no stage "
            f"oat; starts from {args.weights} alone"
        )
    return stages


def _stage(name: str, args: argparse.Namespace, groups: str, teaching: Teaching | None) -> Stage:
    """Return a stage as the flags ask for it, once those before it are trained."""
    start, backbone = _start_of(name, args)
    return Stage(
        name,
        _phases_of(name, args),
        start,
        backbone,
        args.output_dir,
        args.seed,
        args.class_weights,
        args.views,
        groups,
        args.wanted_precision,
        teaching if name == args.stage else None,
        args.augmentation,
        args.known_kept,
    )


def _phases_of(stage: str, args: argparse.Namespace) -> tuple[Phase, ...]:
    """Return what a stage does, in order."""
    if stage == "oat":
        first = ("adamax", args.lr_oat, args.epochs_oat, args.patience_oat, args.batch_oat)
        n_last, rate, epochs = args.unfreeze_oat, args.lr_fine, args.epochs_oat
    else:
        first = ("adam", args.lr_head, args.head_epochs, args.patience_real, args.batch_real)
        n_last, rate, epochs = args.unfreeze, args.lr_real, args.epochs_real
    head = Phase("head", 0, *first, args.cached_views, args.monitor)
    fine = dataclasses.replace(
        head,
        name="fine",
        n_last=n_last,
        optimizer="adam",
        learning_rate=rate,
        epochs=epochs,
        cached_views=args.cached_views_fine,
    )
    return (head, fine) if n_last else (head,)


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
    backbone = read_metadata(Path(weights))["backbone"]
    if args.backbone not in (None, backbone):
        raise UserError(f"{weights}: its backbone is {backbone}, not {args.backbone}")
    return weights, backbone


if __name__ == "__main__":
    sys.exit(run(main))
