"""The file of a trained network: a ``.keras`` archive with what must be known to use it.

``keras.models.load_model(path, safe_mode=True)`` reads it without this package. What ``keras`` has
no place for (class names, temperature, ...) is kept in the archive's ``metadata.json`` under the
key ``footprints``.
"""

from __future__ import annotations

import datetime
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.network.backbones import BACKBONES, backbone_of, import_keras
from footprints.network.model_facts import (
    OTHER_OUTPUT,
    NewerModelError,
    checked_facts,
    n_outputs,
    text_in_archive,
)
from footprints.network.strangeness import divided, with_strangeness
from footprints.pictures.scales import DEFAULT_SCALES, scales_of
from footprints.pictures.views import views_of_model
from footprints.scores.calibration import calibrated
from footprints.scores.strangers import Refusal, refusal_of
from footprints.system import files
from footprints.system.errors import UserError
from footprints.system.text import first_line

if TYPE_CHECKING:
    import keras

_KEY = "footprints"  # of our facts in the archive's metadata.json
_FORMAT = 1
_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"


@dataclass(frozen=True)
class SavedModel:
    """A model of ours with what is needed to use it.

    ``temperature`` and ``threshold`` belong to the calibrated probabilities of ``predict``;
    ``settings`` are those of ``prepare``; ``scales`` are the pictures of a photo, and ``views`` the
    number of views of each, whose mean probabilities are its answer; ``refusal`` says when a photo
    is none of a class, or is None; ``metadata`` is everything that the file says.
    """

    model: keras.Model
    classes: tuple[str, ...]
    temperature: float
    threshold: float | None
    stage: str
    backbone: str
    image_size: int
    settings: Mapping[str, Any]
    scales: tuple[str, ...]
    views: int
    refusal: Refusal | None
    metadata: Mapping[str, Any]

    def predict(self, photos: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Return calibrated probabilities ``(n, classes)`` of pictures ``(n, size, size, 3)``.

        They are RGB, 0..255, of any number type. Each is answered by itself, as it is; for the mean
        over scales and views of a photo see ``network.classifier``.
        """
        if not len(photos):
            return np.zeros((0, len(self.classes)))
        raw = self.model.predict(np.asarray(photos), batch_size=batch_size, verbose=0)
        known, _ = divided(raw, len(self.classes), None)
        return calibrated(known, self.temperature)


def save_model(
    model: keras.Model,
    path: Path,
    *,
    classes: Sequence[str],
    stage: str,
    temperature: float = 1.0,
    threshold: float | None = None,
    settings: Mapping[str, Any] | None = None,
    scales: Sequence[str] = DEFAULT_SCALES,
    views: int = 1,
    refusal: Refusal | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model without optimizer, compressed (DEFLATE), whole or not at all.

    Args:
        model: From ``build_model``.
        path: Ends in ``.keras``.
        classes: Names in index order.
        stage: ``oat`` or ``real``.
        temperature: Of ``scores.metrics.fit_temperature``.
        threshold: Least calibrated probability of an answer; None if it could not be chosen.
        settings: How ``prepare`` cut the crops.
        scales: Which pictures of a photo it was trained on, see ``pictures.scales``.
        views: How many views of each it answers by, see ``pictures.views``.
        refusal: When a photo is refused as that of an animal of no class; the model may have one
            more output for these.
        extra: Further facts for the reader, such as scores; must be fit for JSON.

    Raises:
        ValueError: If the number of classes is not that of the model.
    """
    keras = import_keras()
    for_other = int(refusal is not None and model.output_shape[-1] == len(classes) + 1)
    if len(classes) + for_other != model.output_shape[-1]:
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
        "scales": list(scales),
        "views": views,
        **({} if refusal is None else {"refusal": refusal.facts()}),
        **({OTHER_OUTPUT: True} if for_other else {}),
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
            facts = text_in_archive(archive, _METADATA).get(_KEY)
            if not {_CONFIG, _WEIGHTS} <= set(archive.namelist()):
                raise UserError(f"{strange} (incomplete)")
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise UserError(f"{strange} ({first_line(error)})") from error
    if not isinstance(facts, dict) or not _is_sound(facts):
        raise UserError(f"{strange} (a Keras model without class names)")
    if facts["format"] > _FORMAT:
        raise UserError(f"{path}: was made by a newer release of footprints; update this one")
    try:
        return checked_facts(facts)
    except NewerModelError as error:
        raise UserError(f"{path}: {error}") from None
    except ValueError as error:
        raise UserError(f"{strange} ({error})") from None


def _is_sound(facts: dict[str, Any]) -> bool:
    """Whether the facts that only files of training have are there, and of the right kind."""
    classes = facts.get("classes")
    return (
        type(facts.get("format")) is int
        and isinstance(classes, list)
        and len(classes) >= 2
        and facts.get("temperature") is not None
        and isinstance(facts.get("backbone"), str)
        and facts["backbone"] in BACKBONES
        and facts.get("image_size") is not None
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
        if model.output_shape[-1] != n_outputs(facts):
            raise ValueError(f"{len(facts['classes'])} class names, {model.output_shape} outputs")
        backbone_of(model)
        with_strangeness(model, len(facts["classes"]), refusal_of(facts))
    except Exception as error:  # Keras raises all kinds for a damaged file
        reason = first_line(error)
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
        scales=scales_of(facts),
        views=views_of_model(facts),
        refusal=refusal_of(facts),
        metadata=facts,
    )
