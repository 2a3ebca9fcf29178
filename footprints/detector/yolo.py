"""Ultralytics (licence AGPL-3.0) behind one door: loading a detector safely, boxes of a photo.

``YoloInference`` gives typed results for a path or an RGB array, from a ``.pt`` or ``.onnx`` file.
"""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from footprints.pictures.boxes import Detection, Ranking, make_detections
from footprints.pictures.crops import crop_of
from footprints.system.environment import pip_install
from footprints.system.errors import UserError
from footprints.system.settings import Settings
from footprints.system.text import reason_of

_INTEGRATIONS = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
_private_folder: Path | None = None


class YoloInference:
    """Finds prints with a YOLO detector, and cuts them out as squares.

    A ``.pt`` file runs through Ultralytics, an ``.onnx`` file through ONNX Runtime. Must not be
    used with a ``.pt`` file in a process that has TensorFlow.

    Args:
        model_path: Of the detector.
        conf_threshold: Detections below this confidence are ignored, 0 to 1.
        iou_threshold: Of boxes that overlap by more (intersection over union) the surer is kept.
        ranking: ``confidence``: the surest print is the best, ties (to two decimals) go to the
            larger, then to the one closer to the centre; ``area_confidence``: the greatest product.
        settings: Margin, size and least side of crops; the three above are taken from the
            arguments, not from here.
        threads: For the computation; default: as PyTorch or ONNX Runtime choose.

    Raises:
        UserError: If the file is missing, or no detector, or asks to run code when loaded.
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        model_path: str | Path,
        conf_threshold: float = 0.25,
        iou_threshold: float = 0.45,
        ranking: Ranking = "confidence",
        *,
        settings: Settings | None = None,
        threads: int | None = None,
    ) -> None:
        shared = {} if settings is None else vars(settings)
        self.settings = Settings(
            **{
                **shared,
                "conf_threshold": conf_threshold,
                "iou_threshold": iou_threshold,
                "ranking": ranking,
            }
        )
        path = Path(model_path)
        if path.suffix.lower() == ".onnx":
            from footprints.detector.onnx_detector import OnnxDetector

            self._find = OnnxDetector(path, threads)
        elif path.suffix.lower() == ".pt":
            self._find = _UltralyticsDetector(path, threads)
        else:
            raise UserError(f"{path}: a detector is a .pt or an .onnx file")

    @classmethod
    def from_settings(
        cls, model_path: str | Path, settings: Settings, threads: int | None = None
    ) -> YoloInference:
        """Make one that follows shared settings in all."""
        return cls(
            model_path,
            settings.conf_threshold,
            settings.iou_threshold,
            settings.ranking,  # type: ignore[arg-type]  # checked by Settings
            settings=settings,
            threads=threads,
        )

    def detect(self, photo: str | Path | np.ndarray) -> list[Detection]:
        """Find all prints, the best first.

        Args:
            photo: A file, or an upright photo ``(height, width, 3)`` uint8 RGB.

        Returns:
            Boxes in pixels of the upright photo.

        Raises:
            PhotoError: If the file is not a usable photo.
            ValueError, TypeError: If the array is not a photo.
        """
        return self._detect(_as_photo(photo))

    def best_crop(self, photo: str | Path | np.ndarray) -> tuple[Detection, np.ndarray] | None:
        """Find the best print and cut it out; see ``detect``.

        Returns:
            The print and its crop ``(size, size, 3)`` uint8 RGB; None where there is none.
        """
        rgb = _as_photo(photo)
        found = self._detect(rgb)
        return (found[0], crop_of(rgb, found[0], self.settings).rgb) if found else None

    def all_crops(self, photo: str | Path | np.ndarray) -> list[tuple[Detection, np.ndarray]]:
        """Find all prints and cut them out, the best first; see ``detect``."""
        rgb = _as_photo(photo)
        return [(one, crop_of(rgb, one, self.settings).rgb) for one in self._detect(rgb)]

    def _detect(self, rgb: np.ndarray) -> list[Detection]:
        settings = self.settings
        raw = self._find(rgb, settings.conf_threshold, settings.iou_threshold)
        return make_detections(*raw, rgb.shape, settings.ranking)  # type: ignore[arg-type]


class _UltralyticsDetector:
    """A ``.pt`` network; the same calls as ``OnnxDetector``."""

    def __init__(self, path: Path, threads: int | None) -> None:
        self._path = path
        self._model = load_yolo(path)
        import torch
        from ultralytics.utils import torch_utils

        self._device = "0" if torch.cuda.is_available() else "cpu"
        if threads is not None:
            torch_utils.NUM_THREADS = threads  # Ultralytics sets this at its first prediction
            torch.set_num_threads(threads)

    def __call__(
        self, photo: np.ndarray, conf_threshold: float, iou_threshold: float
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        import cv2

        bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
        try:
            result = self._model.predict(
                bgr,
                conf=conf_threshold,
                iou=iou_threshold,
                device=self._device,
                verbose=False,
                save=False,
            )[0]
            boxes = result.boxes.cpu().numpy()
            names = [str(result.names[int(number)]) for number in boxes.cls]
        except MemoryError:
            raise
        except Exception as error:  # of a network whose parts do not fit together
            reason = reason_of(error, with_kind=True)
            raise UserError(f"{self._path}: not a usable detector: {reason}") from None
        is_box = np.isfinite(boxes.xyxy).all(axis=1) & np.isfinite(boxes.conf)
        names = [name for name, good in zip(names, is_box, strict=True) if good]
        return boxes.xyxy[is_box], boxes.conf[is_box], names


def _as_photo(photo: str | Path | np.ndarray) -> np.ndarray:
    from footprints.pictures.photos import load_photo, photo_from_array

    return photo_from_array(photo) if isinstance(photo, np.ndarray) else load_photo(Path(photo))


def load_ultralytics(log_level: int = logging.ERROR) -> Any:
    """Import Ultralytics so that it stays offline, sends nothing and unpickles known classes only.

    Its settings go to a temporary folder of this process. The variables must be set before the
    first import; a package that was imported earlier is held to safe loading all the same.

    Returns:
        The module ``ultralytics``.

    Raises:
        RuntimeError: If TensorFlow is in this process; the two crash together.
        UserError: If Ultralytics is missing, or it or PyTorch is too old to load safely.
    """
    if "tensorflow" in sys.modules:
        raise RuntimeError(
            "TensorFlow is loaded in this process, and together with PyTorch it crashes; find the "
            "prints in another process (footprints.cropping.crop_pool.CropPool)"
        )
    os.environ.update(
        YOLO_OFFLINE="1",
        YOLO_AUTOINSTALL="false",
        ULTRALYTICS_SAFE_LOAD="1",
        YOLO_CONFIG_DIR=str(private_folder()),
    )
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(private_folder() / "inductor"))
    os.environ.pop("ULTRALYTICS_API_KEY", None)  # with it, trainings would be uploaded
    os.environ["YOLO_VERBOSE"] = "false"  # no words on its settings; the level is set below
    open_photo = PIL.Image.open
    try:
        import torch
        import ultralytics
        from ultralytics.nn import tasks
    except ImportError as error:
        raise UserError(
            f"cannot import ultralytics ({error}): {pip_install('ultralytics')}, or use a detector "
            "in .onnx format"
        ) from None
    PIL.Image.open = open_photo  # Ultralytics puts one that installs packages in its place
    if not (
        hasattr(tasks, "SAFE_LOAD")
        and hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint")
    ):  # it would fall back to loading anything
        raise UserError(
            "this ultralytics or PyTorch cannot load .pt files safely; install ultralytics 8.4.190 "
            "and torch 2.6 or newer, or use a detector in .onnx format"
        )
    tasks.SAFE_LOAD = True
    log = logging.getLogger("ultralytics")
    for place in (log, *log.handlers):
        place.setLevel(log_level)
    ultralytics.utils.VERBOSE = log_level < logging.ERROR  # of its progress bars
    settings = ultralytics.settings
    settings.update({key: False for key in ("sync", *_INTEGRATIONS) if key in settings})
    return ultralytics


def private_folder() -> Path:
    """Return a temporary folder of this process, which is removed when it ends."""
    global _private_folder
    if _private_folder is None:
        _private_folder = Path(tempfile.mkdtemp(prefix="footprints-yolo-"))
        atexit.register(shutil.rmtree, _private_folder, ignore_errors=True)
    return _private_folder


def load_yolo(path: Path, log_level: int = logging.ERROR) -> Any:
    """Load a ``.pt`` detector through Ultralytics, its classes held to a list of known ones.

    Raises:
        UserError: If there is no such file, or it is not a detector, or its pickle asks for more
            than the parts of a network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such detector; give an existing .pt or .onnx file")
    ultralytics = load_ultralytics(log_level)
    # Ultralytics reads meaning into names (quotes, yolov5, addresses): it gets a plain one.
    link = Path(tempfile.mkdtemp(dir=private_folder())) / "detector.pt"
    try:
        link.symlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, link)
    try:
        model = ultralytics.YOLO(str(link), task="detect")
    except Exception as error:
        raise UserError(f"{path}: not a usable detector: {_why(error, link)}") from None
    if not isinstance(model.model, ultralytics.nn.tasks.BaseModel):
        raise UserError(f"{path}: not a usable detector: it is no YOLO network")
    if getattr(model, "task", None) != "detect":
        raise UserError(f"{path}: made for the task {model.task!r}; a detector is needed")
    return model


def _why(error: Exception, link: Path) -> str:
    """Say in few words why Ultralytics did not load a file."""
    reason = " ".join(str(error).replace(str(link), "it").split())
    if isinstance(error.__cause__, pickle.UnpicklingError):
        return "it asks for code that is not part of a YOLO network, and was not loaded"
    if "outside the supported" in reason:
        return "it is no YOLO network"
    if "truncated or corrupted" in reason:
        return "it is empty, damaged or of another kind"
    return f"it is damaged or of another kind ({type(error).__name__}: {reason[:80]})"
