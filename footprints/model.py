"""The network: augmentation, preprocessing, backbone and head in one Keras model, and its file.

The file is an ordinary ``.keras`` archive that ``keras.models.load_model(path, safe_mode=True)``
reads without this package. What ``keras`` has no place for (class names, temperature, ...) is kept
in the archive's ``metadata.json`` under the key ``footprints``.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import logging
import math
import os
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints import files
from footprints.calibration import calibrated
from footprints.errors import UserError

if TYPE_CHECKING:
    import keras

_KEY = "footprints"  # of our facts in the archive's metadata.json
_FORMAT = 1
_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_IMAGENET_STD = (0.229, 0.224, 0.225)  # of RGB in 0..1, as Keras' EfficientNet uses it
_DOWNLOAD_TIMEOUT_S = 15


@dataclass(frozen=True)
class Backbone:
    """What must be known about one of ``keras.applications``."""

    scales_itself: bool  # takes 0..255; else -1..1
    preprocessing: str
    imagenet_url: str


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


def build_model(
    n_classes: int,
    backbone: str = "MobileNetV3Small",
    weights: str | Path = "none",
    seed: int = 0,
    image_size: int = 224,
) -> keras.Model:
    """Build the network of the specification.

    Photos ``(n, image_size, image_size, 3)`` of 0..255 go in, uncalibrated probabilities
    ``(n, n_classes)`` come out. The layers are ``augmentation`` (active in training only), where
    needed ``preprocessing``, the backbone under its own name, ``pooling``, ``hidden`` (512, ReLU),
    ``dropout`` (0.3) and ``probabilities`` (softmax).

    Args:
        n_classes: Number of classes, at least 2.
        backbone: A key of ``BACKBONES``.
        weights: ``imagenet`` (fetched once by Keras), ``none``, or a file: ``.h5`` or
            ``.weights.h5`` as ``keras.applications`` takes it for ``include_top=False``, or a
            ``.keras`` model of ours, whose backbone is taken.
        seed: Of the random weights and of augmentation.
        image_size: Side of a photo in pixels, at least 32.

    Raises:
        UserError: If the weights cannot be had or do not fit.
        ValueError: If the backbone is unknown.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, not {backbone!r}")
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    shape = (image_size, image_size, 3)
    base = getattr(keras.applications, backbone)(
        include_top=False, weights=None, input_shape=shape, name=backbone
    )
    load_backbone_weights(base, weights)
    photo = keras.Input(shape, name="photo")
    x = augmentation(seed)(photo)
    if not BACKBONES[backbone].scales_itself:
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")(x)
    x = base(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    x = keras.layers.Dense(512, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(0.3, seed=seed, name="dropout")(x)
    x = keras.layers.Dense(n_classes, activation="softmax", name="probabilities")(x)
    return keras.Model(photo, x, name="footprints")


def augmentation(seed: int) -> keras.Sequential:
    """Return the random changes of a training photo; photos are 0..255 before and after."""
    layers = import_keras().layers
    return import_keras().Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(0.1, seed=seed + 1),
            layers.RandomZoom(0.1, seed=seed + 2),
            # A single 0.1 would be 1.0 to 1.1 in Keras 3, against its documentation.
            layers.RandomContrast((0.1, 0.1), value_range=(0, 255), seed=seed + 3),
            layers.RandomBrightness(0.1, value_range=(0, 255), seed=seed + 4),
        ],
        name="augmentation",
    )


def load_backbone_weights(base: keras.Model, weights: str | Path) -> None:
    """Load weights into a backbone; see ``build_model``.

    Raises:
        UserError: One line that names the file and what to do.
    """
    name = base.name
    if str(weights) == "none":
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
            raise UserError(f"{path}: its backbone does not fit: {_first_line(error)}") from error
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
            f"{path}: these are not weights of {name} without top: {_first_line(error)}"
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
            f"the ImageNet weights of {name} could not be fetched ({_first_line(error)}); download "
            f"{url} elsewhere and give --weights {file_name}, or go without: --weights none"
        ) from error
    finally:
        socket.setdefaulttimeout(before)
        if was_loud:
            keras.config.enable_interactive_logging()


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


# --- parts of a model --------------------------------------------------------------------------


def backbone_of(model: keras.Model) -> keras.Model:
    """Return the backbone inside a model of ``build_model``."""
    return next(layer for layer in model.layers if layer.name in BACKBONES)


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


# --- the file ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SavedModel:
    """A model of ours with what is needed to use it.

    ``temperature`` and ``threshold`` belong to the calibrated probabilities of ``predict``;
    ``settings`` are those of ``prepare``; ``metadata`` is everything that the file says.
    """

    model: keras.Model
    classes: tuple[str, ...]
    temperature: float
    threshold: float | None
    stage: str
    backbone: str
    image_size: int
    settings: Mapping[str, Any]
    metadata: Mapping[str, Any]

    def predict(self, photos: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Return calibrated probabilities ``(n, classes)`` of photos ``(n, size, size, 3)``.

        Photos are RGB, 0..255, of any number type.
        """
        if not len(photos):
            return np.zeros((0, len(self.classes)))
        raw = self.model.predict(np.asarray(photos), batch_size=batch_size, verbose=0)
        return calibrated(raw, self.temperature)


def save_model(
    model: keras.Model,
    path: Path,
    *,
    classes: Sequence[str],
    stage: str,
    temperature: float = 1.0,
    threshold: float | None = None,
    settings: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model without optimizer, compressed (DEFLATE), whole or not at all.

    Args:
        model: From ``build_model``.
        path: Ends in ``.keras``.
        classes: Names in index order.
        stage: ``oat`` or ``real``.
        temperature: Of ``footprints.metrics.fit_temperature``.
        threshold: Least calibrated probability of an answer; None if it could not be chosen.
        settings: How ``prepare`` cut the crops.
        extra: Further facts for the reader, such as scores; must be fit for JSON.

    Raises:
        ValueError: If the number of classes is not that of the model.
    """
    keras = import_keras()
    if len(classes) != model.output_shape[-1]:
        raise ValueError(f"{len(classes)} class names for {model.output_shape[-1]} outputs")
    backbone = backbone_of(model).name
    facts = {
        **(extra or {}),
        "format": _FORMAT,
        "classes": list(classes),
        "stage": stage,
        "backbone": backbone,
        "image_size": int(model.input_shape[1]),
        "preprocessing": BACKBONES[backbone].preprocessing,
        "output": "softmax, to be calibrated as softmax(log(p) / temperature)",
        "temperature": float(temperature),
        "threshold": None if threshold is None else float(threshold),
        "settings": dict(settings or {}),
        "keras_version": keras.__version__,
    }
    # A new model of the same layers is not compiled: neither optimizer nor loss is stored.
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="footprints-") as folder:
        plain = Path(folder) / "model.keras"
        bare.save(plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(buffer, "w") as target:
            for entry in source.infolist():
                content = source.read(entry)
                if entry.filename == _METADATA:
                    content = json.dumps({**json.loads(content), _KEY: facts}).encode()
                now = datetime.datetime.now().timetuple()[:6]
                target.writestr(
                    zipfile.ZipInfo(entry.filename, now), content, zipfile.ZIP_DEFLATED, 9
                )
    files.write_bytes(path, buffer.getvalue())


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what ``save_model`` noted in a file; neither Keras nor TensorFlow is needed.

    Raises:
        UserError: If the file is not there, or not a model of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such model file; footprints.train writes it")
    strange = f"{path}: not a model file of footprints.train"
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read(_METADATA)).get(_KEY)
            if not {_CONFIG, _WEIGHTS} <= set(archive.namelist()):
                raise UserError(f"{strange} (incomplete)")
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, EOFError) as error:
        raise UserError(f"{strange} ({_first_line(error)})") from error
    except zlib.error as error:
        raise UserError(f"{strange} (damaged)") from error
    if not isinstance(facts, dict) or not _is_sound(facts):
        raise UserError(f"{strange} (a Keras model without class names)")
    if facts["format"] > _FORMAT:
        raise UserError(f"{path}: was made by a newer release of footprints; update this one")
    return facts


def _is_sound(facts: dict[str, Any]) -> bool:
    """Whether the facts that are relied upon are there, and of the right kind."""
    classes, temperature = facts.get("classes"), facts.get("temperature")
    return (
        isinstance(facts.get("format"), int)
        and isinstance(classes, list)
        and len(classes) >= 2
        and all(isinstance(name, str) for name in classes)
        and isinstance(temperature, (int, float))
        and math.isfinite(temperature)
        and temperature > 0
        and facts.get("backbone") in BACKBONES
        and isinstance(facts.get("image_size"), int)
    )


def load_model(path: Path) -> SavedModel:
    """Load a model of ``footprints.train``; code inside the file is not run (``safe_mode``).

    Raises:
        UserError: If it is not there, damaged, or not one of ours.
    """
    path = Path(path)
    facts = read_metadata(path)
    if path.suffix != ".keras":
        raise UserError(f"{path}: the name of a Keras model must end in .keras")
    keras = import_keras()
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        if model.output_shape[-1] != len(facts["classes"]):
            raise ValueError(f"{len(facts['classes'])} class names, {model.output_shape} outputs")
        backbone_of(model)
    except Exception as error:  # Keras raises all kinds for a damaged file
        reason = _first_line(error)
        raise UserError(f"{path}: damaged, or made by another Keras: {reason}") from error
    return SavedModel(
        model=model,
        classes=tuple(facts["classes"]),
        temperature=float(facts["temperature"]),
        threshold=facts.get("threshold"),
        stage=str(facts.get("stage", "")),
        backbone=facts["backbone"],
        image_size=facts["image_size"],
        settings=facts.get("settings") or {},
        metadata=facts,
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:200]
