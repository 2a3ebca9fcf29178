"""How strange a picture is to a network: scores beside its probabilities, as a part of the graph.

Three scores, the higher the stranger:

* ``none of these``: what the output for other animals says, where the network has one;
* ``distance``: one less the cosine of the angle to the fifth nearest of the pictures that it
  learned from, between outputs of the layer ``hidden`` (deep nearest neighbours: Sun et al.,
  ICML 2022);
* ``energy``: less the logarithm of the sum of exp(logits) of the classes (Liu et al.,
  NeurIPS 2020).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.backbones import import_keras
from footprints.scores.strangers import DISTANCE, ENERGY, NONE_OF_THESE, Refusal
from footprints.system.typed import as_number, as_text, as_whole

if TYPE_CHECKING:
    import keras

MOST_REFERENCES = 500
NEIGHBOUR = 5  # the fifth nearest; of fewer references the farthest
_MOST_BYTES = 2**23


@dataclass(frozen=True)
class References:
    """What a network made of pictures that it learned from.

    Attributes:
        features: Outputs of the layer ``hidden``, ``(n, units)``; not negative. Only their
            directions count.
    """

    features: np.ndarray

    def facts(self) -> dict[str, Any]:
        """Return them in 8 bits, fit for JSON."""
        unit = directions(self.features)
        step = float(unit.max()) / 255 or 1.0
        whole = np.round(unit / step).astype(np.uint8)
        text = base64.b64encode(whole.tobytes()).decode("ascii")
        return {"references": {"shape": list(whole.shape), "step": step, "uint8_base64": text}}


def references_of(facts: Mapping[str, Any]) -> References:
    """Return what ``References.facts`` wrote.

    Raises:
        ValueError: If it cannot be meant.
    """
    given = facts.get("references")
    if not isinstance(given, Mapping) or not isinstance(given.get("shape"), list):
        raise ValueError("its refusal by distance has no references")
    rows, units = (as_whole(one, 1, 2**20) for one in (*given["shape"], 0, 0)[:2])
    step = as_number(given.get("step"), 0, 1)
    text = as_text(given.get("uint8_base64"), longest=_MOST_BYTES)
    try:
        content = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        raise ValueError("its references are damaged") from None
    if content.size != rows * units:
        raise ValueError("its references are damaged")
    return References(content.reshape(rows, units).astype(np.float32) * step)


def directions(features: np.ndarray) -> np.ndarray:
    """Return rows of length 1; rows of nothing but zeros stay so."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length > 0, length, 1)


Outputs = Callable[[Any], tuple[Any, Any]]


def inner_model(model: keras.Model) -> keras.Model:
    """Return a model of the same layers that gives ``hidden`` beside the probabilities."""
    keras = import_keras()
    outputs = [model.outputs[0], model.get_layer("hidden").output]
    return keras.Model(model.inputs[0], outputs, name="inner")


def strangeness_of(
    model: keras.Model, n_classes: int, rule: str, references: References | None = None
) -> Callable[[Any, Any], Any]:
    """Return a function of probabilities and ``hidden`` to scores ``(n, 1)``, of TensorFlow.

    Args:
        model: From ``build_model``.
        n_classes: How many of its outputs are classes; one more is that for other animals.
        rule: Of ``scores.strangers.RULES``.
        references: For ``distance``.

    Raises:
        ValueError: If rule, references and network do not belong together.
    """
    import tensorflow as tf

    if rule == NONE_OF_THESE:
        if int(model.output_shape[-1]) != n_classes + 1:
            raise ValueError("it refuses by an output that its network has not")
        return lambda probabilities, hidden: probabilities[:, n_classes:]
    kernel, bias = model.get_layer("probabilities").get_weights()
    if rule == ENERGY:
        of_classes = kernel[:, :n_classes], bias[:n_classes]
        return lambda probabilities, hidden: (
            -tf.reduce_logsumexp(
                tf.matmul(hidden, of_classes[0]) + of_classes[1], axis=1, keepdims=True
            )
        )
    if rule != DISTANCE or references is None:
        raise ValueError(f"no such score: {rule}")
    if references.features.shape[1] != kernel.shape[0]:
        raise ValueError("its references are not of its network")
    nearest = min(NEIGHBOUR, len(references.features))
    # NumPy: constants of TensorFlow from outside would be inputs of an exported graph.
    turned = directions(references.features).T.astype(np.float32)

    def distance(probabilities: Any, hidden: Any) -> Any:
        length = tf.sqrt(tf.reduce_sum(tf.square(hidden), axis=1, keepdims=True))
        cosines = tf.matmul(hidden / tf.maximum(length, 1e-9), turned)
        return 1.0 - tf.math.top_k(cosines, nearest).values[:, nearest - 1 :]

    return distance


def with_strangeness(model: keras.Model, n_classes: int, refusal: Refusal | None) -> Outputs:
    """Return pictures -> probabilities and, if the model refuses by a score, scores ``(n, 1)``.

    Where nothing is refused, or by an output of the network itself, the second is None.

    Raises:
        ValueError: If the refusal does not fit the network.
    """
    if refusal is None or refusal.rule == NONE_OF_THESE:
        if refusal is not None and int(model.output_shape[-1]) != n_classes + 1:
            raise ValueError("it refuses by an output that its network has not")
        return lambda pictures: (model(pictures, training=False), None)
    references = references_of(refusal.found) if refusal.rule == DISTANCE else None
    score = strangeness_of(model, n_classes, refusal.rule, references)
    inner = inner_model(model)

    def outputs(pictures: Any) -> tuple[Any, Any]:
        probabilities, hidden = inner(pictures, training=False)
        return probabilities, score(probabilities, hidden)

    return outputs


class Runner:
    """A network with the score of its refusal behind its outputs, run batch by batch.

    Args:
        model: From ``build_model``.
        n_classes: How many of its outputs are classes.
        refusal: Of the model, or None.
    """

    def __init__(self, model: keras.Model, n_classes: int, refusal: Refusal | None) -> None:
        import tensorflow as tf

        said = with_strangeness(model, n_classes, refusal)

        @tf.function(reduce_retracing=True)
        def run(pictures: Any) -> Any:
            found = said(tf.cast(pictures, tf.float32))
            return tf.concat([one for one in found if one is not None], 1)

        self._run = run

    def predict_on_batch(self, pictures: np.ndarray) -> np.ndarray:
        """Return ``(n, outputs)``, for ``divided``."""
        return self._run(pictures).numpy()


def divided(
    rows: np.ndarray, n_classes: int, rule: str | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Divide what a network says into its classes and the score of strangeness.

    Args:
        rows: ``(n, outputs)``: classes, the output for other animals if there is one, and the
            score if the rule is not of that output; means over views and scales.
        n_classes: How many are classes.
        rule: Of ``scores.strangers.RULES``, or None.

    Returns:
        Uncalibrated probabilities ``(n, classes)``, given that it is one of the classes, rows sum
        to 1; scores ``(n,)`` or None.
    """
    rows = np.asarray(rows)
    if rows.shape[1] == n_classes:
        return rows, None
    known = rows[:, :n_classes]
    n_scores = int(rule not in (None, NONE_OF_THESE))
    if rows.shape[1] > n_classes + n_scores:  # there is an output for other animals
        total = known.sum(axis=1, keepdims=True)
        known = np.where(total > 0, known / np.where(total > 0, total, 1), 1 / n_classes)
    return known, None if rule is None else rows[:, -1]
