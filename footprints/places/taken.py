"""When, where and by which camera a photo was taken, as its EXIF says, and as tables have it."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from footprints.system.text import printable

TAKEN_COLUMNS = ("taken_at", "latitude", "longitude", "altitude_m", "camera")
EXIF_IFD, GPS_IFD = 0x8769, 0x8825  # tags of the directories of the picture and of its place
_TIMES = ((0x9003, 0x9011), (0x9004, 0x9012))  # taken, digitised: each with its zone
_MAKER, _MODEL = 0x010F, 0x0110
_LONGEST = 80  # characters of a camera's name
_TIME = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")


@dataclass(frozen=True)
class Taken:
    """What is known of the moment in which a photo was taken; None where it does not say.

    Attributes:
        taken_at: ISO 8601, by the camera's clock: ``2026-03-01T07:15:00+01:00``; without an offset
            where the photo does not say its zone.
        latitude: Degrees north, WGS84, -90 to 90.
        longitude: Degrees east, -180 to 180.
        altitude_m: Metres above the sea.
        camera: Maker and model.
    """

    taken_at: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    camera: str | None = None

    @property
    def has_place(self) -> bool:
        """Whether it is known where the photo was taken."""
        return self.latitude is not None and self.longitude is not None

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in TAKEN_COLUMNS}

    def cells(self) -> list[Any]:
        """Return the cells of ``TAKEN_COLUMNS``; what is not known is empty."""
        return ["" if value is None else value for value in self.record().values()]

    def without_place(self) -> Taken:
        """Return it without position and altitude."""
        return replace(self, latitude=None, longitude=None, altitude_m=None)


def taken_from(exif: Image.Exif) -> Taken:
    """Return what EXIF says; what is damaged or impossible counts as not said.

    Names of tags: Exif 2.32, CIPA DC-008.
    """
    inner, gps = _directory(exif, EXIF_IFD), _directory(exif, GPS_IFD)
    latitude, longitude = _position(gps)
    return Taken(
        _time(inner),
        latitude,
        longitude,
        _altitude(gps),
        _camera(exif.get(_MAKER), exif.get(_MODEL)),
    )


def _directory(exif: Image.Exif, tag: int) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(tag)
    except Exception:  # as above
        return {}


def _time(inner: Mapping[int, Any]) -> str | None:
    """Return when it was taken: the time of the last change, which EXIF has too, is another."""
    for time_tag, offset_tag in _TIMES:
        found = _TIME.match(_text(inner.get(time_tag)))
        if found is None:
            continue
        try:
            time = datetime.datetime(*map(int, found.groups()))
        except ValueError:  # 0000:00:00, of a camera whose clock was never set
            continue
        return time.isoformat() + _offset(_text(inner.get(offset_tag)))
    return None


def _offset(text: str) -> str:
    if text == "Z":
        return "+00:00"
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[2]) > 14 or int(found[3]) > 59:
        return ""
    return f"{found[1]}{found[2]}:{found[3]}"


def _position(gps: Mapping[int, Any]) -> tuple[float | None, float | None]:
    """Return latitude and longitude, or neither.

    Where a camera waits for its satellites, it writes 0 / 0, or 0° N 0° E, which is in the sea.
    """
    latitude = _degrees(gps.get(2), gps.get(1), "NS", 90)
    longitude = _degrees(gps.get(4), gps.get(3), "EW", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None, None
    return latitude, longitude


def _degrees(parts: Any, side: Any, sides: str, most: int) -> float | None:
    """Return signed degrees of degrees, minutes and seconds, to 7 digits (a centimetre)."""
    letter = _text(side)[:1].upper()
    if not isinstance(parts, tuple) or not 1 <= len(parts) <= 3 or letter not in tuple(sides):
        return None
    try:
        value = sum(float(part) / 60**power for power, part in enumerate(parts))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (math.isfinite(value) and 0 <= value <= most):
        return None
    return round(-value if letter == sides[1] else value, 7) + 0.0  # no -0.0


def _altitude(gps: Mapping[int, Any]) -> float | None:
    try:
        value = float(gps[6])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(value) or not 0 <= value < 20_000:
        return None
    below = gps.get(5, 0) in (1, 3, b"\1", b"\3")  # 3: Exif 3.0, below the ellipsoid
    return round(-value if below else value, 2) + 0.0


def _camera(maker: Any, model: Any) -> str | None:
    """Return maker and model in one; many models begin with their maker already."""
    first, second = _text(maker), _text(model)
    if second.casefold().startswith(first.casefold().split(" ")[0]):
        first = ""
    return printable(f"{first} {second}".strip())[:_LONGEST] or None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""
