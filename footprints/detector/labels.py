"""Boxes of prints in YOLO's format: a text file for each photo, a line for each box."""

from __future__ import annotations

from pathlib import Path

from footprints.system.files import read_text

Box = tuple[int, float, float, float, float]  # class, centre x, centre y, width, height; 0 to 1
OVERHANG = 0.05  # boxes that stick out by up to this part of the photo's side are clipped
_ROUNDING = 1e-3  # what a box may stick out without a word


def label_path(photo: Path) -> Path:
    """Return where the boxes of a photo are: in ``labels`` if it lies in ``images``, or beside."""
    parts = list(photo.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_labels(path: Path, names: list[str]) -> tuple[list[Box], int]:
    """Read lines of class, centre x, centre y, width, height; an outline becomes its box.

    Returns:
        The boxes, and how many of them stuck out of the photo and were clipped.
    """
    if not path.exists():
        return [], 0
    boxes, n_clipped = [], 0
    for line in read_text(path).splitlines():
        values = line.split()
        if not values:
            continue
        numbers = [float(value) for value in values]
        if len(numbers) > 6 and len(numbers) % 2 == 1:
            xs, ys = numbers[1::2], numbers[2::2]
            width, height = max(xs) - min(xs), max(ys) - min(ys)
            numbers[1:] = [min(xs) + width / 2, min(ys) + height / 2, width, height]
        if len(numbers) != 5 or not numbers[0].is_integer():
            shown = line if len(line) <= 60 else f"{line[:57]}..."
            raise ValueError(f"{path.name}: a line must be class x y width height, not {shown!r}")
        box, sticks_out = checked((int(numbers[0]), *numbers[1:]), names)
        boxes.append(box)
        n_clipped += sticks_out
    return boxes, n_clipped


def checked(box: Box, names: list[str]) -> tuple[Box, bool]:
    """Return a box clipped to the photo, and whether more than rounding was clipped.

    Raises:
        ValueError: If it is of an unknown class, empty, or not in parts of the photo.
    """
    class_id, x, y, width, height = box
    if not 0 <= class_id < len(names):
        raise ValueError(f"class {class_id} is none of the {len(names)} classes")
    edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if not (edges[0] >= -OVERHANG and edges[1] >= -OVERHANG):
        raise ValueError(f"box {box[1:]} begins outside of the photo")
    if not (edges[2] <= 1 + OVERHANG and edges[3] <= 1 + OVERHANG):
        raise ValueError(f"box {box[1:]} ends outside of the photo; are these pixels?")
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in edges)
    if not (right > left and bottom > top):
        raise ValueError(f"box {box[1:]} is empty")
    sticks_out = min(edges) < -_ROUNDING or max(edges) > 1 + _ROUNDING
    clipped = (class_id, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return clipped, sticks_out
