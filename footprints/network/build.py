"""The network: augmentation, preprocessing, backbone and head in one Keras model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from footprints.network.augmentation import PLAIN, augmentation
from footprints.network.backbone_weights import load_backbone_weights
from footprints.network.backbones import BACKBONES, import_keras
from footprints.network.efficientnet_lite import LITES, build_lite

if TYPE_CHECKING:
    import keras


def build_model(
    n_classes: int,
    backbone: str = "MobileNetV3Small",
    weights: str | Path = "none",
    seed: int = 0,
    image_size: int = 224,
    augmented: str = PLAIN,
) -> keras.Model:
    """Build the network of the specification.

    Photos ``(n, image_size, image_size, 3)`` of 0..255 go in, uncalibrated probabilities
    ``(n, n_classes)`` come out. The layers are ``augmentation`` (active in training only), where
    needed ``preprocessing``, the backbone under its own name, ``pooling``, ``hidden`` (512, ReLU),
    ``dropout`` (0.3) and ``probabilities`` (softmax).

    Args:
        n_classes: Number of classes, at least 2.
        backbone: A key of ``BACKBONES``.
        weights: ``imagenet`` (fetched once by Keras, or out of an installed package), ``none``, or
            a file: ``.h5`` or ``.weights.h5`` as ``keras.applications`` takes it for
            ``include_top=False``, or a ``.keras`` model of ours, whose backbone is taken.
        seed: Of the random weights and of augmentation.
        image_size: Side of a photo in pixels, at least 32.
        augmented: How photos are changed in training, see ``augmentation``.

    Raises:
        UserError: If the weights cannot be had or do not fit.
        ValueError: If the backbone is unknown.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, not {backbone!r}")
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    shape = (image_size, image_size, 3)
    if backbone in LITES:
        base = build_lite(backbone, shape)
    else:
        base = getattr(keras.applications, backbone)(
            include_top=False, weights=None, input_shape=shape, name=backbone
        )
    load_backbone_weights(base, weights)
    photo = keras.Input(shape, name="photo")
    x = augmentation(seed, augmented)(photo)
    if not BACKBONES[backbone].scales_itself:
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(x)
    x = base(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    x = keras.layers.Dense(512, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.3, seed=seed, name="dropout")(x)
    x = keras.layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(photo, x, name="footprints")
