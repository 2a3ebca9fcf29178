"""Draw what was found into a copy of a photo: the box, and a caption with the names."""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    import numpy as np

LONGEST_SIDE = 1600  # pixels; larger photos are shrunk
_SHORTEST_WIDTH = 320  # narrower photos are enlarged, so that the caption can be read
_FOUND, _NOT_FOUND, _UNKNOWN = (255, 200, 0), (160, 160, 160), (255, 110, 60)
PAPER, INK, _FAINT = (24, 24, 24), (255, 255, 255), (170, 170, 170)


def annotated(
    rgb: np.ndarray,
    box_xyxy: Sequence[float],
    answer: str,
    ranking: Sequence[tuple[str, float]],
    *,
    certain: bool = True,
    print_found: bool = True,
    detection_confidence: float | None = None,
    warning: str = "",
) -> Image.Image:
    """Draw a box into a photo and the answer on a strip below it, where it hides nothing.

    Args:
        rgb: The upright photo, shape ``(height, width, 3)``, uint8.
        box_xyxy: The print in pixels of that photo; parts outside it are clipped.
        answer: Class name or "unknown".
        ranking: The most probable classes with their probabilities (0 to 1), best first.
        certain: False draws the answer in another colour.
        print_found: False draws a grey box: the detector saw nothing, the centre was used.
        detection_confidence: 0 to 1, of the detector; left out if None.
        warning: Of the model as a whole, on the last line.

    Returns:
        A new picture, at most 1600 pixels long before the strip is added.
    """
    photo = Image.fromarray(rgb)
    scale = min(LONGEST_SIDE / max(photo.size), max(1.0, _SHORTEST_WIDTH / photo.width))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    if size != photo.size:
        photo = photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    width, height = size
    text_px = min(32, max(13, max(size) // 36))
    colour = colour_of(certain=certain, print_found=print_found)
    draw = ImageDraw.Draw(photo)
    draw_frame(draw, [value * scale for value in box_xyxy], size, colour, max(2, text_px // 7))

    head = _head(answer, ranking, certain)
    if not print_found:
        note = "no print found, centre of the photo used"
    elif detection_confidence is not None:
        note = f"print found with confidence {detection_confidence:.2f}"
    else:
        note = ""
    notes = [line for line in (note, warning) if line]
    line_px = round(1.5 * text_px)
    rows = 1 + len(ranking) + len(notes)
    picture = Image.new("RGB", (max(width, _SHORTEST_WIDTH), height + line_px * rows + text_px))
    picture.paste(PAPER, (0, 0, *picture.size))
    picture.paste(photo, (0, 0))
    draw = ImageDraw.Draw(picture)
    left, y = text_px // 2, height + text_px // 2
    room = picture.width - 2 * left
    draw.text((left, y), fitted(head, font(text_px), room), colour, font(text_px))
    small = font(max(11, round(0.85 * text_px)))
    bar = round(0.3 * room)
    for name, probability in ranking:
        y += line_px
        middle = y + text_px // 2
        draw.rectangle((left, middle - 3, left + bar, middle + 3), (70, 70, 70))
        draw.rectangle((left, middle - 3, left + round(bar * probability), middle + 3), colour)
        text = fitted(f"{probability:4.0%}  {name}", small, room - bar - left)
        draw.text((2 * left + bar, y), text, INK, small)
    for line in notes:
        y += line_px
        draw.text((left, y), fitted(line, small, room), _FAINT, small)
    return picture


def colour_of(*, certain: bool, print_found: bool) -> tuple[int, int, int]:
    """Return the colour of an answer's box, RGB."""
    return _NOT_FOUND if not print_found else _FOUND if certain else _UNKNOWN


def jpeg_bytes(picture: Image.Image, quality: int = 90, exif: bytes = b"") -> bytes:
    """Encode a picture as JPEG, with EXIF if there is some."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality, exif=exif)
    return content.getvalue()


def _head(answer: str, ranking: Sequence[tuple[str, float]], certain: bool) -> str:
    if certain or not ranking:
        return answer
    return f"{answer} (perhaps {ranking[0][0]})"


def draw_frame(
    draw: ImageDraw.ImageDraw,
    box_xyxy: Sequence[float],
    size: tuple[int, int],
    colour: tuple[int, int, int],
    line_px: int,
) -> None:
    """Draw a box with a dark edge, visible on snow and on mud.

    Args:
        draw: Of the picture, which is changed.
        box_xyxy: In its pixels; parts outside it are clipped.
        size: Width and height of the picture.
        colour: RGB.
        line_px: Width of the line.
    """
    x1, x2 = sorted(min(max(0.0, x), size[0] - 1.0) for x in (box_xyxy[0], box_xyxy[2]))
    y1, y2 = sorted(min(max(0.0, y), size[1] - 1.0) for y in (box_xyxy[1], box_xyxy[3]))
    draw.rectangle((x1, y1, x2, y2), outline=(0, 0, 0), width=line_px + 2)
    if x2 - x1 > 4 and y2 - y1 > 4:
        draw.rectangle((x1 + 1, y1 + 1, x2 - 1, y2 - 1), outline=colour, width=line_px)


def fitted(text: str, font: ImageFont.FreeTypeFont, room_px: float) -> str:
    """Shorten a text on the right until it fits."""
    text = " ".join(text.split()) if "\n" in text else text
    if font.getlength(text) <= room_px:
        return text
    while text and font.getlength(text + "…") > room_px:
        text = text[:-1]
    return text + "…"


@functools.lru_cache
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib and knows accents, Greek and Cyrillic."""
    found = importlib.util.find_spec("matplotlib")
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size_px)
    return ImageFont.load_default(size_px)
