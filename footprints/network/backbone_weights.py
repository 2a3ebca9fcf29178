"""Pretrained weights for a backbone: from Keras' server, a package, a file, or a model of ours."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from footprints.network.backbones import BACKBONES, backbone_of, import_keras
from footprints.network.efficientnet_lite import LITES, load_imagenet
from footprints.network.keras_file import load_model
from footprints.system.errors import UserError
from footprints.system.text import first_line

if TYPE_CHECKING:
    import keras

_IMAGENET_STD = (0.229, 0.224, 0.225)  # of RGB in 0..1, as Keras' EfficientNet uses it
_DOWNLOAD_TIMEOUT_S = 15


def load_backbone_weights(base: keras.Model, weights: str | Path) -> None:
    """Load weights into a backbone; see ``build_model``.

    Raises:
        UserError: One line that names the file and what to do.
    """
    name = base.name
    if str(weights) == "none":
        return
    if str(weights) == "imagenet" and name in LITES:
        load_imagenet(base)
        return
    if str(weights) == "imagenet":
        path = _fetch_imagenet(name)
    else:
        path = Path(weights)
        if not path.is_file():
            raise UserError(f"{path}: no such file; --weights is imagenet, none or a file")
    if path.suffix == ".keras":
        saved = load_model(path)
        if saved.backbone != name:
            raise UserError(f"{path}: its backbone is {saved.backbone}, not {name}; see --backbone")
        try:
            base.set_weights(backbone_of(saved.model).get_weights())
        except ValueError as error:
            raise UserError(f"{path}: its backbone does not fit: {first_line(error)}") from error
        return
    if path.suffix not in (".h5", ".hdf5"):
        raise UserError(f"{path}: weights end in .weights.h5, .h5 or .keras")
    before = base.get_weights()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of layers that it passes over
            base.load_weights(str(path))
        n_same = sum(
            a.ndim > 1 and np.array_equal(a, b)
            for a, b in zip(before, base.get_weights(), strict=True)
        )
        if n_same:
            raise ValueError(f"nothing in it for {n_same} layers")
    except Exception as error:  # whatever h5py and Keras make of a wrong file
        raise UserError(
            f"{path}: these are not weights of {name} without top: {first_line(error)}"
        ) from error
    if not all(np.isfinite(values).all() for values in base.get_weights()):
        raise UserError(f"{path}: holds values that are not numbers")
    _settle_normalization(base)


def _settle_normalization(base: keras.Model) -> None:
    """Give EfficientNet's normalization the correction that belongs to its ImageNet weights.

    ``EfficientNetB0(weights="imagenet")`` divides by another root of the deviation in a layer of
    its own (https://github.com/tensorflow/tensorflow/issues/49930) which ``weights=PATH`` leaves
    out. Here the variance takes it in, so both ways give the same network.
    """
    keras = import_keras()
    for layer in base.layers:
        if isinstance(layer, keras.layers.Normalization):
            mean, variance, *rest = layer.get_weights()
            if np.allclose(variance.ravel(), np.square(_IMAGENET_STD), rtol=1e-3):
                scale = np.reshape(_IMAGENET_STD, variance.shape).astype(variance.dtype)
                layer.set_weights([mean, variance * scale, *rest])
                layer.finalize_state()


def _cache_folder() -> Path:
    """Return where Keras keeps fetched weights."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home) / "models"


def _fetch_imagenet(name: str) -> Path:
    """Return Keras' ImageNet weights, from its cache or its server; one try, no retries."""
    import socket

    keras = import_keras()
    url = BACKBONES[name].imagenet_url
    file_name = url.rsplit("/", 1)[1]
    before, was_loud = socket.getdefaulttimeout(), keras.config.is_interactive_logging_enabled()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
    keras.config.disable_interactive_logging()
    try:
        return Path(keras.utils.get_file(file_name, url, cache_subdir="models"))
    except Exception as error:  # Keras raises plain Exception, and urllib many kinds
        raise UserError(
            f"the ImageNet weights of {name} could not be fetched ({first_line(error)}); download "
            f"{url} elsewhere and put it into {_cache_folder()}, where the same command finds it, "
            f"or give --weights {file_name}, or go without: --weights none"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
        if was_loud:
            keras.config.enable_interactive_logging()
