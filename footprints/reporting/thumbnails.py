"""Photos and crops as small pictures of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from footprints.pictures.annotate import draw_frame, jpeg_bytes
from footprints.pictures.photos import PhotoError, load_photo
from footprints.reporting.page import Sound

_SIDE = 300  # pixels of the longer side
_QUALITY = 78
_FAR = 2.6  # a box's surroundings are shown up to so many times its side
_LINE_PX = 3
_YELLOW = (255, 200, 0)


class Thumbnails:
    """Makes small pictures until all of them together reach a size.

    Args:
        most_bytes: Of all pictures, before they are encoded as text.
    """

    def __init__(self, most_bytes: int = 5_000_000) -> None:
        self._left = most_bytes

    def of(
        self,
        path: Path | None,
        title: str,
        lines: Sequence[str] = (),
        box_xyxy: Sequence[float] | None = None,
        colour: tuple[int, int, int] = _YELLOW,
    ) -> Sound:
        """Return a photo for the block ``Sounds``: never fails.

        Args:
            path: Of the photo or crop; None: it is gone.
            title: Written below it.
            lines: Written below that.
            box_xyxy: Drawn in, in pixels of the upright photo; of a large photo with a small box
                the surroundings of the box are shown.
            colour: Of the box, RGB.

        Returns:
            One without a picture, whose last line says why, if it cannot be read any more, or the
            report would grow too large.
        """
        if path is None:
            return Sound(title, (*lines, "no picture: the photo is not there any more"))
        if self._left <= 0:
            return Sound(title, (*lines, "no picture: the report would grow too large"))
        try:
            rgb = load_photo(path)
        except PhotoError as error:
            return Sound(title, (*lines, f"no picture: {error.reason}"))
        content = jpeg_bytes(_small(rgb, box_xyxy, colour), _QUALITY)
        self._left -= len(content)
        return Sound(title, tuple(lines), content, alt=title, image_type="image/jpeg")


def _small(
    rgb: np.ndarray, box_xyxy: Sequence[float] | None, colour: tuple[int, int, int]
) -> Image.Image:
    """Return the part of a photo that is of interest, small, with the box drawn in."""
    height, width = rgb.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    if box_xyxy is not None:
        x1, y1, x2, y2 = box_xyxy
        reach = max(_FAR * max(x2 - x1, y2 - y1), 32.0)
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        left, right = max(0, int(x - reach / 2)), min(width, int(x + reach / 2) + 1)
        top, bottom = max(0, int(y - reach / 2)), min(height, int(y + reach / 2) + 1)
        if right - left < 2 or bottom - top < 2:  # a box beside the photo
            left, top, right, bottom = 0, 0, width, height
    photo = Image.fromarray(rgb[top:bottom, left:right])
    scale = min(1.0, _SIDE / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    photo = photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if box_xyxy is not None:
        moved = [
            (value - start) * scale
            for value, start in zip(box_xyxy, (left, top, left, top), strict=True)
        ]
        draw_frame(ImageDraw.Draw(photo), moved, size, colour, _LINE_PX)
    return photo
