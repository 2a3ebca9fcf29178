"""One picture of many answers: small annotated photos side by side, with their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from footprints.pictures.annotate import INK, PAPER, annotated, fitted, font
from footprints.pictures.photos import PhotoError, load_photo
from footprints.scores.answers import Answer

MOST = 60  # answers of one sheet
_TILE_PX = 320  # longer side of a photo, and width of a tile
_COLUMNS = 4
_GAP_PX = 8
_NAME_PX = 20  # height of the strip with a photo's name


def contact_sheet(answers: Sequence[Answer], warning: str = "") -> Image.Image | None:
    """Draw the first ``MOST`` answers into one picture, in order.

    Args:
        answers: Of one run.
        warning: Of the model as a whole, for each of them.

    Returns:
        The picture, ``_COLUMNS`` tiles wide or as many as there are; None if there are no answers,
        or none of their photos can be read any more.
    """
    tiles = [tile for answer in answers[:MOST] if (tile := _tile(answer, warning)) is not None]
    if not tiles:
        return None
    rows = [tiles[at : at + _COLUMNS] for at in range(0, len(tiles), _COLUMNS)]
    heights = [max(tile.height for tile in row) for row in rows]
    width = len(rows[0]) * (_TILE_PX + _GAP_PX) + _GAP_PX
    sheet = Image.new("RGB", (width, sum(heights) + _GAP_PX * (len(rows) + 1)), INK)
    y = _GAP_PX
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            sheet.paste(tile, (_GAP_PX + column * (_TILE_PX + _GAP_PX), y))
        y += height + _GAP_PX
    return sheet


def _tile(answer: Answer, warning: str) -> Image.Image | None:
    try:
        photo = Image.fromarray(load_photo(answer.source))
    except PhotoError:  # it was readable a moment ago; other lines say so
        return None
    scale = min(1.0, _TILE_PX / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    small = photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    picture = annotated(
        np.asarray(small),
        [edge * scale for edge in answer.box_xyxy],
        answer.answer,
        answer.ranking,
        certain=answer.certain,
        print_found=answer.print_found,
        detection_confidence=answer.detection_confidence,
        warning=warning,
    )
    picture.thumbnail((_TILE_PX, picture.height))
    tile = Image.new("RGB", (_TILE_PX, picture.height + _NAME_PX), PAPER)
    name = fitted(answer.name, font(12), _TILE_PX - 12)
    ImageDraw.Draw(tile).text((6, 3), name, INK, font(12))
    tile.paste(picture, (0, _NAME_PX))
    return tile
