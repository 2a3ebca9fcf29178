"""From a box in a photo to a square crop. Pure geometry, and Pillow to resize.

A crop is never stretched. It is a square of whole pixels around the print, with some of the
surroundings; it is moved into the photo where it would stick out. Surroundings are given up before
pixels are invented: only a print that is longer than the photo's shorter side gets a square
that does not fit, and there the photo is mirrored at its edges to fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from footprints.pictures.boxes import Box, Detection, clipped, ranked
from footprints.system.settings import Settings

_REDUCING_GAP = (
    3.0  # Pillow: first shrink by whole factors, to three times the size; looks the same
)


@dataclass(frozen=True)
class Crop:
    """A square picture for the classifier.

    Attributes:
        rgb: ``(size, size, 3)`` uint8.
        box_xyxy: The print as detected, in pixels of the upright photo; of a fallback, the square.
        crop_xyxy: The square that was cut; it sticks out of the photo where that was mirrored.
        confidence: The detector's, 0 to 1; None where it had no part.
        fallback: Whether no print was found and the centre was taken.
    """

    rgb: np.ndarray
    box_xyxy: Box
    crop_xyxy: Box
    confidence: float | None
    fallback: bool


def square_box(
    box_xyxy: Box, shape: tuple[int, ...], margin: float = 0.0, min_side: int = 1
) -> Box:
    """Return the square around a box: whole pixels, with a margin, inside the photo if it can be.

    Args:
        box_xyxy: In pixels; what lies outside of the photo is cut off first.
        shape: Height and width of the photo.
        margin: Surroundings on each side, as a part of the box's longer side.
        min_side: The square is at least so long, in pixels, where the photo allows.

    Returns:
        The square. It sticks out of the photo only along an axis on which the box is longer than
        the photo's other axis, by the same length (or one pixel more) on both ends.

    Raises:
        ValueError: If the photo or the box inside of it is empty.
    """
    height, width = (int(length) for length in shape[:2])
    box = clipped(box_xyxy, shape)
    longer = max(box[2] - box[0], box[3] - box[1])
    if height < 1 or width < 1 or box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError(f"box {box_xyxy} has no area inside of a photo of {width} x {height}")
    wanted = max(longer * (1 + 2 * margin), min_side)
    side = max(1, round(min(wanted, max(longer, min(height, width)))))
    x = _start((box[0] + box[2]) / 2, side, width)
    y = _start((box[1] + box[3]) / 2, side, height)
    return float(x), float(y), float(x + side), float(y + side)


def _start(centre: float, side: int, length: int) -> int:
    """Return where a stretch of ``side`` pixels begins on an axis of ``length``."""
    if side >= length:
        return -((side - length) // 2)
    return min(max(round(centre - side / 2), 0), length - side)


def centre_box(shape: tuple[int, ...]) -> Box:
    """Return the largest square in the middle of a photo."""
    height, width = (int(length) for length in shape[:2])
    side = min(height, width)
    x, y = (width - side) // 2, (height - side) // 2
    return float(x), float(y), float(x + side), float(y + side)


def cut(photo: np.ndarray, box_xyxy: Box, size: int) -> np.ndarray:
    """Cut a box out of a photo and resize it, antialiased (Pillow's bicubic filter).

    Args:
        photo: ``(height, width, 3)`` uint8; is not modified.
        box_xyxy: Squares of whole pixels are taken as they are, anything else is made one by
            ``square_box``. What lies outside of the photo is mirrored from the inside.
        size: Side of the result in pixels.

    Returns:
        ``(size, size, 3)`` uint8.

    Raises:
        ValueError: If the box does not touch the photo.
    """
    height, width = photo.shape[:2]
    edges = [float(edge) for edge in box_xyxy]
    square = edges[2] - edges[0] == edges[3] - edges[1] > 0
    if not square or any(edge != int(edge) for edge in edges):
        edges = list(square_box((edges[0], edges[1], edges[2], edges[3]), photo.shape))
    x1, y1, x2, y2 = (int(edge) for edge in edges)
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise ValueError(f"box {box_xyxy} lies outside of a photo of {width} x {height}")
    inside = photo[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
    missing = ((max(-y1, 0), max(y2 - height, 0)), (max(-x1, 0), max(x2 - width, 0)))
    if any(map(any, missing)):
        inside = np.pad(inside, (*missing, (0, 0)), mode="symmetric")
    picture = Image.fromarray(np.ascontiguousarray(inside))
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    return np.array(picture)


def whole(photo: np.ndarray, size: int) -> np.ndarray:
    """Resize a whole photo to a square; its shorter axis is filled by mirroring, not stretched."""
    return cut(photo, whole_box(photo.shape), size)


def whole_box(shape: tuple[int, ...]) -> Box:
    """Return the square that holds a whole photo; it sticks out along the shorter axis."""
    height, width = shape[:2]
    return square_box((0.0, 0.0, float(width), float(height)), shape)


def crop_of(photo: np.ndarray, detection: Detection, settings: Settings) -> Crop:
    """Cut one detection out of its photo ``(height, width, 3)``, as the settings say."""
    square = square_box(detection.box_xyxy, photo.shape, settings.margin, settings.min_crop_side)
    rgb = cut(photo, square, settings.image_size)
    return Crop(rgb, detection.box_xyxy, square, detection.confidence, fallback=False)


def centre_crop_of(photo: np.ndarray, settings: Settings) -> Crop:
    """Cut the centre of a photo in which no print was found; flagged as fallback."""
    square = centre_box(photo.shape)
    return Crop(cut(photo, square, settings.image_size), square, square, None, fallback=True)


def whole_crop_of(photo: np.ndarray, settings: Settings) -> Crop:
    """Resize a photo that is a crop already, as those of OpenAnimalTracks."""
    height, width = photo.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    rgb = whole(photo, settings.image_size)
    return Crop(rgb, box, whole_box(photo.shape), None, fallback=False)


def best_crop_of(photo: np.ndarray, detections: Sequence[Detection], settings: Settings) -> Crop:
    """Cut the best detection, or the centre where there is none.

    Args:
        photo: Upright, ``(height, width, 3)`` uint8 RGB.
        detections: In any order; those below ``settings.conf_threshold`` are ignored.
        settings: Ranking, margin, least side, size.
    """
    sure = [one for one in detections if one.confidence >= settings.conf_threshold]
    if not sure:
        return centre_crop_of(photo, settings)
    return crop_of(photo, ranked(sure, photo.shape, settings.ranking)[0], settings)
