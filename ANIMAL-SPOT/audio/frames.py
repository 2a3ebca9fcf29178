"""How much sound compressed files hold, counted in the files: MP3, FLAC, Ogg.

libsndfile takes the length from a header, or guesses it from the first frame, and reads no further.
Where files were cut or joined, or written into a pipe, that is not what is there.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

Piece = bytes | tuple[int, int]  # bytes, or place and length of bytes of a file


@dataclass(frozen=True)
class Counted:
    """What was counted.

    Attributes:
        n_frames: Samples of each channel, about; None: not known.
        promised: How many the header gives; None: none.
        tolerance: Samples that either may be off.
        pieces: Of a file with the same sound, whose header gives what was counted; None: there is
            none.
        joined: Whether a second stream follows, which libsndfile does not read.
        open_end: Whether the mark of the stream's end is missing.
    """

    n_frames: int | None
    promised: int | None = None
    tolerance: int = 0
    pieces: tuple[Piece, ...] | None = None
    joined: bool = False
    open_end: bool = False


def count(file: BinaryIO) -> Counted | None:
    """Count what a file holds; None if it is none of these.

    Args:
        file: Open for reading, at any position; where it stands afterwards is not defined.
    """
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + _syncsafe(head[6:]) + (10 if head[5] & 0x10 else 0)
        file.seek(start)
        head = file.read(10)
    if head[:4] == b"fLaC":
        return _count_flac(file, start)
    if head[:4] == b"OggS":
        return _count_ogg(file)
    if start or (len(head) >= 4 and _Mpeg.of(head[:4]) is not None):
        return _count_mpeg(file, start)
    return None


def _syncsafe(content: bytes) -> int:
    """Read a number of 7 bits a byte."""
    value = 0
    for byte in content:
        value = value << 7 | byte & 0x7F
    return value


# --- MPEG audio: layers I to III ------------------------------------------------------------------

_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_KBITS[2, 3] = _KBITS[2, 2]
_RATES = (44_100, 48_000, 32_000)
_READ = 2**20
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_MPEG_TOLERANCE = 6  # frames: encoders add up to three, and decoders may drop them


@dataclass(frozen=True)
class _Mpeg:
    """A frame of MPEG audio: bytes, samples, and what all frames of a stream have in common."""

    n_bytes: int
    n_samples: int
    kind: tuple[int, int, int]
    mono: bool

    @classmethod
    @functools.lru_cache(4096)
    def of(cls, head: bytes) -> _Mpeg | None:
        """Read the first four bytes of a frame; None if they are none, or of free format."""
        if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE2:
            return None
        version_bits, layer_bits = head[1] >> 3 & 3, head[1] >> 1 & 3
        kbit_index, rate_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
        if version_bits == 1 or not layer_bits or rate_index == 3 or not 0 < kbit_index < 15:
            return None
        version, layer = 1 if version_bits == 3 else 2, 4 - layer_bits
        rate = _RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version_bits]
        bits = 1000 * _KBITS[version, layer][kbit_index - 1]
        if layer == 1:
            n_bytes, n_samples = (12 * bits // rate + padding) * 4, 384
        else:
            n_samples = 576 if (version, layer) == (2, 3) else 1152
            n_bytes = n_samples // 8 * bits // rate + padding
        return cls(n_bytes, n_samples, (version_bits, layer, rate), head[3] >> 6 == 3)

    @property
    def info_at(self) -> int:
        """Return where in a frame of layer III the header of a whole file stands."""
        return 4 + ((17 if self.mono else 32) if self.kind[0] == 3 else (9 if self.mono else 17))


def _count_mpeg(file: BinaryIO, start: int) -> Counted | None:
    n_frames, promised, first, stretches = 0, None, None, []
    for position, frame in _mpeg_frames(file, start):
        if first is None:
            first = position, frame
            promised = _promised_mpeg(file, position, frame)
            if promised is not None:
                continue  # a frame without sound
        n_frames += 1
        if stretches and sum(stretches[-1]) == position:
            stretches[-1] = stretches[-1][0], stretches[-1][1] + frame.n_bytes
        else:
            stretches.append((position, frame.n_bytes))
    if first is None or not n_frames:
        return None
    position, frame = first
    return Counted(
        n_frames * frame.n_samples,
        None if promised is None else promised * frame.n_samples,
        _MPEG_TOLERANCE * frame.n_samples,
        (_mpeg_header(file, position, frame, n_frames, sum(n for _, n in stretches)), *stretches),
    )


def _mpeg_frames(file: BinaryIO, start: int) -> Iterator[tuple[int, _Mpeg]]:
    """Yield place and header of each whole frame; what lies between frames is passed over."""
    n_file = file.seek(0, io.SEEK_END)
    buffer, offset, position, kind = b"", start, start, None
    while position + 4 <= n_file:
        if position < offset or position + 4 > offset + len(buffer):
            file.seek(position)
            buffer, offset = file.read(_READ), position
        frame = _Mpeg.of(buffer[position - offset : position - offset + 4])
        if frame is not None and kind is None and not _is_followed(file, position, frame, n_file):
            frame = None
        if frame is None or (kind is not None and frame.kind != kind):
            found = _SYNC.search(buffer, position - offset + 1)
            position = offset + (found.start() if found else max(1, len(buffer) - 1))
            if not found and offset + len(buffer) >= n_file:
                return
            continue
        if position + frame.n_bytes > n_file:
            return
        kind = frame.kind
        yield position, frame
        position += frame.n_bytes


def _is_followed(file: BinaryIO, position: int, frame: _Mpeg, n_file: int) -> bool:
    """Tell whether another frame follows, so that it is one and no other bytes that look so."""
    if position + frame.n_bytes + 4 > n_file:
        return position + frame.n_bytes <= n_file
    file.seek(position + frame.n_bytes)
    following = _Mpeg.of(file.read(4))
    return following is not None and following.kind == frame.kind


def _promised_mpeg(file: BinaryIO, position: int, frame: _Mpeg) -> int | None:
    """Return how many frames the header of a whole file gives; None if there is no header."""
    file.seek(position)
    content = file.read(frame.n_bytes)
    at = frame.info_at
    if content[at : at + 4] in (b"Xing", b"Info"):
        has_number = content[at + 7 : at + 8] and content[at + 7] & 1
        return int.from_bytes(content[at + 8 : at + 12], "big") if has_number else 0
    if content[36:40] == b"VBRI":
        return int.from_bytes(content[50:54], "big")
    return None


def _mpeg_header(file: BinaryIO, position: int, frame: _Mpeg, n_frames: int, n_bytes: int) -> bytes:
    """Return a frame that tells of so many frames and bytes, made from the first of a file."""
    file.seek(position)
    content = bytearray(file.read(frame.n_bytes))
    at = frame.info_at
    number = n_frames.to_bytes(4, "big")
    if content[at : at + 4] in (b"Xing", b"Info") and content[at + 7] & 1:
        content[at + 8 : at + 12] = number
        if content[at + 7] & 2:
            content[at + 12 : at + 16] = (len(content) + n_bytes).to_bytes(4, "big")
        return bytes(content)
    content[1] |= 1  # without a checksum
    content[2] = content[2] & 0x0D | 0x90  # 128 kbit/s or a little less: room enough
    header = _Mpeg.of(bytes(content[:4]))
    made = bytearray(header.n_bytes)
    made[:4] = content[:4]
    made[header.info_at : header.info_at + 12] = b"Xing" + (1).to_bytes(4, "big") + number
    return bytes(made)


# --- FLAC -----------------------------------------------------------------------------------------

_FLAC_LOOK = 2**18
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_FLAC_BLOCK = {
    1: 192,
    **{i: 576 << i - 2 for i in range(2, 6)},
    **{i: 256 << i - 8 for i in range(8, 16)},
}
_FLAC_MARK = b"fLaC\0\0\0\x22"


def _count_flac(file: BinaryIO, start: int) -> Counted | None:
    file.seek(start)
    head = file.read(42)
    if len(head) < 42 or head[4] & 0x7F:
        return None
    numbers = int.from_bytes(head[18:26], "big")
    promised = numbers & (1 << 36) - 1
    block = int.from_bytes(head[8:10], "big")
    n_frames = _last_flac_sample(file, start + 42, block)
    pieces = None
    if n_frames is not None:
        changed = (numbers >> 36 << 36 | n_frames).to_bytes(8, "big")
        n_file = file.seek(0, io.SEEK_END)
        pieces = (head[:18] + changed + head[26:], (start + 42, n_file - start - 42))
    joined = _holds(file, _FLAC_MARK, start + 42)
    return Counted(n_frames, promised or None, 0, pieces, joined=joined)


def _last_flac_sample(file: BinaryIO, start: int, block: int) -> int | None:
    """Return the number of samples up to the end of the last frame."""
    n_file = file.seek(0, io.SEEK_END)
    end = n_file
    while end > start:
        begin = max(start, end - _FLAC_LOOK)
        file.seek(begin)
        part = file.read(end - begin + 16)
        for found in reversed(list(_FLAC_SYNC.finditer(part))):
            last = _flac_frame_end(part[found.start() : found.start() + 16], block)
            if last is not None:
                return last
        end = begin
    return None


def _flac_frame_end(head: bytes, block: int) -> int | None:
    """Return the sample after a frame; None if these bytes do not begin one."""
    if len(head) < 6 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1 or head[3] >> 4 > 10:
        return None
    number, at = head[4], 5
    if number >= 0x80:
        n_more = 0
        while n_more < 7 and number << n_more + 1 & 0x80:
            n_more += 1
        if not 1 <= n_more <= 6:
            return None
        number &= 0x3F >> n_more
        for byte in head[at : at + n_more]:
            if byte >> 6 != 2:
                return None
            number = number << 6 | byte & 0x3F
        at += n_more
    code = head[2] >> 4
    if code in (6, 7):
        size = int.from_bytes(head[at : at + code - 5], "big") + 1
        at += code - 5
    else:
        size = _FLAC_BLOCK[code]
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if len(head) <= at or _crc8(head[:at]) != head[at]:
        return None
    return number + size if head[1] & 1 else number * block + size


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x07 if value & 0x80 else 0)) & 0xFF
    return value


def _holds(file: BinaryIO, mark: bytes, start: int) -> bool:
    """Tell whether bytes are found behind a place."""
    file.seek(start)
    tail = b""
    while part := file.read(_READ):
        if mark in tail + part:
            return True
        tail = part[-len(mark) :]
    return False


# --- Ogg ------------------------------------------------------------------------------------------


def _count_ogg(file: BinaryIO) -> Counted:
    """Follow the pages; libsndfile counts well what is one stream."""
    n_file = file.seek(0, io.SEEK_END)
    position, began, ended, joined = 0, False, False, False
    while position + 27 <= n_file:
        file.seek(position)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            break
        kind, n_segments = head[5], head[26]
        if kind & 2 and began:
            joined = True
            break
        began = began or not kind & 2
        length = 27 + n_segments + sum(head[27 : 27 + n_segments])
        if position + length > n_file:
            ended = False
            break
        ended = bool(kind & 4)
        position += length
    return Counted(None, joined=joined, open_end=not ended and not joined)
