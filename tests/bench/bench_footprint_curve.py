"""What more photos would bring, and which backbone sees most: macro F1 against photos per class.

    python -m tests.bench.bench_footprint_curve --prepared DIR --set oat|real
        [--backbone EfficientNetLite2 ...] [--weights imagenet|FILE ...] [--features DIR]
        [--mirrored] [--most N] [--sizes 5 10 20 ...] [--draws 3]

Nothing is tuned: the features of a frozen backbone (of every scale that there is; with
``--mirrored`` the mean over the picture as it is and mirrored) go to a linear discriminant, whose
shrinkage is chosen on training photos. So minutes on two cores tell one backbone from another;
several are put side by side. Set oat is judged on its validation part, set real in five folds of
all its photos (look-alikes in one fold), which are dealt anew in each draw.

For each number of photos per class (of a class with fewer, all) photos are drawn anew, the same for
all backbones. The interval of the row "all" is a bootstrap over photos; of the others it is the
range of the draws. The last line says what twice the photos bring: the slope over the last three
rows, with the range over draws, which holds if the curve goes on as it went.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from footprints.network.build import build_model
from footprints.network.freezing import split_model
from footprints.network.prepared_set import PreparedSet, open_set
from footprints.scores import metrics
from footprints.system.progress import progress

SHRINKAGE = (0.02, 0.1, 0.3, 0.6)  # share of the plain variance in the covariance
N_FOLDS = 5
_BATCH = 16


def features_of(
    pictures: list[list[Path]], backbone: str, weights: str, size: int, mirrored: bool, kept: Path
) -> np.ndarray:
    """Return features ``(scales, photos, width)`` of files by scale; kept in a file once made."""
    if kept.is_file():
        return np.load(kept)
    import tensorflow as tf

    front, _ = split_model(build_model(2, backbone, weights, 0, size), 0)

    @tf.function(reduce_retracing=True)
    def look(photos):
        photos = tf.cast(photos, tf.float32)
        seen = front(photos, training=False)
        if mirrored:
            seen = (seen + front(photos[:, :, ::-1], training=False)) / 2
        return seen

    paths = [path for of_scale in pictures for path in of_scale]
    starts = range(0, len(paths), _BATCH)
    found = []
    for at in progress(starts, len(starts), kept.stem, "step"):
        photos = [np.asarray(Image.open(path).convert("RGB")) for path in paths[at : at + _BATCH]]
        found.append(look(np.stack(photos)).numpy())
    features = np.concatenate(found).reshape(len(pictures), len(pictures[0]), -1)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with open(kept, "wb") as file:
        np.save(file, features)
    return features


class Discriminant:
    """Fisher's linear discriminant with a shrunk covariance.

    Args:
        x: Features ``(n, width)``.
        y: Classes ``(n,)``; each of ``n_classes`` at least once.
        n_classes: How many.
        shrinkage: Share of the mean variance on the diagonal, above 0 to 1.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, n_classes: int, shrinkage: float) -> None:
        means = np.stack([x[y == k].mean(0) for k in range(n_classes)])
        centred = x - means[y]
        covariance = centred.T @ centred / len(x)
        plain = np.trace(covariance) / len(covariance)
        covariance *= 1 - shrinkage
        covariance[np.diag_indices_from(covariance)] += shrinkage * plain
        self._weights = np.linalg.solve(covariance, means.T)
        self._bias = -0.5 * (means.T * self._weights).sum(0)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Return ``(n, classes)``; every class is as likely as another before it is looked."""
        logits = x @ self._weights + self._bias
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)


def answers(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, n_classes: int, shrinkage: float
) -> np.ndarray:
    """Return probabilities of test photos, the mean over scales.

    Args:
        train: Features ``(scales, photos, width)``; every picture counts by itself.
        labels: Of its photos.
        test: Features of the photos that are judged.
        n_classes: How many.
        shrinkage: See ``Discriminant``.
    """
    width = train.shape[2]
    scale = train.reshape(-1, width).std(0) + 1e-6
    x, y = (train / scale).reshape(-1, width), np.tile(labels, len(train))
    model = Discriminant(x, y, n_classes, shrinkage)
    return np.mean([model.probabilities(one / scale) for one in test], axis=0)


def best_shrinkage(x: np.ndarray, labels: np.ndarray, n_classes: int) -> float:
    """Choose on training photos, in random order: learn from two thirds, judge the others."""
    held = np.arange(len(labels)) % 3 == 0
    if len({*labels[~held]}) < n_classes:
        return SHRINKAGE[-1]
    losses = [
        metrics.negative_log_likelihood(
            answers(x[:, ~held], labels[~held], x[:, held], n_classes, shrinkage), labels[held]
        )
        for shrinkage in SHRINKAGE
    ]
    return SHRINKAGE[int(np.argmin(losses))]


def draw(labels: np.ndarray, n_each: int | None, rng: np.random.Generator) -> np.ndarray:
    """Return numbers of photos, at most so many of each class, in random order."""
    order = rng.permutation(len(labels))
    if n_each is None:
        return order
    return np.concatenate([order[labels[order] == k][:n_each] for k in np.unique(labels)])[
        rng.permutation(int(np.minimum(np.bincount(labels), n_each).sum()))
    ]


def folds(groups: Sequence[str], labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold of each photo: even within classes, a group whole."""
    rng = np.random.default_rng(seed)
    fold, load = np.full(len(labels), -1), np.zeros((labels.max() + 1, N_FOLDS))
    members: dict[str, list[int]] = {}
    for index in rng.permutation(len(labels)):
        members.setdefault(groups[index], []).append(index)
    for inside in members.values():
        of_class = labels[inside[0]]
        best = int(np.argmin(load[of_class] + rng.random(N_FOLDS) / 2))
        fold[inside] = best
        load[of_class, best] += len(inside)
    return fold


def groups_of(prepared: PreparedSet, crops: Sequence[Path]) -> list[str]:
    """Return the group of look-alikes of each crop."""
    with open(prepared.folder / "manifest.csv", encoding="utf-8", newline="") as file:
        group = {row["crop"]: row["group"] for row in csv.DictReader(file)}
    return [group[path.relative_to(prepared.folder).as_posix()] for path in crops]


def confusion(x, labels, n_classes, n_each, seed, judged) -> np.ndarray:
    """Return the counts of one draw; ``judged`` are pairs of training and judged photos."""
    rng, shrinkage = np.random.default_rng([seed, n_each or 0]), None
    matrix = np.zeros((n_classes, n_classes), int)
    for learned, seen in judged:
        mine = learned[draw(labels[learned], n_each, rng)]
        if shrinkage is None:
            shrinkage = best_shrinkage(x[:, mine], labels[mine], n_classes)
        said = answers(x[:, mine], labels[mine], x[:, seen], n_classes, shrinkage)
        matrix += metrics.confusion_matrix(labels[seen], said.argmax(1), n_classes)
    return matrix


def main() -> int:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--set", choices=["oat", "real"], required=True)
    parser.add_argument("--backbone", nargs="+", default=["EfficientNetLite2"])
    parser.add_argument("--weights", nargs="+", default=["imagenet"])
    parser.add_argument("--features", type=Path, help="folder that keeps the features")
    parser.add_argument("--mirrored", action="store_true")
    parser.add_argument("--most", type=int, help="training photos of a class, all draws together")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 10, 20, 40, 80])
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    prepared = open_set(args.prepared / args.set, ("train", "val"))
    weights = args.weights * (len(args.backbone) if len(args.weights) == 1 else 1)
    parts = {part: prepared.parts[part].labels for part in ("train", "val")}
    chosen = {part: np.arange(len(of_part)) for part, of_part in parts.items()}
    if args.most:
        chosen["train"] = np.sort(draw(parts["train"], args.most, np.random.default_rng(0)))
    parts = {part: of_part[chosen[part]] for part, of_part in parts.items()}
    n_train, n_classes = len(parts["train"]), len(prepared.classes)
    labels = np.concatenate([*parts.values()])
    paths = [
        [prepared.paths(part, scale)[i] for part in parts for i in chosen[part]]
        for scale in prepared.scales
    ]
    how = f"{'mirrored' if args.mirrored else 'plain'}-{args.most or 'all'}"
    with tempfile.TemporaryDirectory() as name:
        found = [
            features_of(
                paths,
                one,
                start,
                prepared.image_size,
                args.mirrored,
                (args.features or Path(name)) / f"{args.set}-{one}-{how}.npy",
            )
            for one, start in zip(args.backbone, weights, strict=True)
        ]
    x = np.concatenate(found, axis=2)
    number = np.arange(len(labels))

    def judged(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        if args.set == "oat":
            return [(number[:n_train], number[n_train:])]
        fold = folds(groups_of(prepared, paths[0]), labels, seed)
        return [(number[fold != k], number[fold == k]) for k in range(N_FOLDS)]

    print(f"{args.set}, {' + '.join(args.backbone)}: {len(labels)} photos, {n_classes} classes")
    print("a class   in all   macro F1")
    curve = []
    for n_each in [*args.sizes, None]:
        n_draws = 1 if n_each is None and args.set == "oat" else args.draws
        tries = [
            confusion(x, labels, n_classes, n_each, seed, judged(seed)) for seed in range(n_draws)
        ]
        scores = [metrics.macro_f1(matrix) for matrix in tries]
        interval = min(scores), max(scores)
        if n_each is None:
            interval = metrics.bootstrap_intervals(tries[0])["macro_f1"]
        counts = np.bincount(labels[judged(0)[0][0]])
        in_all = counts.sum() if n_each is None else np.minimum(counts, n_each).sum()
        print(
            f"{n_each or 'all':>7} {in_all:8} {np.mean(scores):10.3f} "
            f"({interval[0]:.3f} to {interval[1]:.3f})",
            flush=True,
        )
        curve.append((in_all, scores))
    (first, low), (last, high) = curve[-3 if len(curve) > 2 else 0], curve[-1]
    if last > first:
        slopes = (np.mean(high) - np.array(low)) / np.log2(last / first)
        print(
            f"twice the photos: {np.mean(slopes):+.3f} ({slopes.min():+.3f} to {slopes.max():+.3f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
