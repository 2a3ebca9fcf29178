"""JPEG data decoded whole, or refused: most programs show damaged data partly grey or shifted.

JPEG has no checksums. libjpeg-turbo notices data that ends too early, codes that do not exist and
data left over, and warns; simplejpeg makes errors of its warnings. What it cannot notice is a
stretch of zeros, as a faulty memory card leaves, that happens to decode to as many blocks.
"""

from __future__ import annotations

import re

import numpy as np

_DAMAGE = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")
_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_ZEROS = bytes(64)


def decode_strictly(data: bytes, space: str) -> np.ndarray | None:
    """Decode a JPEG and fail at damage.

    Args:
        data: The file's bytes.
        space: ``RGB``, or ``CMYK`` for data of four colours.

    Returns:
        Pixels as stored, not turned, uint8 ``(height, width, 3 or 4)``; None if this is a kind of
        JPEG that libjpeg-turbo does not take.

    Raises:
        ValueError: If the data is damaged or ends too early.
    """
    import simplejpeg

    if has_zeroed_codes(data):
        raise ValueError("a stretch of zeros in the picture data")
    try:
        return simplejpeg.decode_jpeg(data, colorspace=space, strict=True)
    except ValueError as error:
        message = str(error)
        if not any(text in message for text in _DAMAGE):
            return None
        if not _is_filling(message, data):
            raise
    return simplejpeg.decode_jpeg(data, colorspace=space, strict=False)


def has_zeroed_codes(data: bytes) -> bool:
    """Tell whether coefficients were overwritten with zeros, if that can be told.

    A code of zero bits only stands for the first symbol of its Huffman table. In a table of AC
    coefficients that begins with another symbol than "end of block" (0), as the standard's tables
    do, a long stretch of them would be a picture of nothing but coefficients of -1. Progressive
    files, files with a scan for each colour, and tables that begin with "end of block" may hold
    such stretches rightly.
    """
    position = 2
    suspicious = False
    n_components = 0
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # filling
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        start, end = position + 4, position + 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC0, 0xC1, 0xC4):
            return False  # neither baseline nor extended sequential Huffman coding
        if marker in (0xC0, 0xC1):
            n_components = data[start + 5] if start + 5 < end else 0
        if marker == 0xC4:
            suspicious = suspicious or _has_other_first_symbol(data[start:end])
        if marker == 0xDA:
            if data[start : start + 1] != bytes([n_components]):
                return False
            stop = data.find(b"\xff\xd9", end)
            return suspicious and data.find(_ZEROS, end, stop if stop >= 0 else None) >= 0
        position = end
    return False


def _has_other_first_symbol(tables: bytes) -> bool:
    """Tell whether a table for AC coefficients begins with another symbol than 0."""
    position = 0
    while position + 17 < len(tables):
        if tables[position] >> 4 == 1 and tables[position + 17] != 0:
            return True
        position += 17 + sum(tables[position + 1 : position + 17])
    return False


def _is_filling(message: str, data: bytes) -> bool:
    """Tell whether surplus bytes before the end are only filling, as some cameras write."""
    surplus = _SURPLUS.search(message)
    if surplus is None:
        return False
    before_end = data[: data.rfind(b"\xff\xd9")]
    return len(before_end) - len(before_end.rstrip(b"\x00\xff")) >= int(surplus[1])
