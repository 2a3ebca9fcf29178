"""A Keras model as TFLite, for phones, and as ONNX, for other programs.

What the numbers mean travels with it: in the properties of ONNX, and in a small archive at the end
of TFLite, where its own metadata keep their files.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import zipfile
from typing import Any

from footprints.network.classifier import METADATA_KEY, METADATA_NAME
from footprints.network.strangeness import Outputs, with_strangeness
from footprints.scores.strangers import Refusal
from footprints.system.environment import pip_install
from footprints.system.errors import UserError

_ONNX_OPSET = 17  # ONNX 1.12 (2022) and newer read it


def convert(
    model: Any, name: str, facts: dict[str, Any], side: int, refusal: Refusal | None = None
) -> bytes:
    """Return the bytes of an exported file with its facts inside.

    Args:
        model: Of Keras.
        name: Of the format: ``tflite``, ``tflite_fp16``, ``tflite_dynamic`` or ``onnx``.
        facts: What ``classifier`` reads from the file; ``classes`` among them.
        side: Of the model's input in pixels.
        refusal: Of the model; where it goes by a score, that is a second output, ``strangeness``.
    """
    said = with_strangeness(model, len(facts["classes"]), refusal)
    if name == "onnx":
        return _onnx_bytes(said, facts, side)
    content = io.BytesIO(_tflite_bytes(model, said, name, side))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry(METADATA_NAME), json.dumps(facts, ensure_ascii=False, indent=1))
        archive.writestr(_entry("labels.txt"), "\n".join(facts["classes"]) + "\n")
    return content.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """An archive member without a time, so that equal models give equal files."""
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _outputs(said: Outputs, pictures: Any) -> dict[str, Any]:
    probabilities, strangeness = said(pictures)
    found = {"probabilities": probabilities}
    return found if strangeness is None else {**found, "strangeness": strangeness}


def _tflite_bytes(model: Any, said: Outputs, name: str, side: int) -> bytes:
    import tensorflow as tf

    traced = tf.function(
        lambda image: _outputs(said, image),
        input_signature=[tf.TensorSpec((1, side, side, 3), tf.float32, name="image")],
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [traced.get_concrete_function()], model
    )
    if name != "tflite":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == "tflite_fp16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def need_onnx_packages() -> None:
    """Make sure that ONNX can be written.

    Raises:
        UserError: Naming the packages that are missing.
    """
    missing = [
        name
        for name in ("tf2onnx", "onnx", "onnxruntime")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(
            f"ONNX needs {', '.join(missing)}: {pip_install(*missing)}, or leave onnx out of "
            "--formats"
        )


def _onnx_bytes(said: Outputs, facts: dict[str, Any], side: int) -> bytes:
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec((None, side, side, 3), tf.float32, name="image")]
    # Not Keras' own export: it would trace augmentation in, which is on unless told otherwise.
    traced = tf.function(lambda image: _outputs(said, image), input_signature=signature)
    content, _ = tf2onnx.convert.from_function(
        traced, signature, opset=_ONNX_OPSET, custom_rewriter=[_lengthen_scalars]
    )
    onnx.helper.set_model_props(
        content,
        {
            METADATA_KEY: json.dumps(facts, ensure_ascii=False),
            "names": json.dumps(facts["classes"], ensure_ascii=False),
        },
    )
    onnx.checker.check_model(content)
    return content.SerializeToString()


def _lengthen_scalars(graph: Any, operations: list[Any]) -> list[Any]:
    """Make scalar constants arrays of one number; tf2onnx 1.17 fails to tidy up around scalars.

    Without it about 100 transpositions stay in the network, which is then half as fast.
    """
    import tf2onnx

    for operation in operations:
        if operation.type not in ("Add", "AddV2", "Mul"):
            continue
        for position, node in enumerate(operation.inputs):
            if node is not None and node.is_const():
                value = node.get_tensor_value(as_list=False)
                if value.shape == ():
                    name = tf2onnx.utils.make_name(node.name)
                    longer = graph.make_const(name, value.reshape(1))
                    graph.replace_input(operation, node.output[0], longer.output[0], position)
    return operations
