"""Judge several models and their average, and write them into one file: flags, run, exit status."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from animal_spot.experiments.scoring_flags import (
    add_common_flags,
    check_common_flags,
    new_files,
    score_to_status,
    scores_of,
)
from animal_spot.settings.flags import Parser
from animal_spot.utils.text import printable

if TYPE_CHECKING:
    import numpy as np

    from animal_spot.model_files.ensemble_file import Ensemble
    from animal_spot.training.clip_scores import Scores

log = logging.getLogger("ENSEMBLE")

AVERAGE = "average"


def build_parser(prog: str = "ensemble.py") -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(
        prog=prog,
        description="Judge several models and the mean of their probabilities on the validation "
        "and test clips of a data set, and write them into one file for predict.py.",
    )
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        type=Path,
        help="model file; the members of an ensemble file are taken one by one",
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder that they were trained on, with the stored split",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("ensemble.pk"),
        metavar="FILE",
        help="ensemble file to write (default: %(default)s)",
    )
    add_common_flags(parser)
    return parser


def main(argv: list[str] | None = None, prog: str = "ensemble.py") -> int:
    """Run the program; return its exit status."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    check_common_flags(parser, args)
    if len({path.resolve() for path in args.models}) < len(args.models):
        parser.error("a model is named twice; each counts once")
    return score_to_status(log, lambda: run(args), debug=args.debug)


def run(args: argparse.Namespace) -> None:
    """Judge and write as wanted.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    with new_files(args.output, "--output"):
        _judge_and_write(args)


def _judge_and_write(args: argparse.Namespace) -> None:
    from animal_spot.model_files.ensemble_file import Ensemble, load_members, save_ensemble

    loaded = load_members(args.models, noise_class=args.noise_class)
    if len(loaded) < 2:
        raise ValueError(f"{args.models[0]} alone is no ensemble: name two models or more")
    # A temperature or thresholds of an average that was taken apart would mean nothing here.
    ensemble = Ensemble(loaded.members, loaded.names)
    scores = scores_of(ensemble, args, args.models)
    print("\n".join(map(printable, table_lines(ensemble, scores))))
    save_ensemble(ensemble, args.output)
    log.info("written: %s, for --model_path of predict.py", args.output)


def table_lines(ensemble: Ensemble, scores: dict[str, Scores]) -> list[str]:
    """Return the table: each model, their average, and what is lost without each.

    Args:
        ensemble: The models.
        scores: Of ``val`` and, if there are such clips, ``test``.
    """
    from animal_spot.detections.calibration import log_mean

    logs = {name: part.log_probabilities(ensemble) for name, part in scores.items()}
    labels = {name: part.labels for name, part in scores.items()}
    width = max(len(name) for name in [*ensemble.names, "model", AVERAGE]) + len("without ")
    heads = "".join(f"   {f'{name} accuracy':>13} {'macro':>7} {'loss':>7}" for name in scores)
    lines = [f"{'model':<{width}}{heads}"]

    def row(title: str, rows: dict[str, np.ndarray]) -> str:
        cells = "".join(
            f"   {accuracy:>13.1%} {macro:>7.1%} {loss:>7.3f}"
            for accuracy, macro, loss in (figures(rows[name], labels[name]) for name in rows)
        )
        return f"{title:<{width}}{cells}"

    for i, name in enumerate(ensemble.names):
        lines.append(row(name, {part: values[i] for part, values in logs.items()}))
    lines.append(row(AVERAGE, {part: log_mean(values) for part, values in logs.items()}))
    if len(ensemble) > 2:
        lines.append("the average without one of them, on val:")
        for i, name in enumerate(ensemble.names):
            others = logs["val"][:i] + logs["val"][i + 1 :]
            lines.append(row(f"without {name}", {"val": log_mean(others)}))
    else:
        lines.append("with two models, the average without one is the other")
    lines.append("choose models by val alone: a choice by test would make its figures flatter")
    return lines


def figures(log_probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """Return accuracy, mean accuracy of the classes that are present, and mean cross entropy.

    Args:
        log_probabilities: Shape ``(clip, class)``.
        labels: Class index of each clip.
    """
    import torch

    from animal_spot.detections.calibration import negative_log_likelihood
    from animal_spot.utils.metrics import (
        ConfusionMatrix,
        accuracy,
        mean_present,
        per_class_accuracy,
    )

    confusion = ConfusionMatrix(log_probabilities.shape[1])
    confusion.update(torch.from_numpy(labels), torch.from_numpy(log_probabilities.argmax(1)))
    counts = confusion.get()
    macro = mean_present(per_class_accuracy(counts))
    return accuracy(counts), macro, negative_log_likelihood(log_probabilities, labels)


if __name__ == "__main__":
    sys.exit(main())
