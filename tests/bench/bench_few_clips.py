"""How good is a network that has heard a few clips of each class? Run by hand.

    python -m tests.bench.bench_few_clips --data_dir CLIPS --output DIR [--clips 5 --draws 10]

Each draw takes so many training clips of each class from the training part of the stored split
(made if there is none) and trains with ``--preset few_clips``; further flags are handed on to
``main.py``. Layers and L2 are chosen on clips of the validation part: all of it, or ``--val_clips``
of each class. It is judged on the test part, and on that and all training clips of tapes that the
draw has not heard. CLIPS is not changed, but for a split that is made.

Prints a line for each draw, then mean and range of the mean accuracy of the classes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


import numpy as np

from animal_spot import main as training
from animal_spot.data.corpus import load_corpus
from animal_spot.data.labels import Clip, find_clip_paths
from animal_spot.data.splits import Split, load_split, save_split


def draw(clips: list[Clip], n: int, rng: np.random.Generator) -> list[Clip]:
    """Draw so many clips of each class, or all of a class that has fewer."""
    drawn = []
    for name in sorted({clip.class_name for clip in clips}):
        of_class = sorted((c for c in clips if c.class_name == name), key=lambda c: c.path)
        drawn += [of_class[i] for i in rng.permutation(len(of_class))[:n]]
    return drawn


def drawn_split(split: Split, n: int, n_val: int | None, seed: int) -> Split:
    """Return few training clips, validation clips, and for the test all of unheard tapes."""
    rng = np.random.default_rng(seed)
    train = draw(list(split.train), n, rng)
    val = list(split.val) if n_val is None else draw(list(split.val), n_val, rng)
    heard = {clip.tape for clip in (*train, *val)}
    unheard = [clip for clip in (*split.test, *split.train) if clip.tape not in heard]
    return Split(train=tuple(train), val=tuple(val), test=tuple(unheard))


def macro_accuracy(judged: list[Clip], wrong: set[str]) -> float:
    """Return the mean accuracy of the classes."""
    right: dict[str, list[bool]] = {}
    for clip in judged:
        right.setdefault(clip.class_name, []).append(clip.path not in wrong)
    return float(np.mean([np.mean(values) for values in right.values()]))


def run(split: Split, data_dir: Path, folder: Path, cache: Path, flags: list[str]) -> set[str]:
    """Train on a split; return the test clips that were wrong."""
    clips = folder / "clips"
    for clip in (*split.train, *split.val, *split.test):
        link = clips / clip.path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(data_dir / clip.path)
    save_split(split, clips)
    argv = [
        *("--preset", "few_clips", "--data_dir", str(clips), "--model_dir", str(folder / "model")),
        *("--summary_dir", str(folder / "summaries"), "--cache_dir", str(cache), *flags),
    ]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = training.main(argv)
    if status:
        sys.exit(said.getvalue())
    results = json.loads((folder / "model" / "results.json").read_text())
    return {clip["file"] for clip in results["partitions"]["test"]["wrong_clips"]}


def main() -> None:
    """Run all draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="new folder")
    parser.add_argument("--clips", type=int, default=5, help="training clips of a class")
    parser.add_argument("--val_clips", type=int, help="validation clips of a class; none: all")
    parser.add_argument("--draws", type=int, default=10)
    args, flags = parser.parse_known_args()
    data_dir = args.data_dir.resolve()
    if not find_clip_paths(data_dir):
        parser.error(f"no clips in {data_dir}")
    load_corpus(data_dir)  # makes the split
    split, _ = load_split(data_dir)
    of_test = {clip.path for clip in split.test}
    rows = []
    for seed in range(args.draws):
        drawn = drawn_split(split, args.clips, args.val_clips, seed)
        wrong = run(
            drawn, data_dir, args.output.resolve() / f"draw_{seed}", args.output / "cache", flags
        )
        test = [clip for clip in drawn.test if clip.path in of_test]
        rows.append((macro_accuracy(test, wrong), macro_accuracy(list(drawn.test), wrong)))
        print(
            f"draw {seed}: {len(drawn.train)} training clips; mean of classes on {len(test)} test "
            f"clips {rows[-1][0]:.3f}, on all {len(drawn.test)} of unheard tapes {rows[-1][1]:.3f}",
            flush=True,
        )
    for name, values in zip(("test", "unheard tapes"), zip(*rows, strict=True), strict=True):
        print(f"{name}: mean {np.mean(values):.3f}, from {min(values):.3f} to {max(values):.3f}")


if __name__ == "__main__":
    main()
