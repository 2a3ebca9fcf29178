"""What prepare notes down: a line for each crop made (journal), and the tables beside a set."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from footprints.errors import UserError
from footprints.folders import printable

MANIFEST_COLUMNS = (
    "crop",
    "source",
    "sha256",
    "class",
    "split",
    "group",
    "x1",
    "y1",
    "x2",
    "y2",
    "confidence",
    "fallback",
    "width",
    "height",
)
SCALE_COLUMN = "scale"  # added where photos have pictures of several scales
LEFT_OUT_COLUMNS = ("source", "reason")
_SYNC_SECONDS = 5.0


@dataclass(frozen=True)
class CropRecord:
    """How one photo became a crop, or why it did not.

    Attributes:
        set_name: ``oat`` or ``real``.
        source: The photo's path from the set's folder on.
        size: Of the photo's file, in bytes.
        mtime_ns: When the file was last changed, in nanoseconds.
        recipe: Digest of all settings that the crop depends on.
        reason: Why there is no crop; then the fields below are None.
        sha256: Of the photo's bytes.
        phash: Perceptual hash of the upright photo, 16 hexadecimal digits.
        key: Name of the crop in the store.
        crop_bytes: Size of the crop's file.
        box_xyxy: The print in pixels of the upright photo.
        confidence: Of the detection, 0 to 1; None if there was none.
        fallback: Whether it is a centre crop because no print was found.
        width: Of the upright photo in pixels.
        height: Of the upright photo in pixels.
    """

    set_name: str
    source: str
    size: int
    mtime_ns: int
    recipe: str
    reason: str | None = None
    sha256: str | None = None
    phash: str | None = None
    key: str | None = None
    crop_bytes: int | None = None
    box_xyxy: tuple[float, float, float, float] | None = None
    confidence: float | None = None
    fallback: bool = False
    width: int | None = None
    height: int | None = None


class Journal:
    """All crops that were ever made in a folder; one JSON object a line, only appended to.

    A line that was cut off by a kill or a power cut is passed over, its crop is made again. While
    a process has the journal open, others cannot open it.

    Raises:
        UserError: If another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self._by_place: dict[tuple[str, str, str], CropRecord] = {}
        self._by_content: dict[tuple[str, str], CropRecord] = {}
        self._sizes: set[tuple[int, str]] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b")  # noqa: SIM115 - closed by close()
        if not _lock(self._file):
            self._file.close()
            raise UserError(f"{printable(path)}: another prepare is at work in this folder")
        self._file.seek(0)
        content = self._file.read()
        for line in content.splitlines():
            with contextlib.suppress(ValueError, TypeError):
                entry = json.loads(line)
                if entry.get("box_xyxy") is not None:
                    entry["box_xyxy"] = tuple(entry["box_xyxy"])
                self._remember(CropRecord(**entry))
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(
        self, set_name: str, source: str, size: int, mtime_ns: int, recipe: str
    ) -> CropRecord | None:
        """Return the record of an unchanged photo under the same recipe, if there is one."""
        record = self._by_place.get((set_name, source, recipe))
        if record is not None and (record.size, record.mtime_ns) == (size, mtime_ns):
            return record
        return None

    def may_know(self, size: int, recipe: str) -> bool:
        """Tell whether a photo of this size was cropped, so that its hash is worth computing."""
        return (size, recipe) in self._sizes

    def find_content(self, sha256: str, recipe: str) -> CropRecord | None:
        """Return the record of a photo of the same content, whatever its name was."""
        return self._by_content.get((sha256, recipe))

    def add(self, record: CropRecord) -> None:
        """Append a record; it survives a kill at once, a power cut after some seconds."""
        self._remember(record)
        self._file.write(json.dumps(asdict(record)).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Write everything to the disk."""
        if not self._file.closed:
            self._sync()
            self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _remember(self, record: CropRecord) -> None:
        self._by_place[record.set_name, record.source, record.recipe] = record
        if record.reason is None and record.sha256 is not None:
            self._by_content[record.sha256, record.recipe] = record
            self._sizes.add((record.size, record.recipe))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV text with a head."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return table.getvalue()


def read_manifest(path: Path) -> list[dict[str, str]]:
    """Return the rows of a manifest, or of ``left_out.csv``, as written."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _lock(file: BinaryIO) -> bool:
    """Keep other processes out until the file is closed; False if another one is in."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network drive without locks
        return True
    return True
