"""When to refuse a photo as that of a stranger: chosen on validation once a network is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.feature_cache import random_numbers
from footprints.network.phase import predict_batches
from footprints.network.strangeness import (
    MOST_REFERENCES,
    References,
    inner_model,
    strangeness_of,
)
from footprints.scores.calibration import LEAST_PHOTOS
from footprints.scores.strangers import (
    DISTANCE,
    ENERGY,
    KNOWN_KEPT,
    NONE_OF_THESE,
    Refusal,
    auroc,
    counts,
    cut_keeping,
)

if TYPE_CHECKING:
    import keras

    from footprints.network.loader import CropLoader

_DEFAULT = DISTANCE  # without strangers to choose by; see docs/results.md
_NEVER = 1.0
_EVEN = 0.5  # cut of the output for other animals where validation is too small for one


def find_refusal(
    model: keras.Model,
    n_classes: int,
    train: CropLoader,
    val: CropLoader,
    *,
    views: int,
    seed: int,
    kept: float = KNOWN_KEPT,
) -> tuple[np.ndarray, Refusal | None]:
    """Choose score and cut on validation, and return what the network says of it.

    The cut leaves the share ``kept`` of the validation photos of the classes alone. Where
    validation has photos of other animals, the score is the one that tells them best.

    Args:
        model: As it is after training.
        n_classes: How many of its outputs are classes.
        train: Its photos.
        val: Validation photos; those of other animals have the label ``n_classes``.
        views: How many views of each picture it answers by.
        seed: Of the whole training; draws the references of a distance.
        kept: 0 to 1; with 1 nothing is refused.

    Returns:
        What the network says of the validation photos, ``(photos, outputs)``, and the refusal;
        None where there are fewer than ``LEAST_PHOTOS`` photos of the classes to choose by, and
        the network has no output for other animals.
    """
    known = val.photo_labels < n_classes
    has_output = int(model.output_shape[-1]) > n_classes
    if not has_output and (kept >= 1 or known.sum() < LEAST_PHOTOS):
        return predict_batches(model, val, views=views), None
    references = _references(model, n_classes, train, seed)
    rules = [*([NONE_OF_THESE] if has_output else []), DISTANCE, ENERGY]
    rows = predict_batches(_Scored(model, n_classes, rules, references), val, views=views)
    outputs, scores = rows[:, : -len(rules)], rows[:, -len(rules) :]
    said = dict(zip(rules, scores.T, strict=True))
    if known.sum() < LEAST_PHOTOS or kept >= 1:
        cut = _EVEN if kept < 1 else _NEVER
        return outputs, _refusal(NONE_OF_THESE, cut, kept, said, known, None)
    rule, chosen_on = _DEFAULT, None
    if not known.all():
        rule = max(rules, key=lambda one: auroc(said[one][known], said[one][~known]))
        chosen_on = {one: auroc(said[one][known], said[one][~known]) for one in rules}
    cut = cut_keeping(said[rule][known], kept)
    found = _refusal(rule, cut, kept, said, known, chosen_on)
    if rule == DISTANCE:
        found = Refusal(rule, cut, {**found.found, **references.facts()})
    return outputs, found


def _refusal(
    rule: str,
    cut: float,
    kept: float,
    said: dict[str, np.ndarray],
    known: np.ndarray,
    chosen_on: dict[str, float] | None,
) -> Refusal:
    found: dict[str, Any] = {"known_kept": kept}
    if chosen_on:
        found["auroc_of_rules"] = chosen_on
    scores = said[rule]
    found["validation"] = counts(Refusal(rule, cut, {}), scores[known], scores[~known])
    return Refusal(rule, cut, found)


class _Scored:
    """A network with several scores behind its outputs, as ``predict_batches`` runs it."""

    def __init__(
        self, model: keras.Model, n_classes: int, rules: list[str], references: References
    ):
        import tensorflow as tf

        inner = inner_model(model)
        # The references as they will be read back from the file, in 8 bits.
        scores = [strangeness_of(model, n_classes, rule, references) for rule in rules]

        @tf.function(reduce_retracing=True)
        def run(pictures: Any) -> Any:
            probabilities, hidden = inner(tf.cast(pictures, tf.float32), training=False)
            return tf.concat([probabilities, *(one(probabilities, hidden) for one in scores)], 1)

        self._run = run

    def predict_on_batch(self, pictures: np.ndarray) -> np.ndarray:
        return self._run(pictures).numpy()


def _references(model: keras.Model, n_classes: int, train: CropLoader, seed: int) -> References:
    """Return what a network makes of some of the pictures that it learned from, as they are."""
    import tensorflow as tf

    from footprints.network.strangeness import references_of

    of_classes = np.flatnonzero(train.labels < n_classes)
    rng = random_numbers(seed, "references")
    chosen = np.zeros(len(train), bool)
    chosen[rng.permutation(of_classes)[:MOST_REFERENCES]] = True
    inner = inner_model(model)
    run = tf.function(lambda pictures: inner(tf.cast(pictures, tf.float32), training=False)[1])
    features, at = [], 0
    for pictures, _ in train.batches(64):
        wanted = chosen[at : at + len(pictures)]
        at += len(pictures)
        if wanted.any():
            features.append(run(tf.boolean_mask(pictures, wanted)).numpy())
    return references_of(References(np.concatenate(features)).facts())
