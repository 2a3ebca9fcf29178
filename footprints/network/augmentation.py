"""Random changes of a training photo, as layers of Keras that every Keras loads.

``plain`` is the specification's. ``strong`` adds what photos of one print differ in outdoors:
perspective, crops from near to wide, light, and the colours of mud, sand and snow, and blur.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from footprints.network.backbones import import_keras

if TYPE_CHECKING:
    import keras

PLAIN, STRONG = "plain", "strong"
KINDS = (PLAIN, STRONG)
_RANGE = (0, 255)


def augmentation(seed: int, kind: str = PLAIN) -> keras.Sequential:
    """Return the layers; photos are RGB of 0..255 before and after.

    Args:
        seed: Of what is drawn.
        kind: Of ``KINDS``.

    Raises:
        ValueError: If the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"augmentation must be one of {', '.join(KINDS)}, not {kind!r}")
    layers = _plain(seed) if kind == PLAIN else _strong(seed)
    return import_keras().Sequential(layers, name="augmentation")


def _plain(seed: int) -> list[Any]:
    layers = import_keras().layers
    return [
        layers.RandomFlip("horizontal", seed=seed),
        layers.RandomRotation(0.1, seed=seed + 1),
        layers.RandomZoom(0.1, seed=seed + 2),
        # A single 0.1 would be 1.0 to 1.1 in Keras 3, against its documentation.
        layers.RandomContrast((0.1, 0.1), value_range=_RANGE, seed=seed + 3),
        layers.RandomBrightness(0.1, value_range=_RANGE, seed=seed + 4),
    ]


def _strong(seed: int) -> list[Any]:
    layers = import_keras().layers
    return [
        layers.RandomFlip("horizontal", seed=seed),
        layers.RandomRotation(0.1, seed=seed + 1),
        layers.RandomZoom((-0.3, 0.1), seed=seed + 2),  # below 0 is nearer
        layers.RandomPerspective(factor=0.5, scale=0.2, seed=seed + 5),
        layers.RandomContrast((0.3, 0.3), value_range=_RANGE, seed=seed + 3),
        layers.RandomBrightness(0.2, value_range=_RANGE, seed=seed + 4),
        layers.RandomSaturation((0.3, 0.7), value_range=_RANGE, seed=seed + 6),  # 0.5: as it is
        layers.RandomHue(0.05, value_range=_RANGE, seed=seed + 7),
        layers.RandomGaussianBlur(
            factor=0.5, kernel_size=5, sigma=1.0, value_range=_RANGE, seed=seed + 8
        ),
    ]
