"""Distillation: a small network learns what large ones answer, beside the labels.

The answer of a teacher says more than a label: which other animals a print could be of, too. After
Hinton, Vinyals & Dean, Distilling the knowledge in a neural network (2015),
https://arxiv.org/abs/1503.02531.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from footprints.network.backbones import import_keras
from footprints.network.prepared_set import PreparedSet
from footprints.network.teachers import Lesson, Pictures, Teaching

if TYPE_CHECKING:
    import tensorflow as tf

_LEAST = 1e-7  # of a probability whose logarithm is taken


def targets_of(
    labels: np.ndarray | None,
    answers: np.ndarray,
    teaching: Teaching,
    class_weights: Mapping[int, float] | None = None,
) -> np.ndarray:
    """Return what a network is to say, as ``Objective`` takes it.

    Args:
        labels: ``(photos,)``; None if there are none.
        answers: Of the teacher, ``(photos, classes)``.
        teaching: Temperature and weight.
        class_weights: What photos of a class count. One without a label counts as the classes
            that the teacher sees in it.

    Returns:
        ``(photos, 2 * classes)`` float32: the label, weighted, and beside it the softened answer,
        weighted and times the temperature squared, which its gradients lack.
    """
    n_classes = answers.shape[1]
    softened = np.log(np.maximum(answers, _LEAST)) / teaching.temperature
    softened = np.exp(softened - softened.max(1, keepdims=True))
    softened /= softened.sum(1, keepdims=True)
    hard = np.zeros_like(softened) if labels is None else np.eye(n_classes)[labels]
    of_class = np.array([(class_weights or {}).get(i, 1.0) for i in range(n_classes)])
    counts = (answers if labels is None else hard) @ of_class
    both = [hard * (1 - teaching.weight), softened * teaching.weight * teaching.temperature**2]
    return np.float32(np.concatenate(both, axis=1) * counts[:, None])


class TaughtCrops:
    """Training pictures with targets in place of labels; read as a ``CropLoader`` is.

    Args:
        pictures: Files by scale.
        targets: Of each photo, see ``targets_of``.

    Attributes:
        labels: The target of each picture: all photos at the first scale, then at the next.
    """

    def __init__(self, pictures: Pictures, targets: np.ndarray) -> None:
        self.paths = tuple(path for paths in pictures.values() for path in paths)
        self.labels = np.tile(targets, (len(pictures), 1))

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self, batch_size: int, shuffle_seed: int | None = None) -> tf.data.Dataset:
        """Return batches ``(photos uint8, targets float32)``; see ``CropLoader.batches``."""
        import_keras()
        import tensorflow as tf

        order = np.arange(len(self))
        if shuffle_seed is not None:
            order = np.random.default_rng(shuffle_seed).permutation(order)
        names = [str(self.paths[i]) for i in order]
        pairs = tf.data.Dataset.from_tensor_slices((names, self.labels[order]))
        read = pairs.map(
            lambda name, target: (tf.io.decode_png(tf.io.read_file(name), channels=3), target),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return read.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def taught_crops(
    lesson: Lesson,
    prepared: PreparedSet,
    teaching: Teaching,
    class_weights: Mapping[int, float] | None,
) -> TaughtCrops:
    """Return the training photos, those without labels after the others."""
    targets = [
        targets_of(prepared.parts["train"].labels, lesson.train, teaching, class_weights),
        targets_of(None, lesson.unlabelled, teaching, class_weights),
    ]
    pictures = {
        scale: [*prepared.paths("train", scale), *lesson.pictures[scale]]
        for scale in prepared.scales
    }
    return TaughtCrops(pictures, np.concatenate(targets))


class Objective(NamedTuple):
    """What a network is compiled with; the default is for labels."""

    loss: Any = "sparse_categorical_crossentropy"
    accuracy: Any = "accuracy"


def taught_objective(temperature: float) -> Objective:
    """Return the loss of targets of ``targets_of``: cross entropy with label and teacher.

    Accuracy is agreement with the label, or with the teacher where there is none.
    """
    ops = import_keras().ops

    def distillation(targets: Any, probabilities: Any) -> Any:
        hard, soft = ops.split(targets, 2, axis=1)
        logs = ops.log(ops.maximum(probabilities, _LEAST))
        softened = ops.log_softmax(logs / temperature, axis=1)
        return -ops.sum(hard * logs, axis=1) - ops.sum(soft * softened, axis=1)

    def accuracy(targets: Any, probabilities: Any) -> Any:
        hard, soft = ops.split(targets, 2, axis=1)
        has_label = ops.max(hard, axis=1, keepdims=True) > 0
        wanted = ops.argmax(ops.where(has_label, hard, soft), axis=1)
        return ops.cast(ops.equal(wanted, ops.argmax(probabilities, axis=1)), "float32")

    return Objective(distillation, accuracy)
