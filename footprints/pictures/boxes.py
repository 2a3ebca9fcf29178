"""Boxes around prints: what a detector found, which one is best, overlap. Numbers only."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the upright photo
Ranking = Literal["confidence", "area_confidence"]

_TIE_DECIMALS = 2  # confidences that agree to so many decimals are a tie


@dataclass(frozen=True)
class Detection:
    """One print that a detector found.

    Attributes:
        box_xyxy: Left, top, right, bottom in pixels of the upright photo, inside of it.
        confidence: The detector's, 0 to 1.
        area: Of the box, in square pixels.
        score: What it was ranked by: ``confidence``, or ``area * confidence``.
        class_name: The detector's name for it.
    """

    box_xyxy: Box
    confidence: float
    area: float
    score: float
    class_name: str


def make_detections(
    boxes: Iterable[Iterable[float]],
    confidences: Iterable[float],
    class_names: Iterable[str],
    shape: tuple[int, ...],
    ranking: Ranking = "confidence",
) -> list[Detection]:
    """Clip raw boxes to the photo, drop empty ones, rank the rest; the best comes first.

    ``confidence``: the surest first; among those that agree to two decimals the larger, then the
    one closer to the photo's centre. ``area_confidence``: the greatest product of both first, which
    prefers a large vague box to a sharp small print.

    Args:
        boxes: Of x1, y1, x2, y2 in pixels.
        confidences: One a box, 0 to 1.
        class_names: One a box.
        shape: Height and width of the photo, more is ignored.
        ranking: See above.

    Raises:
        ValueError: If the ranking has another name.
    """
    if ranking not in ("confidence", "area_confidence"):
        raise ValueError(f"ranking must be confidence or area_confidence, not {ranking!r}")
    found = []
    for raw, confidence, class_name in zip(boxes, confidences, class_names, strict=True):
        box = clipped(tuple(float(edge) for edge in raw), shape)
        area = (box[2] - box[0]) * (box[3] - box[1])
        confidence = float(confidence)
        if area > 0 and math.isfinite(area) and math.isfinite(confidence):
            score = confidence if ranking == "confidence" else area * confidence
            found.append(Detection(box, confidence, area, score, class_name))
    return ranked(found, shape, ranking)


def ranked(
    detections: Iterable[Detection], shape: tuple[int, ...], ranking: Ranking = "confidence"
) -> list[Detection]:
    """Return detections in order, the best first; see ``make_detections``."""
    height, width = shape[:2]

    def distance_to_centre(box: Box) -> float:
        return math.hypot((box[0] + box[2] - width) / 2, (box[1] + box[3] - height) / 2)

    def key(one: Detection) -> tuple:
        if ranking == "area_confidence":
            first = (-one.area * one.confidence, -one.confidence)
        else:
            first = (-round(one.confidence, _TIE_DECIMALS), -one.area)
        return (*first, distance_to_centre(one.box_xyxy), one.box_xyxy)

    return sorted(detections, key=key)


def clipped(box: Box, shape: tuple[int, ...]) -> Box:
    """Return the part of a box inside of a photo of this height and width; it may be empty."""
    height, width = shape[:2]
    x1, x2 = (min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
    return x1, y1, max(x1, x2), max(y1, y2)


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union of one box ``(4,)`` with others ``(n, 4)``, 0 to 1."""
    left_top = np.maximum(box[:2], others[:, :2])
    right_bottom = np.minimum(box[2:], others[:, 2:])
    shared = np.clip(right_bottom - left_top, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + areas - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress_overlaps(
    boxes: np.ndarray, confidences: np.ndarray, classes: np.ndarray, iou_threshold: float
) -> np.ndarray:
    """Keep the surest of each heap of boxes of one class (greedy non-maximum suppression).

    Args:
        boxes: ``(n, 4)``, x1, y1, x2, y2.
        confidences: ``(n,)``.
        classes: ``(n,)``; boxes of different classes do not suppress each other.
        iou_threshold: A box that overlaps a surer one by more is dropped.

    Returns:
        Indices of the boxes kept, the surest first.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    waiting = np.argsort(-confidences, kind="stable")
    kept = []
    while len(waiting):
        first, waiting = waiting[0], waiting[1:]
        kept.append(first)
        same = classes[waiting] == classes[first]
        waiting = waiting[~(same & (overlaps(boxes[first], boxes[waiting]) > iou_threshold))]
    return np.array(kept, dtype=np.int64)
