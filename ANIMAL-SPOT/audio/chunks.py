"""Where the samples lie in sound files that are divided into chunks: WAV, AIFF, W64, CAF and AU.

libsndfile believes the length that the header gives for the samples. It is wrong where a recording
is longer than 4 GB, was written into a pipe, or was never finished; so the file itself is asked.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO, Literal

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True)
class _Container:
    """How a kind of sound file is divided into chunks.

    Attributes:
        first_chunk: Byte at which the first one begins.
        id_bytes: Length of a chunk's name.
        size_bytes: Length of its size, which follows.
        byte_order: Of the size.
        data: Name of the chunk of samples, as far as it tells.
        data_head: Bytes of it before the samples.
        counts_itself: Whether the size counts name and size too.
        alignment: Chunks begin at multiples of it.
    """

    first_chunk: int
    id_bytes: int
    size_bytes: int
    byte_order: ByteOrder
    data: bytes
    data_head: int = 0
    counts_itself: bool = False
    alignment: int = 1


_WAV = _Container(12, 4, 4, "little", b"data", alignment=2)
_CONTAINERS = {
    b"RIFF": _WAV,
    b"RF64": _WAV,
    b"RIFX": _Container(12, 4, 4, "big", b"data", alignment=2),
    b"FORM": _Container(12, 4, 4, "big", b"SSND", data_head=8, alignment=2),
    b"riff": _Container(40, 16, 8, "little", b"data", counts_itself=True, alignment=8),  # W64
    b"caff": _Container(8, 4, 8, "big", b"data", data_head=4),
}
_AU = {b".snd": "big", b"dns.": "little"}
_BEGINS_A_FILE = (*_CONTAINERS, *_AU)
# Chunks that are met behind the samples, also with sizes that are not quite right.
_KNOWN = frozenset(
    b"LIST INFO id3  ID3  bext iXML axml cart guan wamd cue  smpl inst plst note labl ltxt fact "
    b"PEAK JUNK junk PAD  FLLR DISP _PMX umid minf elm1 regn MARK COMT NAME AUTH ANNO APPL AESD "
    b"INST MIDI (c)  FVER COMM info strg mark uuid peak free levl list".split()
)
_LITTLE = 8  # bytes behind the samples that mean nothing
_LOOK, _LOOKS = 2**16, 64  # bytes that are looked at at a time, and how often at most


@dataclass(frozen=True)
class Region:
    """Where the samples of a file lie.

    Attributes:
        start: Byte at which they begin.
        n_bytes: How many there are.
        promised: How many the header gives; None: none, as in a file that was written to a pipe.
        unfinished: Whether the header gives 0, as before the recording is finished.
        missing: Bytes that the header promises beyond the end of the file.
        joined: Whether a second sound file begins behind the samples.
        byte_order: Of the samples, unless the format says otherwise.
    """

    start: int
    n_bytes: int
    promised: int | None
    unfinished: bool = False
    missing: int = 0
    joined: bool = False


def find_samples(file: BinaryIO) -> Region | None:
    """Find the samples of a file by its bytes; None if it has no chunks, or none with samples.

    Args:
        file: Open for reading, at any position; where it stands afterwards is not defined.
    """
    n_file = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if len(head) == 12 and head[:4] in _AU:
        start, size = (int.from_bytes(head[i : i + 4], _AU[head[:4]]) for i in (4, 8))
        return _region(file, None, start, size, 4, n_file) if 24 <= start <= n_file else None
    kind = _CONTAINERS.get(head[:4])
    if kind is None:
        return None
    n_head = kind.id_bytes + kind.size_bytes
    long_size = 0  # of the samples of an RF64 file, which may be longer than 4 GB
    position = kind.first_chunk
    while position + n_head <= n_file:
        file.seek(position)
        name = file.read(kind.id_bytes)
        size = int.from_bytes(file.read(kind.size_bytes), kind.byte_order)
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        content = max(0, size - n_head) if kind.counts_itself else size
        if name.startswith(kind.data):
            start = position + n_head + kind.data_head
            if kind.data == b"SSND":
                start += int.from_bytes(file.read(4), "big")
            if head[:4] == b"RF64" and size == 0xFFFFFFFF:
                return _region(file, kind, start, long_size, 8, n_file)
            if kind.counts_itself or not _is_stream(size, kind.size_bytes):
                size = max(0, content - kind.data_head)
            return _region(file, kind, start, size, kind.size_bytes, n_file)
        position += n_head + content
        position += -position % kind.alignment
    return None


def _region(
    file: BinaryIO, kind: _Container | None, start: int, size: int, size_bytes: int, n_file: int
) -> Region:
    available = max(0, n_file - start)
    if size == 0 and available and not _ends_well(file, kind, start, n_file):
        return Region(start, available, None, unfinished=True)
    if _is_stream(size, size_bytes) and size > available:
        return Region(start, available, None)
    if size >= available:
        return Region(start, available, size, missing=size - available)
    if _begins_a_file(file, start + size, n_file):
        return Region(start, size, size, joined=True)
    if _ends_well(file, kind, start + size, n_file):
        return Region(start, size, size)
    if size_bytes == 4:  # what is longer than 4 GB has a length that began again at 0
        for longer in range(size + 2**32, available, 2**32):
            if _ends_well(file, kind, start + longer, n_file):
                return Region(start, longer, size)
    return Region(start, available, size)


def _is_stream(size: int, size_bytes: int) -> bool:
    """Tell whether a stored length is what programs write that do not know it.

    That is about the largest number, signed or not: sox writes 0x7FFFF000 less a part of a frame,
    arecord and others a little more.
    """
    largest = 256**size_bytes
    near = 2**13
    return largest - near <= size or largest // 2 - near <= size <= largest // 2


def _begins_a_file(file: BinaryIO, position: int, n_file: int) -> bool:
    for begin in (position, position + position % 2):
        file.seek(begin)
        if file.read(4) in _BEGINS_A_FILE and n_file - begin > 40:
            return True
    return False


def _ends_well(file: BinaryIO, kind: _Container | None, position: int, n_file: int) -> bool:
    """Tell whether nothing but other chunks, or nothing that sounds, lies behind a place."""
    if n_file - position <= _LITTLE or _is_blank(file, position, n_file):
        return True
    if kind is None:
        return False
    begins = {position, position + -position % kind.alignment}
    return any(_are_chunks(file, kind, begin, n_file) for begin in begins)


def _is_blank(file: BinaryIO, position: int, n_file: int) -> bool:
    """Tell whether there are only zeros behind a place, as far as some looks tell."""
    step = max(_LOOK, (n_file - position) // _LOOKS)
    for begin in (*range(position, n_file, step), max(position, n_file - _LOOK)):
        file.seek(begin)
        if file.read(_LOOK).strip(b"\0"):
            return False
    return True


def _are_chunks(file: BinaryIO, kind: _Container, position: int, n_file: int) -> bool:
    n_head = kind.id_bytes + kind.size_bytes
    while position + n_head <= n_file:
        file.seek(position)
        name = file.read(kind.id_bytes)[:4]
        size = int.from_bytes(file.read(kind.size_bytes), kind.byte_order)
        if name in _KNOWN or (name[:3] == b"TAG" and n_file - position == 128):
            return True
        if not all(0x20 <= byte < 0x7F for byte in name):
            return _is_blank(file, position, n_file)
        position += max(n_head, size) if kind.counts_itself else n_head + size
        position += -position % kind.alignment
    return abs(position - n_file) <= 1 or 0 <= n_file - position <= _LITTLE
