"""Where a picture ends in its file, and whether another one follows, as when copying went wrong.

Decoders stop at the end of the first picture and pass over what comes after it. Cameras append
data of their own there, so only the beginning of another picture is taken for an accident.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_TIFF_START = re.compile(rb"II\*\0|MM\0\*")


def is_followed_by_another(data: bytes, format_name: str) -> bool:
    """Tell whether a second picture begins where the first ends.

    Args:
        data: Of a file whose first picture is whole.
        format_name: Pillow's. MPO, which is meant to hold several pictures, never counts.
    """
    if format_name == "TIFF":
        end = _end_of_tiff_strips(data)
        return end is not None and _TIFF_START.search(data, end) is not None
    find_end = _ENDS.get(format_name)
    end = find_end(data) if find_end else None
    return end is not None and _begins_picture(data[end : end + 16])


def has_end(data: bytes, format_name: str) -> bool:
    """Tell whether a PNG, GIF, AVIF or HEIF goes on to its end, which decoders can do without.

    Others count as if they did.

    Args:
        data: Of the whole file.
        format_name: Pillow's.
    """
    return format_name not in _HAS_END or _ENDS[format_name](data) is not None


def _begins_picture(head: bytes) -> bool:
    is_riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_heif = head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"avif")
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4)  # reserved
    return head.startswith(_STARTS) or is_riff or is_heif or is_bmp


def _end_of_png(data: bytes) -> int | None:
    """Walk the chunks: length, kind, content, checksum."""
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        position += 12 + length
        if kind == b"IEND":
            return position if position <= len(data) else None
    return None


def _end_of_webp(data: bytes) -> int | None:
    length = int.from_bytes(data[4:8], "little")
    return 8 + length + length % 2


def _end_of_bmp(data: bytes) -> int | None:
    length = int.from_bytes(data[2:6], "little")
    return length if 54 <= length <= len(data) else None


def _end_of_gif(data: bytes) -> int | None:
    """Walk the blocks: pictures (0x2C) and extensions (0x21) in sub-blocks, up to 0x3B."""
    position = 13 + _colours(data[10:11])
    while position < len(data):
        kind = data[position]
        if kind == 0x3B:
            return position + 1
        if kind == 0x2C:
            position += 10 + _colours(data[position + 9 : position + 10]) + 1
        elif kind == 0x21:
            position += 2
        else:
            return None
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return None


def _colours(flags: bytes) -> int:
    """Return the bytes of the colour table that the flags tell of."""
    return 3 * 2 ** ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _end_of_jpeg(data: bytes) -> int | None:
    """Walk the segments; in the data after a start of scan, to the next marker."""
    position = 2
    while position + 4 <= len(data):
        marker = data[position + 1]
        if data[position] != 0xFF:
            return None
        if marker == 0xD9:
            return position + 2
        if marker == 0xFF:  # filling
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xDA:
            found = _MARKER.search(data, position)
            if found is None:
                return None
            position = found.start()
    return position + 2 if data[position : position + 2] == b"\xff\xd9" else None


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def _end_of_boxes(data: bytes) -> int | None:
    """Walk the boxes of AVIF and HEIF up to the end of the file or another file's first box."""
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if position and kind == b"ftyp":
            return position
        if length < 8:  # up to the end of the file, or longer than 4 GB
            return len(data)
        position += length
    return position if position <= len(data) else None


def _end_of_tiff_strips(data: bytes) -> int | None:
    """Return where the picture data end; None if there are several directories, each with some."""
    order = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    directory = number(4, 4)
    n_entries = min(number(directory, 2), 4096)
    if number(directory + 2 + 12 * n_entries, 4):
        return None
    values: dict[int, list[int]] = {}
    for entry in range(n_entries):
        at = directory + 2 + 12 * entry
        tag, kind, count = number(at, 2), number(at + 2, 2), number(at + 4, 4)
        size = {3: 2, 4: 4}.get(kind)
        if tag in (273, 279, 324, 325) and size and count <= 2**20:
            start = at + 8 if size * count <= 4 else number(at + 8, 4)
            values[tag] = [number(start + size * i, size) for i in range(count)]
    ends = [
        start + length
        for starts, lengths in ((273, 279), (324, 325))
        for start, length in zip(values.get(starts, ()), values.get(lengths, ()), strict=False)
    ]
    return max(ends, default=None)


_ENDS: dict[str, Callable[[bytes], int | None]] = {
    "JPEG": _end_of_jpeg,
    "PNG": _end_of_png,
    "WEBP": _end_of_webp,
    "BMP": _end_of_bmp,
    "GIF": _end_of_gif,
    "AVIF": _end_of_boxes,
    "HEIF": _end_of_boxes,
}
_HAS_END = ("PNG", "GIF", "AVIF", "HEIF")
