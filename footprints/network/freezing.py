"""Which part of a network learns: freezing layers, and cutting the frozen part off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.backbones import BACKBONES, backbone_of, import_keras

if TYPE_CHECKING:
    import keras


def freeze(model: keras.Model, n_last: int) -> None:
    """Let the head and the last layers of the backbone learn; compile again afterwards.

    BatchNormalization layers stay frozen, each by itself: otherwise their statistics would follow
    the few photos here.

    Args:
        model: From ``build_model``.
        n_last: How many layers of the backbone, counted from its end with all kinds of layers; 0
            for none, more than there are for all.
    """
    keras = import_keras()
    model.trainable = True
    base = backbone_of(model)
    first = max(0, len(base.layers) - n_last)
    for index, layer in enumerate(base.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = index >= first and not is_norm


def split_model(model: keras.Model, n_last: int) -> tuple[keras.Model, keras.Model]:
    """Cut a model into a front that stays as it is and a rest that learns; layers are shared.

    ``rest(front(photos))`` is ``model(photos)``. The front does not augment.

    Args:
        model: From ``build_model``.
        n_last: Number of last backbone layers that must be in the rest. With 0 the cut is behind
            the pooling; else it is the last place in the backbone before these layers that all
            paths go through.
    """
    keras = import_keras()
    base = backbone_of(model)
    photo = keras.Input(model.input_shape[1:], name="front_photo")
    x = photo
    if any(layer.name == "preprocessing" for layer in model.layers):
        x = model.get_layer("preprocessing")(x)
    pooling = model.get_layer("pooling")
    if n_last <= 0:
        front = keras.Model(photo, pooling(base(x)), name="front")
        entry = keras.Input(front.output_shape[1:], name="features")
        y = entry
    else:
        cut = _cut(base, n_last)
        # With nothing before the cut, the front is only the preprocessing.
        before = x if cut is base.input else keras.Model(base.input, cut, name="before_cut")(x)
        front = keras.Model(photo, before, name="front")
        entry = keras.Input(front.output_shape[1:], name="features")
        y = entry if cut is not base.input else base(entry)
        if cut is not base.input:
            y = keras.Model(cut, base.output, name="behind_cut")(entry)
        y = pooling(y)
    for name in ("hidden", "dropout", "probabilities"):
        y = model.get_layer(name)(y)
    return front, keras.Model(entry, y, name="rest")


def _cut(base: keras.Model, n_last: int) -> Any:
    """Return the last tensor before the last layers through which every path goes."""
    operations = base.operations
    position = {id(operation): index for index, operation in enumerate(operations)}
    wanted = base.layers[max(0, len(base.layers) - n_last) :]
    first = min(position[id(layer)] for layer in wanted)
    last_use: dict[int, int] = {}  # tensor -> last operation that reads it
    for index, operation in enumerate(operations[1:], start=1):
        inputs = operation.input
        for tensor in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
            last_use[id(tensor)] = index
    cut, open_until = base.input, last_use[id(base.input)]
    for index in range(1, first):
        if open_until <= index:  # nothing made earlier is read later
            cut = operations[index].output
        open_until = max(open_until, last_use.get(id(operations[index].output), 0))
    return cut


def measure_batch_norm(model: keras.Model, batches: Iterable[np.ndarray]) -> None:
    """Set the BatchNormalization statistics of a backbone with random weights from photos.

    The initial ones (mean 0, variance 1) let the signal fade away from layer to layer, so that a
    frozen backbone would say nothing about a photo.

    Args:
        model: From ``build_model`` with ``weights="none"``.
        batches: Photos ``(n, size, size, 3)``, 0..255; the statistics are the means over batches.
    """
    keras = import_keras()
    base = backbone_of(model)
    norms = [x for x in base.layers if isinstance(x, keras.layers.BatchNormalization)]
    momentum = [layer.momentum for layer in norms]
    base.trainable = True
    for number, photos in enumerate(batches):
        for layer in norms:
            layer.momentum = number / (number + 1)
        photos = keras.ops.cast(photos, "float32")
        if not BACKBONES[base.name].scales_itself:
            photos = model.get_layer("preprocessing")(photos)
        base(photos, training=True)
    for layer, value in zip(norms, momentum, strict=True):
        layer.momentum = value
