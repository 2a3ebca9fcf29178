"""A RAW photo written by hand: a DNG (Adobe, DNG specification 1.4) without compression."""

from __future__ import annotations

import struct

import numpy as np

_SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 10: "ii"}  # TIFF type -> format of one value
_TO_XYZ = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)  # sRGB of XYZ, times 10000


def dng(rgb: np.ndarray, orientation: int = 1, maker: bytes = b"Drawn") -> bytes:
    """Return a photo as a sensor with red, green, green and blue in each square would see it.

    Args:
        rgb: As stored, uint8, shape ``(height, width, 3)``, both even.
        orientation: As EXIF has it.
        maker: Of the camera.
    """
    height, width = rgb.shape[:2]
    linear = (rgb / 255.0) ** 2.2 * 65535
    sensor = np.empty((height, width), "<u2")
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sensor[row::2, column::2] = linear[row::2, column::2, channel]
    pixels = sensor.tobytes()
    tags = {
        254: (4, [0]),
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [16]),
        259: (3, [1]),
        262: (3, [32803]),
        271: (2, maker + b"\0"),
        272: (2, maker + b" One\0"),
        273: (4, [0]),  # where the pixels are, see below
        274: (3, [orientation]),
        277: (3, [1]),
        278: (4, [height]),
        279: (4, [len(pixels)]),
        33421: (3, [2, 2]),
        33422: (1, [0, 1, 1, 2]),
        50706: (1, [1, 4, 0, 0]),
        50708: (2, maker + b" One\0"),
        50717: (4, [65535]),
        50721: (10, [(value, 10000) for value in _TO_XYZ]),
        50728: (5, [(1, 1)] * 3),
        50778: (3, [21]),
    }
    first = 8 + 2 + 12 * len(tags) + 4
    outside = sum(len(_packed(*tag)) for tag in tags.values() if len(_packed(*tag)) > 4)
    tags[273] = (4, [first + outside])
    entries, values = b"", b""
    for number, (kind, content) in sorted(tags.items()):
        value = _packed(kind, content)
        entries += struct.pack("<HHI", number, kind, len(content))
        if len(value) > 4:
            entries += struct.pack("<I", first + len(values))
            values += value
        else:
            entries += value.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + bytes(4) + values + pixels


def _packed(kind: int, content: list | bytes) -> bytes:
    """Return values as TIFF stores them, of an even length where they do not fit the entry."""
    if isinstance(content, bytes):
        value = content
    else:
        rows = [one if isinstance(one, tuple) else (one,) for one in content]
        value = b"".join(struct.pack("<" + _SIZES[kind], *row) for row in rows)
    return value + b"\0" * (len(value) % 2 if len(value) > 4 else 0)
