"""How loss and accuracy went over the epochs, from TensorBoard's files."""

from __future__ import annotations

import math
import sys
import types
from pathlib import Path

from animal_spot.figures.curves import learning_figure
from animal_spot.reporting.page import Block, Note
from animal_spot.reporting.pictures import picture
from animal_spot.reporting.training_results import PARTS, Results
from animal_spot.utils.errors import one_line
from animal_spot.utils.text import printable

_EVENTS = "events.out.tfevents.*"
_DRAWN = {
    "epoch_loss": "loss",
    "accuracy": "accuracy (share of clips)",
    "mean_per_class_accuracy": "mean of classes (share)",
}
_MOST_EPOCHS = 1_000_000
Curves = dict[str, dict[str, dict[int, float]]]


def curve_blocks(results: Results) -> list[Block]:
    """Return the learning curves of a run, or a line that says why there are none.

    Args:
        results: Of a run of one network.
    """
    found = run_folders(results)
    if not found:
        return [Note("The files of TensorBoard of this run are not there: no learning curves.")]
    if len(found) > 1:
        names = ", ".join(printable(folder.name) for folder in found[:5])
        return [
            Note(
                f"TensorBoard has {len(found)} runs in {printable(str(found[0].parent))} "
                f"({names}), and this one does not say which is its own: no learning curves."
            )
        ]
    try:
        curves = read_curves(found[0])
    except Exception as error:  # files of others, read by a library
        return [Note(f"TensorBoard's files cannot be read: {one_line(error)}. No learning curves.")]
    every = [step for lines in curves.values() for steps in lines.values() for step in steps]
    if len(set(every)) < 2:
        return [Note("This network was fitted at once, or for one epoch: no learning curves.")]
    epochs = range(min(every), max(every) + 1)
    quantities = {
        what: {
            PARTS[part]: [steps.get(epoch, math.nan) for epoch in epochs]
            for part, steps in curves[tag].items()
        }
        for tag, what in _DRAWN.items()
        if tag in curves
    }
    return [
        picture(
            learning_figure(quantities, title="Course of training", first_epoch=epochs[0] + 1),
            "learning",
            "Learning curves",
            "What the network got better at from epoch to epoch. Where training goes on and "
            "validation does not, it learns clips by heart.",
            is_wide=True,
        )
    ]


def run_folders(results: Results) -> list[Path]:
    """Return the folders in which TensorBoard's files of a run may be; one if it is known."""
    said = results.text("tensorboard")
    parents = _parents(results)
    if said is not None:
        own = Path(said)
        for folder in (own, *(parent / own.name for parent in parents)):
            if _has_events(folder):
                return [folder]
        return []
    for parent in parents:
        try:
            inside = sorted(p for p in parent.iterdir() if p.is_dir() and _has_events(p))
        except OSError:
            continue
        if inside:
            return inside
    return []


def _parents(results: Results) -> list[Path]:
    """Return where the folders of runs may be, the likeliest first."""
    given = results.settings.get("summary_dir")
    parents = [Path(given)] if isinstance(given, str) else [Path("runs")]
    fold = results.folder.name
    if fold.startswith("fold_"):
        parents = [parent / fold for parent in parents]
    return parents


def _has_events(folder: Path) -> bool:
    try:
        return any(folder.glob(_EVENTS))
    except OSError:
        return False


def read_curves(folder: Path) -> Curves:
    """Return the numbers of a run by tag, part of the split and epoch.

    Raises:
        Exception: Whatever TensorBoard raises of files that are none of its own.
    """
    # TensorBoard would import TensorFlow where it is installed: seconds and gigabytes.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from tensorboard.backend.event_processing import event_accumulator

    none = dict.fromkeys(event_accumulator.DEFAULT_SIZE_GUIDANCE, 1)
    events = event_accumulator.EventAccumulator(
        str(folder), size_guidance=none | {event_accumulator.SCALARS: 0, "tensors": 0}
    )
    events.Reload()
    found: Curves = {}
    tags = events.Tags()
    for part in PARTS:
        for tag in _DRAWN:
            full = f"{part}/{tag}"
            if part == "test" or full not in tags["scalars"]:
                continue
            steps = {
                event.step: event.value
                for event in events.Scalars(full)
                if 0 <= event.step < _MOST_EPOCHS and math.isfinite(event.value)
            }
            if steps:
                found.setdefault(tag, {})[part] = steps
    return found
