"""Photos as field cameras leave them: with time, place and what should not get about."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from tests.helpers.photos import encoded

SECRETS = (b"SERIAL-0815", b"LENS-4711", b"Jane Doe", b"near the badger sett", b"47.2345N in notes")


def field_exif(
    time: str | None = "2026:03:01 07:15:00",
    zone: str | None = "+01:00",
    place: tuple[float, float] | None = (47.2345, -8.5),
    altitude_m: float | None = 512.5,
    camera: tuple[str, str] = ("Canon", "Canon EOS R7"),
    orientation: int = 1,
    *,
    with_secrets: bool = True,
) -> Image.Exif:
    """Return EXIF of a photo, written by Pillow."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = camera
    exif[0x0112] = orientation
    exif[0x0132] = "2026:11:11 11:11:11"  # of the last change, by an editor
    inside = {} if time is None else {0x9003: time}
    if zone is not None:
        inside[0x9011] = zone
    if with_secrets:
        serial, lens, owner, remark, notes = SECRETS
        exif[0x010E] = remark.decode()
        inside |= {0xA431: serial.decode(), 0xA435: lens.decode(), 0xA430: owner.decode()}
        inside |= {0x927C: notes, 0x9286: b"ASCII\0\0\0" + remark}
    exif[0x8769] = inside
    if place is not None:
        latitude, longitude = place
        exif[0x8825] = {
            **{1: "N" if latitude >= 0 else "S", 2: _sexagesimal(latitude)},
            **{3: "E" if longitude >= 0 else "W", 4: _sexagesimal(longitude)},
        }
        if altitude_m is not None:
            height = IFDRational(Fraction(str(abs(altitude_m))))
            exif[0x8825] |= {5: bytes([altitude_m < 0]), 6: height}
    return exif


def write_field_photo(path: Path, rgb: np.ndarray, exif: Image.Exif) -> Path:
    """Write a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(rgb, exif=exif))
    return path


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Return degrees, minutes and seconds, to a thousandth of a second."""
    thousandths = round(abs(degrees) * 3_600_000)
    whole, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return IFDRational(whole), IFDRational(minutes), IFDRational(rest, 1000)
