"""How well are animals of no class refused? Leaves each species out in turn; run by hand.

    python -m tests.bench.bench_strangers PREPARED/oat --weights FILE --features DIR [--others 4]

A head of the specification (512 units) is trained on stored features of a frozen backbone, without
the photos of one species, and its validation photos are the strangers. All three scores of
``network.strangeness`` are compared: the area under the curve against the validation photos of the
classes, and the share of strangers that is refused where 95 % of these are kept (by a cut on these
very photos). With ``--others N`` the N species that follow in the list are no classes either: their
training photos teach the output for none of these. Prints a row a species, then means over species
with 95 % intervals (bootstrap over species), as JSON with ``--output``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from footprints.network.build import build_model
from footprints.network.feature_cache import FeatureCache
from footprints.network.freezing import split_model
from footprints.network.loader import CropLoader
from footprints.network.phase import class_weights
from footprints.network.prepared_set import PreparedSet, open_set
from footprints.network.strangeness import MOST_REFERENCES, References, strangeness_of
from footprints.scores.strangers import (
    DISTANCE,
    ENERGY,
    NONE_OF_THESE,
    auroc,
    auroc_interval,
    cut_keeping,
)


class Features:
    """Pooled features of a frozen backbone: of training as it is and augmented, of validation."""

    def __init__(self, prepared: PreparedSet, args: argparse.Namespace) -> None:
        model = build_model(2, args.backbone, args.weights, args.seed, prepared.image_size)
        front, _ = split_model(model, 0)
        loaders = {part: CropLoader(prepared, part, in_memory=False) for part in ("train", "val")}

        def cached(part: str, name: str, views: int, augment: bool) -> np.ndarray:
            layers = model.get_layer("augmentation") if augment else None
            how = {"n_views": views, "seed": args.seed, "name": name}
            cache = FeatureCache(front, layers, loaders[part], args.features, **how)
            return np.stack([cache.view(k) for k in range(views)])

        self.plain = cached("train", "plain", 1, augment=False)[0]
        self.train = np.concatenate([self.plain[None], cached("train", "train", 1, augment=True)])
        self.val = cached("val", "val", 1, augment=False)[0]
        self.train_labels, self.val_labels = loaders["train"].labels, loaders["val"].labels


def scores_without(
    features: Features, stranger: int, others: list[int], n_species: int, args: argparse.Namespace
) -> tuple[dict[str, np.ndarray], np.ndarray, float]:
    """Train a head without a species and score all validation photos of it and of the classes.

    Returns:
        Scores by rule, whether each photo is of a class, and the share of these named right.
    """
    from footprints.network.backbones import import_keras

    keras = import_keras()
    classes = [i for i in range(n_species) if i != stranger and i not in others]
    number = np.full(n_species, -1)
    number[classes] = range(len(classes))
    number[others] = len(classes)
    model = build_model(len(classes) + bool(others), args.backbone, "none", args.seed, 96)
    _, rest = split_model(model, 0)
    labels = number[features.train_labels]
    used = labels >= 0
    x = features.train[:, used].reshape(-1, features.train.shape[2])
    y = np.tile(labels[used], len(features.train))
    rest.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    weights = class_weights(np.bincount(labels[used]))
    rest.fit(x, y, batch_size=32, epochs=args.epochs, verbose=0, class_weight=weights)
    kernel, bias = model.get_layer("hidden").get_weights()

    def hidden_of(x: np.ndarray) -> np.ndarray:
        return np.maximum(0, x @ kernel + bias).astype(np.float32)

    known = np.isin(features.val_labels, classes)
    looked_at = known | (features.val_labels == stranger)
    probabilities = rest(features.val[looked_at], training=False)
    rng = np.random.default_rng(args.seed)
    of_classes = np.flatnonzero((labels >= 0) & (labels < len(classes)))
    chosen = rng.permutation(of_classes)[:MOST_REFERENCES]
    references = References(hidden_of(features.plain[chosen]))
    hidden = hidden_of(features.val[looked_at])
    rules = [DISTANCE, ENERGY] + [NONE_OF_THESE] * bool(others)
    said = {
        rule: strangeness_of(model, len(classes), rule, references)(probabilities, hidden)
        .numpy()
        .ravel()
        for rule in rules
    }
    said["largest probability"] = -probabilities.numpy()[:, : len(classes)].max(axis=1)
    known = known[looked_at]
    answers = probabilities.numpy()[known, : len(classes)].argmax(axis=1)
    right = answers == number[features.val_labels[looked_at][known]]
    return said, known, float(right.mean())


def main() -> int:
    """Compare the scores; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="MobileNetV2")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    prepared = open_set(args.data, ("train", "val"))
    features = Features(prepared, args)
    n = len(prepared.classes)
    rows: list[dict[str, object]] = []
    for stranger, name in enumerate(prepared.classes):
        others = [(stranger + 1 + i) % n for i in range(args.others)]
        said, known, accuracy = scores_without(features, stranger, others, n, args)
        row = {"species": name, "strangers": int((~known).sum()), "known": int(known.sum())}
        row["accuracy"] = accuracy
        for rule, values in said.items():
            refused = float((values[~known] > cut_keeping(values[known], 0.95)).mean())
            ends = auroc_interval(values[known], values[~known])
            area = auroc(values[known], values[~known])
            row[rule] = {"auroc": area, "auroc_interval": ends, "refused": refused}
        rows.append(row)
        areas = ", ".join(f"{rule} {row[rule]['auroc']:.2f}" for rule in said)
        print(f"{name}: {row['strangers']} photos, right {accuracy:.2f}; {areas}", flush=True)
    rng = np.random.default_rng(0)
    means = {}
    for rule in [key for key in rows[0] if isinstance(rows[0][key], dict)]:
        for figure in ("auroc", "refused"):
            values = np.array([row[rule][figure] for row in rows])
            drawn = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            means[f"{rule}, {figure}"] = [float(values.mean()), float(low), float(high)]
            print(f"{rule}, {figure}: {values.mean():.3f} ({low:.3f} to {high:.3f})")
    if args.output:
        args.output.write_text(json.dumps({"means": means, "species": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
