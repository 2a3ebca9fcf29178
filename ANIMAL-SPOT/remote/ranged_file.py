"""A file elsewhere, open for reading: only what is looked at is fetched."""

from __future__ import annotations

import io
from pathlib import Path

from animal_spot.remote.stores import range_of, size_of

_LEAST, _MOST = 2**16, 2**22  # bytes of a request: four times as many as long as it is read on
_N_PIECES = 8  # that are kept: headers at the start, chunks at the end, and where one reads


class RangedFile(io.RawIOBase):
    """Reads parts of a file, with patience.

    Args:
        path: A path that stands for an address.

    Raises:
        RemoteError: If the file is not there; also while it is read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, size_of(path)
        self._position = 0
        self._pieces: list[tuple[int, bytes]] = []  # the last used last
        self._ahead = _LEAST

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that one can go to a place."""
        return True

    def tell(self) -> int:
        """Return the place where reading goes on."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; before the start is the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes, fewer at the end only."""
        left = max(0, self._size - self._position)
        n_bytes = left if n_bytes is None or n_bytes < 0 else min(n_bytes, left)
        parts = []
        while n_bytes:
            start, content = self._piece(self._position, n_bytes)
            part = content[self._position - start :][:n_bytes]
            parts.append(part)
            self._position += len(part)
            n_bytes -= len(part)
        return b"".join(parts)

    def readinto(self, buffer: bytearray) -> int:
        """Read into a buffer; return how much."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _piece(self, position: int, n_bytes: int) -> tuple[int, bytes]:
        """Return a piece that holds a place, with its start."""
        for piece in reversed(self._pieces):
            if piece[0] <= position < piece[0] + len(piece[1]):
                self._pieces.remove(piece)
                self._pieces.append(piece)
                return piece
        reads_on = any(start + len(content) == position for start, content in self._pieces)
        self._ahead = min(4 * self._ahead, _MOST) if reads_on else _LEAST
        last = min(self._size, position + max(n_bytes, self._ahead))
        piece = position, range_of(self._path, position, last, self._size)
        self._pieces = [*self._pieces[1 - _N_PIECES :], piece]
        return piece
