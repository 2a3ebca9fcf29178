"""YOLO detectors in ONNX format, through ONNX Runtime: no PyTorch, no pickles.

Takes the files that ``yolo export format=onnx`` and ``footprints.train_detector --export onnx``
write: input ``(1, 3, height, width)``, RGB from 0 to 1; output ``(1, 4 + classes, boxes)`` with
centre, width and height in pixels of the input, or ``(1, boxes, 6)`` where the network itself
leaves one box a print (x1, y1, x2, y2, confidence, class).
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from footprints.pictures.boxes import suppress_overlaps
from footprints.system.environment import pip_install
from footprints.system.errors import UserError
from footprints.system.text import reason_of
from footprints.system.typed import as_text, as_whole

_GREY = 114  # of the border that YOLO networks are trained with
_MOST_BOXES = 300
_MOST_CANDIDATES = 30_000
_SURE = 1.001  # the highest confidence, with rounding
_MOST_PIXELS = 8192  # a side of the input
_MOST_CLASSES = 10_000
T = TypeVar("T")


@dataclass(frozen=True)
class Letterbox:
    """How a photo lies in the network's input.

    Attributes:
        shape: Height and width of the input.
        resized: Height and width of the photo inside of it.
        top: Rows of border above.
        left: Columns of border on the left.
    """

    shape: tuple[int, int]
    resized: tuple[int, int]
    top: int
    left: int


def letterbox_of(
    photo_shape: tuple[int, ...], input_shape: tuple[int, int], stride: int | None = None
) -> Letterbox:
    """Fit a photo into the network's input without stretching it, in the middle.

    Args:
        photo_shape: Height and width.
        input_shape: Height and width of the input.
        stride: If given, the input may be smaller: the border is kept below this many pixels.
    """
    height, width = photo_shape[:2]
    ratio = min(input_shape[0] / height, input_shape[1] / width)
    resized = max(round(height * ratio), 1), max(round(width * ratio), 1)
    border_y, border_x = input_shape[0] - resized[0], input_shape[1] - resized[1]
    if stride is not None:
        border_y, border_x = border_y % stride, border_x % stride
    shape = resized[0] + border_y, resized[1] + border_x
    return Letterbox(shape, resized, border_y // 2, border_x // 2)


def network_input(photo: np.ndarray, fit: Letterbox) -> np.ndarray:
    """Return the input ``(1, 3, h, w)`` float32, 0 to 1, of a photo ``(h, w, 3)`` uint8."""
    import cv2

    canvas = np.full((*fit.shape, 3), _GREY, dtype=np.uint8)
    if photo.shape[:2] != fit.resized:
        # As Ultralytics resizes, in training and after.
        photo = cv2.resize(photo, fit.resized[::-1], interpolation=cv2.INTER_LINEAR)
    rows = slice(fit.top, fit.top + fit.resized[0])
    columns = slice(fit.left, fit.left + fit.resized[1])
    canvas[rows, columns] = photo
    return np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32) / 255


def boxes_in_photo(boxes: np.ndarray, fit: Letterbox, photo_shape: tuple[int, ...]) -> np.ndarray:
    """Turn boxes ``(n, 4)``, x1, y1, x2, y2, from pixels of the input to pixels of the photo."""
    scale_y, scale_x = photo_shape[0] / fit.resized[0], photo_shape[1] / fit.resized[1]
    offset = np.array([fit.left, fit.top, fit.left, fit.top])
    return (boxes - offset) * np.array([scale_x, scale_y, scale_x, scale_y])


def read_output(
    output: np.ndarray, conf_threshold: float, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pick the boxes out of a network's output; see the top of this module for its forms.

    Returns:
        Boxes ``(n, 4)`` as x1, y1, x2, y2 in pixels of the input, confidences ``(n,)``, classes
        ``(n,)``; the surest first.

    Raises:
        ValueError: If the output has another shape.
    """
    if output.ndim != 3 or output.shape[0] != 1:
        raise ValueError(f"its output has the shape {output.shape}")
    if output.shape[2] == 6:
        rows = output[0][output[0, :, 4] > conf_threshold].astype(np.float64)
        rows = rows[np.isfinite(rows).all(axis=1) & (rows[:, 4] <= _SURE)]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")][:_MOST_BOXES]
        return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)
    if output.shape[1] < 5:
        raise ValueError(f"its output has the shape {output.shape}")
    confidences = output[0, 4:].max(axis=0)
    is_box = np.isfinite(output[0, :4]).all(axis=0) & (confidences <= _SURE)
    sure = np.flatnonzero((confidences > conf_threshold) & is_box)
    sure = sure[np.argsort(-confidences[sure], kind="stable")][:_MOST_CANDIDATES]
    found = output[0][:, sure].T.astype(np.float64)
    halves = found[:, 2:4] / 2
    boxes = np.concatenate([found[:, :2] - halves, found[:, :2] + halves], axis=1)
    classes = found[:, 4:].argmax(axis=1)
    kept = suppress_overlaps(boxes, confidences[sure], classes, iou_threshold)[:_MOST_BOXES]
    return boxes[kept], confidences[sure][kept].astype(np.float64), classes[kept]


class OnnxDetector:
    """A YOLO network of an ONNX file.

    Attributes:
        class_names: By class number.

    Raises:
        UserError: If the file or ONNX Runtime is missing, or the file is not such a network.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such detector; give an existing .pt or .onnx file")
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it would write to the home, and report
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise UserError(
                f"cannot import onnxruntime ({error}): {pip_install('onnxruntime')}"
            ) from None
        options = ort.SessionOptions()
        options.log_severity_level = 4
        given = os.environ.get("OMP_NUM_THREADS", "")
        threads = threads or (int(given) if given.isdigit() else 0)
        options.intra_op_num_threads = threads  # 0: one a core
        options.inter_op_num_threads = 1
        try:
            self._session = ort.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            reason = reason_of(error)
            raise UserError(f"{path}: not a usable ONNX file: {reason}") from None
        self._path = path
        try:
            self._read_facts()
        except (ValueError, TypeError, LookupError) as error:
            raise UserError(f"{path}: not a YOLO detector: {error}") from None

    def _read_facts(self) -> None:
        """Take input and metadata from the file.

        Raises:
            ValueError: If they are not those of a YOLO detector.
        """
        facts = self._session.get_modelmeta().custom_metadata_map
        inputs = self._session.get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else None
        if facts.get("task", "detect") != "detect" or shape is None or len(shape) != 4:
            raise ValueError(f"it has the input {shape}")
        if inputs[0].type not in ("tensor(float)", "tensor(float16)"):
            raise ValueError(f"its input is a {inputs[0].type}")
        self._dtype = np.float16 if "float16" in inputs[0].type else np.float32
        self._input_name = inputs[0].name
        fixed = all(isinstance(length, int) for length in shape[2:])
        sides = shape[2:] if fixed else _number_pair(facts.get("imgsz"))
        height, width = (_named("its image size", as_whole, one, 32, _MOST_PIXELS) for one in sides)
        self._input_shape = height, width
        stride = _literal(facts.get("stride"), 32)
        stride = _named("its stride", as_whole, stride, 1, min(height, width))
        self._stride = None if fixed else stride
        if isinstance(shape[0], int) and shape[0] != 1:
            raise ValueError(f"made for {shape[0]} photos at once; export it with batch=1")
        names = _literal(facts.get("names"), {})
        names = dict(enumerate(names)) if isinstance(names, list) else names
        if not isinstance(names, dict) or len(names) > _MOST_CLASSES:
            raise ValueError("its class names are no list")
        self.class_names = {
            _named("a class number", as_whole, key, 0, _MOST_CLASSES): _named(
                "a class name", as_text, name
            )
            for key, name in names.items()
        }

    def __call__(
        self, photo: np.ndarray, conf_threshold: float, iou_threshold: float
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Find prints in a photo ``(height, width, 3)`` uint8 RGB.

        Returns:
            Boxes ``(n, 4)`` as x1, y1, x2, y2 in pixels of the photo, confidences ``(n,)``, class
            names.
        """
        fit = letterbox_of(photo.shape, self._input_shape, self._stride)
        values = network_input(photo, fit).astype(self._dtype, copy=False)
        try:
            output = self._session.run(None, {self._input_name: values})[0]
            if not isinstance(output, np.ndarray) or output.dtype.kind != "f":
                raise ValueError("its output is no array of numbers")
            boxes, confidences, classes = read_output(output, conf_threshold, iou_threshold)
        except Exception as error:  # ONNX Runtime raises kinds of its own
            reason = reason_of(error)
            raise UserError(f"{self._path}: not a YOLO detector: {reason}") from None
        names = [self.class_names.get(int(number), str(number)) for number in classes]
        return boxes_in_photo(boxes, fit, photo.shape), confidences, names


def _literal(text: str | None, otherwise: object) -> object:
    """Read a number, list or dictionary that was written as Python text."""
    if not text:
        return otherwise
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"its metadata cannot be read: {text[:60]!r}") from None


def _number_pair(text: str | None) -> tuple[object, object]:
    value = _literal(text, 640)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return value[0], value[1]
    return value, value


def _named(what: str, check: Callable[..., T], value: object, *bounds: object) -> T:
    try:
        return check(value, *bounds)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None
