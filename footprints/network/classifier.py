"""``Classifier``: a saved model that takes pictures and gives calibrated probabilities.

The same class reads the ``.keras`` file of training and the ``.tflite`` and ``.onnx`` files of
``footprints.export``. Only a ``.keras`` or ``.tflite`` file needs TensorFlow, which must not share
a process with PyTorch.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from footprints.network.backbones import import_keras
from footprints.network.keras_file import load_model, read_metadata
from footprints.network.model_facts import (
    NewerModelError,
    checked_facts,
    has_score,
    n_outputs,
    text_in_archive,
)
from footprints.network.strangeness import divided, with_strangeness
from footprints.pictures import crops
from footprints.pictures.photos import photo_from_array
from footprints.pictures.scales import mean_over_scales, scales_of
from footprints.pictures.views import mean_over_views, views_of_model
from footprints.scores.calibration import calibrated, weakness
from footprints.scores.strangers import refusal_of
from footprints.system.errors import UserError
from footprints.system.text import reason_of
from footprints.system.typed import json_object

METADATA_NAME = "footprints.json"  # in the archive at the end of a .tflite file
METADATA_KEY = "footprints"  # in the properties of an .onnx file
SUFFIXES = (".keras", ".tflite", ".onnx")
BATCH = 32

Run = Callable[[np.ndarray], np.ndarray]


class Classifier:
    """Names the animal of a crop, or of a crop and the photo that it is from.

    Args:
        model_path: A ``.keras`` file of ``footprints.train``, or a ``.tflite`` or ``.onnx`` file of
            ``footprints.export``.

    Attributes:
        classes: Class names, in the order of the probabilities.
        temperature: Probabilities are softened by it; fitted on validation.
        threshold: Least probability of an answer, chosen on validation, or None.
        image_size: Side of the model's input in pixels.
        scales: ``("crop",)``, or ``("crop", "photo")`` if it was trained on whole photos too.
        views: How many views of each picture it answers by, see ``pictures.views``.
        weakness: Why little is to be made of its answers, in one sentence, or None.
        refusal: When a photo is refused as that of an animal of no class, or None.
        metadata: Everything that the file says of itself.

    Raises:
        UserError: If the file is absent, broken, or does not say what its classes are.
    """

    def __init__(self, model_path: str | Path) -> None:
        self.path = Path(model_path)
        self.metadata = read_model_metadata(self.path)
        self.classes: list[str] = list(self.metadata["classes"])
        self.temperature = float(self.metadata.get("temperature") or 1.0)
        self.scales = scales_of(self.metadata)
        self.views = views_of_model(self.metadata)
        self.weakness = weakness(self.metadata)
        self.refusal = refusal_of(self.metadata)
        threshold = self.metadata.get("threshold")
        self.threshold = None if threshold is None else float(threshold)
        open_run = {".keras": _keras_run, ".tflite": _tflite_run, ".onnx": _onnx_run}
        self._run, self.image_size, found = open_run[self.path.suffix.lower()](self.path)
        if found != n_outputs(self.metadata) + has_score(self.metadata):
            raise UserError(
                f"{self.path}: names {len(self.classes)} classes, but its network has {found} "
                "outputs; train or export it again"
            )

    def predict(
        self,
        rgb_arrays: Sequence[np.ndarray] | np.ndarray,
        photos: Sequence[np.ndarray] | np.ndarray | None = None,
    ) -> np.ndarray:
        """Return calibrated probabilities of pictures.

        A model of two scales looks at each crop and at its whole photo, and one of several views
        at these mirrored and turned a little; the answer is the mean, which is then calibrated.

        Args:
            rgb_arrays: Crops, each ``(height, width, 3)`` uint8 RGB, 0 to 255, of any size: others
                than the model's input are resized as in ``pictures.crops.whole``. An array of
                shape ``(pictures, height, width, 3)`` will do too.
            photos: The upright photos that the crops are from, in the same order and of the same
                kind. A model of two scales needs them, others do not look at them.

        Returns:
            Shape ``(pictures, classes)``, float64, rows sum to 1.

        Raises:
            ValueError: If a picture has another shape or type, or photos are needed and are not as
                many as the crops.
        """
        return self.look(rgb_arrays, photos)[0]

    def look(
        self,
        rgb_arrays: Sequence[np.ndarray] | np.ndarray,
        photos: Sequence[np.ndarray] | np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the probabilities of ``predict``, and how strange each photo is.

        Args:
            rgb_arrays: As of ``predict``.
            photos: As of ``predict``.

        Returns:
            Probabilities of the classes, given that it is one of them, and scores ``(pictures,)``
            for ``refusal.refuses``; None in place of these for a model without a refusal.

        Raises:
            ValueError: As of ``predict``.
        """
        sized = [self._sized(rgb) for rgb in rgb_arrays]
        if "photo" in self.scales:
            if photos is None or len(photos) != len(sized):
                given = "none" if photos is None else len(photos)
                raise ValueError(
                    f"{self.path}: looks at the crop and at the whole photo; give as many photos "
                    f"as crops ({len(sized)} crops, {given} photos)"
                )
            sized += [self._sized(rgb) for rgb in photos]
        if not sized:
            none = None if self.refusal is None else np.zeros(0)
            return np.zeros((0, len(self.classes))), none
        raw = [self._batch(sized[at : at + BATCH]) for at in range(0, len(sized), BATCH)]
        rows = mean_over_scales(np.concatenate(raw), len(self.scales))
        if not np.isfinite(rows).all():
            raise UserError(f"{self.path}: gives no numbers; its training failed, train again")
        rule = None if self.refusal is None else self.refusal.rule
        known, strangeness = divided(rows, len(self.classes), rule)
        return calibrated(known, self.temperature), strangeness

    def _sized(self, rgb: np.ndarray) -> np.ndarray:
        rgb = photo_from_array(rgb)
        side = self.image_size
        return rgb if rgb.shape[:2] == (side, side) else crops.whole(rgb, side)

    def _batch(self, pictures: list[np.ndarray]) -> np.ndarray:
        return mean_over_views(
            lambda seen: self._run(seen.astype(np.float32)), np.stack(pictures), self.views
        )


def read_model_metadata(path: str | Path) -> dict[str, Any]:
    """Read what a model file says of itself, without TensorFlow.

    Returns:
        At least ``classes``; ``temperature``, ``threshold``, ``settings`` and more where known.

    Raises:
        UserError: If the file is absent, of another kind, broken, or does not name its classes.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.is_file():
        raise UserError(f"{path}: no such model file")
    if suffix not in SUFFIXES:
        raise UserError(
            f"{path}: a model must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file"
        )
    if suffix == ".keras":
        return read_metadata(path)
    read = _tflite_metadata if suffix == ".tflite" else _onnx_metadata
    try:
        return checked_facts(read(path))
    except NewerModelError as error:
        raise UserError(f"{path}: {error}") from None
    except ValueError as error:
        raise UserError(
            f"{path}: {error}; use a file of footprints.train or footprints.export"
        ) from None


def _tflite_metadata(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            return text_in_archive(archive, METADATA_NAME)
    except (zipfile.BadZipFile, ValueError):
        return {}


def _onnx_metadata(path: Path) -> dict[str, Any]:
    session = _onnx_session(path)
    try:
        return json_object(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}"))
    except ValueError:
        return {}


def _keras_run(path: Path) -> tuple[Run, int, int]:
    import_keras()
    import tensorflow as tf

    saved = load_model(path)
    size = int(saved.model.input_shape[1])
    outputs = with_strangeness(saved.model, len(saved.classes), saved.refusal)
    # A traced function: model.predict() costs tens of milliseconds a call beside the network.
    traced = tf.function(
        lambda batch: tf.concat([one for one in outputs(batch) if one is not None], 1),
        input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32)],
    )
    found = int(traced.get_concrete_function().output_shapes[-1])
    return lambda batch: traced(batch).numpy(), size, found


def _tflite_run(path: Path) -> tuple[Run, int, int]:
    try:
        interpreter = _tflite_interpreter()(str(path), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path}: is not a TFLite model: {reason_of(error)}") from error
    source = interpreter.get_input_details()[0]
    # The score of strangeness, where there is one, is the output of one number.
    targets = sorted(interpreter.get_output_details(), key=lambda one: -int(one["shape"][-1]))

    def one_by_one(batch: np.ndarray) -> np.ndarray:
        rows = []
        for picture in batch:
            interpreter.set_tensor(source["index"], picture[None])
            interpreter.invoke()
            said = [interpreter.get_tensor(target["index"])[0].copy() for target in targets]
            rows.append(np.concatenate(said))
        return np.stack(rows)

    return one_by_one, int(source["shape"][1]), sum(int(one["shape"][-1]) for one in targets)


def _tflite_interpreter() -> Any:
    """Return the class of LiteRT if it is installed, else TensorFlow's, which will go one day."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import_keras()  # settles how much TensorFlow says
        import tensorflow as tf

        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        return tf.lite.Interpreter
    return Interpreter


def _onnx_run(path: Path) -> tuple[Run, int, int]:
    session = _onnx_session(path)
    source, targets = session.get_inputs()[0], session.get_outputs()

    def run(batch: np.ndarray) -> np.ndarray:
        return np.concatenate(session.run(None, {source.name: batch}), axis=1)

    return run, int(source.shape[1]), sum(int(one.shape[-1]) for one in targets)


def _onnx_session(path: Path) -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it keeps files in the user's home
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path}: .onnx files need the package onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has many kinds, all meaning that it cannot be read
        raise UserError(f"{path}: is not an ONNX model: {reason_of(error)}") from error
