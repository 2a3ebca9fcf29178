"""Sound files as recorders write them: a short silence with metadata in chunks."""

from __future__ import annotations

import struct
from pathlib import Path

AUDIOMOTH = (
    "Recorded at 19:22:55 14/12/2020 ({zone}) by AudioMoth 24F319055FDF2F5B at medium gain while "
    "battery was 4.2V and temperature was 11.2C."
)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def info(**texts: str) -> bytes:
    """Return a LIST chunk of such entries as ``ICMT``."""
    entries = (chunk(name.encode(), text.encode() + b"\0") for name, text in texts.items())
    return chunk(b"LIST", b"INFO" + b"".join(entries))


def bext(date: str, clock: str, description: str = "") -> bytes:
    """Return a chunk as EBU Tech 3285 describes it, version 1."""
    head = description.encode().ljust(256, b"\0") + b"\0" * 64
    return chunk(b"bext", head + date.encode() + clock.encode() + b"\0" * (8 + 2 + 64 + 190))


def wamd(**fields: str) -> bytes:
    """Return the chunk of Wildlife Acoustics; names are ``f5`` for field 5, the time."""
    parts = (
        struct.pack("<HI", int(name[1:]), len(text.encode())) + text.encode()
        for name, text in fields.items()
    )
    return chunk(b"wamd", struct.pack("<HIH", 0, 2, 1) + b"".join(parts))


def wav(path: Path, *before: bytes, after: bytes = b"", seconds: float = 1, rate: int = 8000):
    """Write a silent mono file with chunks before and behind its samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16))
    sound = chunk(b"data", b"\0\0" * round(seconds * rate))
    body = b"WAVE" + form + b"".join(before) + sound + after
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path
