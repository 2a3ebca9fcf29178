"""Score a model on crops that it was not trained on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from footprints.network.keras_file import load_model, read_metadata
from footprints.network.loader import CropLoader
from footprints.network.model_facts import has_score
from footprints.network.prepared_set import PreparedSet, open_set
from footprints.network.strangeness import Runner, divided
from footprints.pictures.scales import scales_of
from footprints.pictures.views import mean_over_views
from footprints.scores.answer_counts import counts_table, counts_with_and_without
from footprints.scores.calibration import WEAK, calibrated, threshold_in_use, weakness
from footprints.scores.groups import groups_named, groups_of, warn_of_other_names
from footprints.scores.judging import Rules
from footprints.scores.report import answers_to_crops, score, table
from footprints.scores.strangers import counts, in_words
from footprints.scores.trail_recall import recall_of_real, recall_of_simulated, recall_table
from footprints.system import files
from footprints.system.errors import UserError, run
from footprints.system.flags import add_report_flag, option, program, some_path, some_text, whole
from footprints.system.results import Results, add_replace_flag, is_of_older_release
from footprints.system.text import csv_of, printable, printable_lines

RESULTS = ("confusion.csv", "confusion.png", "confusion.svg", "predictions.csv", "scores.json")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("evaluate"),
        description="Score a model on the validation or test crops of a prepared data set.",
    )
    add = parser.add_argument
    add("--model", type=some_path, required=True, help="a .keras file of footprints.train")
    add("--data_dir", type=some_path, required=True, help="a prepared set, such as PREPARED/real")
    add(
        "--split",
        choices=["val", "test"],
        default="val",
        help="validation chose the epoch and the temperature; test did not (default: %(default)s)",
    )
    add("--output_dir", type=some_path, required=True, help="scores, predictions, confusion matrix")
    add(
        "--groups",
        type=some_text,
        metavar="FILE.csv|ready|none",
        help="also count answers that are a group, such as canids: a table with the columns class "
        "and group, or ready for that of this program (default: the groups in the model file)",
    )
    add(
        "--trail_sizes",
        type=whole(1, 1000),
        nargs="+",
        default=[],
        metavar="N",
        help="also say how often trails of so many photos are named rightly: made up of photos of "
        "one class drawn at random (default: none)",
    )
    add(
        "--trail_table",
        type=some_path,
        metavar="FILE.csv",
        help="the same of real trails: a table with the columns crop and trail",
    )
    option(parser, "batch_size", whole(1, 10_000), 64, "photos at a time")
    option(parser, "seed", whole(0, 2**32 - 1), 0, "of the bootstrap intervals")
    add_replace_flag(parser)
    add_report_flag(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Score a model; a table on screen, ``scores.json`` and more in the output folder.

    Raises:
        UserError: If model or crops cannot be read, or their classes or sizes differ.
    """
    args = build_parser().parse_args(argv)
    facts = read_metadata(args.model)
    prepared = open_set(args.data_dir, (args.split,))
    prepared = prepared.with_classes(facts["classes"], str(args.model))
    prepared = prepared.with_scales(scales_of(facts), str(args.model))
    rules = _rules(args, facts)
    trail_of = _trails(args, prepared) if args.trail_table else {}
    if facts["image_size"] != prepared.image_size:
        raise UserError(
            f"{args.model}: takes photos of {facts['image_size']} pixels, the crops in "
            f"{args.data_dir} have {prepared.image_size}"
        )

    with files.output_folder(args.output_dir):
        older = is_of_older_release(args.output_dir, "scores.json", "confusion", "per_class")
        results = Results(args.output_dir, RESULTS, args.replace_edited or older)
        status = _evaluate(args, facts, prepared, rules, trail_of, results)
        if not args.no_report:
            from footprints.reporting.run import report_after  # Matplotlib: not for help

            report_after(args.output_dir, replace_edited=args.replace_edited)
        return status


def _rules(args: argparse.Namespace, facts: dict[str, Any]) -> Rules:
    """Return how answers are made, as predict makes them."""
    classes, own = facts["classes"], groups_of(facts)
    groups = own if args.groups is None else groups_named(args.groups, classes)
    if args.groups is not None:
        warn_of_other_names(args.groups, classes)
    if groups.members == own.members:
        groups = own  # with the threshold that validation chose
    return Rules(classes, threshold_in_use(facts), min(3, len(classes)), groups)


def _trails(args: argparse.Namespace, prepared: PreparedSet) -> dict[int, str]:
    """Return the trail of each crop that a table names, by the crop's number in the part.

    Raises:
        UserError: If the table names something else, or crops of two classes as one trail.
    """
    part = prepared.parts[args.split]
    number_of = {path.relative_to(args.data_dir).as_posix(): i for i, path in enumerate(part.paths)}
    found: dict[int, str] = {}
    label_of: dict[str, int] = {}
    for row in files.read_table(args.trail_table):
        crop, trail = row.get("crop", ""), row.get("trail", "")
        if crop not in number_of:
            raise UserError(
                f"{printable(args.trail_table)}: {printable(crop)!r} is no crop of part "
                f"{args.split} of {printable(args.data_dir)}; needs the columns crop and trail"
            )
        number = number_of[crop]
        if trail:
            found[number] = trail
            if label_of.setdefault(trail, part.labels[number]) != part.labels[number]:
                raise UserError(
                    f"{printable(args.trail_table)}: trail {printable(trail)} is of two classes"
                )
    return found


def _evaluate(
    args: argparse.Namespace,
    facts: dict[str, Any],
    prepared: PreparedSet,
    rules: Rules,
    trail_of: dict[int, str],
    results: Results,
) -> int:
    saved = load_model(args.model)
    loader = CropLoader(prepared, args.split, in_memory=False)
    n_classes = len(saved.classes)
    rule = None if saved.refusal is None else saved.refusal.rule
    runner = saved.model
    if has_score(facts):
        runner = Runner(saved.model, n_classes, saved.refusal)
    said, labels = predict_once(runner, loader, args.batch_size, saved.views)
    known = labels < n_classes
    if not known.any():
        raise UserError(f"{args.data_dir}: no photo of a class in its part {args.split}")
    raw, strangeness = divided(said, n_classes, rule)
    raw, labels = raw[known], labels[known]
    scores = score(raw, labels, saved.classes, saved.temperature, seed=args.seed)
    scores = {
        "model": printable(args.model),
        "stage": saved.stage,
        "backbone": saved.backbone,
        "data_dir": printable(args.data_dir),
        "split": args.split,
        "scales": list(saved.scales),
        "views": saved.views,
        "note": _NOTES[args.split],
        "weakness": weakness(facts),
        "threshold": threshold_in_use(facts),
        **scores,
    }
    lines = [table(scores)]
    probabilities = calibrated(raw, saved.temperature)
    if saved.refusal is not None:
        found = counts(saved.refusal, strangeness[known], strangeness[~known])
        scores["strangers"] = {"rule": saved.refusal.rule, "cut": saved.refusal.cut, **found}
        lines.append(f"strangers ({saved.refusal.rule}): {in_words(found)}")
    if rules.groups:
        scores["answers"] = counts_with_and_without(probabilities, labels, rules)
        lines += counts_table(scores["answers"])
    if args.trail_sizes:
        sizes = sorted({*args.trail_sizes})
        rows = recall_of_simulated(probabilities, labels, sizes, args.seed)
        scores["simulated_trails"] = rows
        lines += recall_table(rows, "simulated trails: photos of one class at random")
    # Those of other animals come last, and are of no class.
    trail_of = {photo: trail for photo, trail in trail_of.items() if photo < len(labels)}
    if trail_of:
        rows = recall_of_real(probabilities, labels, trail_of)
        scores["real_trails"] = rows
        lines += recall_table(rows, f"trails of {printable(args.trail_table)}")
    paths = prepared.parts[args.split].paths[: len(labels)]
    _write(results, scores, raw, labels, paths, args)
    print(printable_lines("\n".join(lines)))
    return 0


_NOTES = {
    "val": "validation chose the epoch, the temperature and the threshold: these figures flatter",
    "test": "these crops had no part in training",
}


def predict_once(
    model: Any, loader: Any, batch_size: int, views: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return uncalibrated probabilities and true classes, both from one pass in file order.

    Args:
        model: Keras model, or what runs like one.
        loader: ``network.loader.CropLoader``.
        batch_size: Pictures at a time.
        views: How many views of each, see ``pictures.views``.

    Returns:
        ``(photos, classes)``, the mean over a photo's views and scales, and ``(photos,)``, in the
        order of ``loader.paths``.

    Raises:
        UserError: If a crop is damaged.
    """
    import tensorflow as tf

    n_photos = loader.n_photos
    probabilities, labels = [], []
    try:
        for photos, classes in loader.batches(batch_size):
            said = mean_over_views(model.predict_on_batch, photos.numpy(), views)
            probabilities.append(said)
            labels.append(classes.numpy())
    except tf.errors.OpError:
        loader.check()  # names the file
        raise
    return loader.per_photo(np.concatenate(probabilities)), np.concatenate(labels)[:n_photos]


def _write(
    results: Results,
    scores: dict[str, Any],
    raw: np.ndarray,
    labels: np.ndarray,
    paths: tuple[Path, ...],
    args: argparse.Namespace,
) -> None:
    """Write the files; ``scores.json`` comes last."""
    from footprints.scores.plots import confusion_figure, figure_files  # Matplotlib: not for help

    classes, matrix = scores["classes"], np.array(scores["confusion"])
    rows = [["is \\ named as", *classes]]
    rows += [[name, *counts] for name, counts in zip(classes, matrix.tolist(), strict=True)]
    results.write_text("confusion.csv", csv_of(rows))
    title = f"{args.model.name}, {args.split}, {len(labels)} photos"
    for kind, picture in figure_files(confusion_figure(matrix, classes, title)).items():
        results.write(f"confusion.{kind}", picture)
    probabilities = calibrated(raw, scores["temperature"])
    crops = [path.relative_to(args.data_dir).as_posix() for path in paths]
    note = WEAK if scores["weakness"] else ""
    rows = answers_to_crops(crops, labels, probabilities, classes, note)
    results.write_text("predictions.csv", csv_of(rows))
    results.write_json("scores.json", scores)


if __name__ == "__main__":
    sys.exit(run(main))
