"""What of a photo's EXIF goes into a copy of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from footprints.places.taken import EXIF_IFD, GPS_IFD

# Named one by one: numbers of cameras and lenses, owners, remarks, thumbnails and makers' notes,
# which hold positions too, stay out.
_KEPT = {0x010F, 0x0110}  # maker, model
_KEPT_INSIDE = {
    0x829A, 0x829D, 0x8822, 0x8827, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9201, 0x9202, 0x9204,
    0x9207, 0x9209, 0x920A, 0x9291, 0x9292, 0xA402, 0xA403, 0xA405, 0xA433, 0xA434,
}  # fmt: skip  # exposure, times with zones and fractions, flash, focal length, lens
_KEPT_OF_PLACE = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12, 0x1D, 0x1F,
}  # fmt: skip  # position, altitude, time, direction, datum, date, error


def kept_exif(found: Image.Exif, *, with_place: bool) -> bytes:
    """Return EXIF for an upright copy of a photo: time, camera, exposure and place.

    Args:
        found: Of the photo.
        with_place: Whether its position goes in.

    Returns:
        For the argument ``exif`` of Pillow's ``save``; empty if there is nothing to keep.
    """
    kept = Image.Exif()
    kept.update(_some(found, _KEPT))
    if inside := _some(found.get_ifd(EXIF_IFD), _KEPT_INSIDE):
        kept[EXIF_IFD] = inside
    place = _some(found.get_ifd(GPS_IFD), _KEPT_OF_PLACE) if with_place else {}
    if place:
        kept[GPS_IFD] = place
    return kept.tobytes() if len(kept) else b""


def _some(tags: Mapping[int, Any], names: set[int]) -> dict[int, Any]:
    return {tag: tags[tag] for tag in names if tag in tags}
