"""What prepare notes down of each crop that it made, a line at a time, so that it can go on."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from footprints.preparation.crop_store import crop_key, crop_name
from footprints.system.typed import as_flag, as_number, as_numbers, as_text, as_whole, json_object

_SYNC_SECONDS = 5.0
_MOST_PIXELS = 10**9  # a side


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


def record_of(line: str | bytes) -> CropRecord:
    """Read a line of the journal.

    Raises:
        ValueError: If it is no record of a crop that could be.
    """
    entry = json_object(line)
    if not entry.keys() <= {one.name for one in fields(CropRecord)}:
        raise ValueError("has keys that no record has")
    get = entry.get
    known = CropRecord(
        set_name=as_text(get("set_name"), "oat|real"),
        source=as_text(get("source")),
        size=as_whole(get("size"), 0),
        mtime_ns=as_whole(get("mtime_ns")),
        recipe=as_text(get("recipe"), _hexadecimal(16)),
        reason=None if get("reason") is None else as_text(get("reason")),
    )
    if known.reason is not None:
        return known
    sha256 = as_text(get("sha256"), _hexadecimal(64))
    if get("key") != crop_key(sha256, known.recipe):
        raise ValueError("the key is not that of such a crop")
    confidence = get("confidence")
    box = as_numbers(get("box_xyxy"), 4, -_MOST_PIXELS, _MOST_PIXELS)
    return replace(
        known,
        sha256=sha256,
        phash=as_text(get("phash"), _hexadecimal(16)),
        key=get("key"),
        crop_bytes=as_whole(get("crop_bytes"), 1),
        box_xyxy=(box[0], box[1], box[2], box[3]),
        confidence=None if confidence is None else as_number(confidence, 0, 1),
        fallback=as_flag(get("fallback", False)),
        width=as_whole(get("width"), 1, _MOST_PIXELS),
        height=as_whole(get("height"), 1, _MOST_PIXELS),
    )


def _hexadecimal(digits: int) -> str:
    return f"[0-9a-f]{{{digits}}}"


def picture_sizes(path: Path) -> dict[str, set[int]]:
    """Return what sizes pictures were made with, in bytes, by the names of their files.

    A photo's pictures of all scales have one name.

    Args:
        path: Of a journal; there need not be one.
    """
    by_photo, photo_of = defaultdict(set), {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                record = record_of(line)
                if record.key is not None:
                    photo = record.set_name, record.source
                    by_photo[photo].add(record.crop_bytes)
                    photo_of[crop_name(record.source, record.key)] = photo
    return {name: by_photo[photo] for name, photo in photo_of.items()}


def photo_hashes(path: Path) -> dict[str, str]:
    """Return the perceptual hashes of photos by the SHA-256 of their bytes.

    Args:
        path: Of a journal; there need not be one.
    """
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                record = record_of(line)
                if record.sha256 is not None and record.phash is not None:
                    found[record.sha256] = record.phash
    return found


class Journal:
    """All crops that were ever made in a folder; one JSON object a line, only appended to.

    A line that was cut off by a kill or a power cut, or that says what cannot be, is passed over,
    and its crop is made again. To be used by one process at a time.

    Args:
        path: Of the journal.
        also: Journals that are only read, which others may write to.
    """

    def __init__(self, path: Path, also: Iterable[Path] = ()) -> None:
        self._by_place: dict[tuple[str, str, str], CropRecord] = {}
        self._by_content: dict[tuple[str, str], CropRecord] = {}
        self._sizes: set[tuple[int, str]] = set()
        for other in also:
            self._read(other.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b")  # noqa: SIM115 - closed by close()
        self._file.seek(0)
        content = self._file.read()
        self._read(content)
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

    def _read(self, content: bytes) -> None:
        for line in content.splitlines():
            with contextlib.suppress(ValueError):
                self._remember(record_of(line))

    def _remember(self, record: CropRecord) -> None:
        self._by_place[record.set_name, record.source, record.recipe] = record
        if record.reason is None and record.sha256 is not None:
            self._by_content[record.sha256, record.recipe] = record
            self._sizes.add((record.size, record.recipe))
