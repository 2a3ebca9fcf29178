"""The backbones that there are, and Keras on TensorFlow, which runs them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from footprints.system.errors import UserError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Backbone:
    """What must be known about one of ``keras.applications``, or an EfficientNet-Lite."""

    scales_itself: bool  # takes 0..255; else -1..1
    preprocessing: str
    imagenet_url: str | None  # None: an EfficientNet-Lite, whose weights come in a package


_LITE = Backbone(
    True, "0..255 in; scaled to (value - 127) / 128 inside the backbone", imagenet_url=None
)
_STORAGE = "https://storage.googleapis.com"
BACKBONES: dict[str, Backbone] = {
    "MobileNetV3Small": Backbone(
        True,
        "0..255 in; scaled to -1..1 inside the backbone",
        f"{_STORAGE}/tensorflow/keras-applications/mobilenet_v3/"
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
    ),
    "MobileNetV2": Backbone(
        False,
        "0..255 in; scaled to -1..1 in front of the backbone",
        f"{_STORAGE}/tensorflow/keras-applications/mobilenet_v2/"
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    ),
    "EfficientNetB0": Backbone(
        True,
        "0..255 in; scaled to ImageNet's mean and deviation inside the backbone",
        f"{_STORAGE}/keras-applications/efficientnetb0_notop.h5",
    ),
    "EfficientNetLite0": _LITE,
    "EfficientNetLite1": _LITE,
    "EfficientNetLite2": _LITE,
}


def import_keras() -> ModuleType:
    """Import Keras on TensorFlow, without TensorFlow's chatter. Takes some seconds."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        with _silent():
            import keras
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Keras was already started on {keras.backend.backend()}; unset KERAS_BACKEND"
        )
    return keras


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep from the screen what TensorFlow's libraries write before their log level counts."""
    sys.stderr.flush()
    screen = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)


def backbone_of(model: keras.Model) -> keras.Model:
    """Return the backbone inside a model of ``build_model``."""
    return next(layer for layer in model.layers if layer.name in BACKBONES)
