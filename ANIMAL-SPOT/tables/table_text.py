"""Text of tables, whatever program on whatever system wrote it."""

from __future__ import annotations

import re
from pathlib import Path

from animal_spot.tables.event import TableError
from animal_spot.utils.text import printable

_LARGEST = 128 * 2**20  # bytes of a table
_SAMPLE = 4096  # bytes by which a kind is told
_OTHER_KINDS = {
    b"PK\x03\x04": "an Excel file or another archive: save it as CSV or as text with tabs",
    b"\xd0\xcf\x11\xe0": "an Excel file: save it as CSV or as text with tabs",
    **dict.fromkeys((b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3"), "sound, not a table"),
    b"%PDF": "a PDF, not a table",
    b"PAR1": "a parquet file",
}
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


def require_file(path: Path) -> None:
    """Refuse what is no regular file, or too large for a table.

    Raises:
        TableError: If it is.
        OSError: If it cannot be asked.
    """
    if not path.is_file():
        path.stat()
        raise TableError(f"{path} is not a regular file")  # reading a pipe may never end
    if path.stat().st_size > _LARGEST:
        raise TableError(f"{path} is larger than {_LARGEST >> 20} MB: no annotation table")


def read_text(path: Path) -> tuple[str, str]:
    """Read a text file.

    Args:
        path: UTF-8 or UTF-16, with or without a byte order mark, else Windows-1252.

    Returns:
        Its text, and the name of its encoding.

    Raises:
        TableError: If it is no text.
        OSError: If it cannot be read.
    """
    require_file(path)
    data = path.read_bytes()
    for start, kind in _OTHER_KINDS.items():
        if data.startswith(start):
            raise TableError(f"{path} is {kind}")
    encoding = _encoding(data[:_SAMPLE])
    if encoding is not None:
        return data.decode(encoding, errors="replace").removeprefix("\ufeff"), "UTF-16"
    if len(_CONTROL.findall(data[:_SAMPLE])) > len(data[:_SAMPLE]) // 50 or b"\0" in data:
        raise TableError(f"{path} holds bytes that are no text: it is no annotation table")
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "Windows-1252"


def _encoding(start: bytes) -> str | None:
    """Tell UTF-16 by its mark, or by the zeros that half of its bytes are in Western languages."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    zeros = start[::2].count(0), start[1::2].count(0)
    if max(zeros) > len(start) // 4 and min(zeros) == 0:
        return "utf-16-be" if zeros[0] else "utf-16-le"
    return None


def lines_of(text: str) -> list[str]:
    """Split at the line ends of all systems, and only there."""
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


def shortened(text: str, longest: int = 60) -> str:
    """Return a cell as it is shown in a message."""
    text = printable(text)
    return repr(text if len(text) <= longest else f"{text[:longest]}...")
