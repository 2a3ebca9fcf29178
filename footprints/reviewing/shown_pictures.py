"""Photos, or parts of them, as JPEG of the size that a page shows; kept for a while."""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from footprints.pictures.crops import square_box
from footprints.pictures.opening import MAX_PIXELS, large_photos_allowed, open_head
from footprints.pictures.photos import PhotoError, load_photo, read_file
from footprints.reviewing.project import Box
from footprints.reviewing.request_parts import NotThereError
from footprints.system.progress import available_cores

LARGEST_SIDE = 4096  # pixels
_QUALITY = 88
_KEPT_BYTES = 128 * 2**20
_KEPT_PHOTO_PIXELS = 30_000_000  # of decoded ones that are kept, all together
_JPEG_START = b"\xff\xd8\xff"


class ShownPictures:
    """Makes pictures for a page; several threads may ask at once.

    Args:
        margin: Surroundings of a crop on each side, as a part of the box's longer side.
        least_side: Of a crop, pixels of the photo.
    """

    def __init__(self, margin: float, least_side: int) -> None:
        self._margin, self._least_side = margin, least_side
        self._made = _Kept(_KEPT_BYTES, len)
        self._decoded = _Kept(_KEPT_PHOTO_PIXELS, lambda photo: photo.width * photo.height)
        # More at once would only take memory.
        self._turns = threading.BoundedSemaphore(max(2, available_cores()))

    def photo(self, path: Path, side: int) -> bytes:
        """Return a photo, upright.

        Args:
            path: The file, of any kind that ``load_photo`` reads.
            side: Length of its longer side, pixels; small photos are not made larger.

        Raises:
            NotThereError: If it cannot be read; one line says why.
        """
        return self._kept(("photo", path, side), lambda: _fitted(self._upright(path, side), side))

    def crop(self, path: Path, box: Box, side: int) -> bytes:
        """Return what the classifier sees of a box: a square with some surroundings.

        Args:
            path: The photo.
            box: Parts of the upright photo.
            side: Of the picture, pixels.

        Raises:
            NotThereError: If the photo cannot be read, or the box is empty in it.
        """

        def make() -> Image.Image:
            share = max(box[2] - box[0], box[3] - box[1]) * (1 + 2 * self._margin)
            photo = self._upright(path, math.ceil(side / max(share, 0.02)))
            return self._cut(photo, box, side)

        return self._kept(("crop", path, box, side), make)

    def _cut(self, photo: Image.Image, box: Box, side: int) -> Image.Image:
        width, height = photo.size
        edges = tuple(part * length for part, length in zip(box, (width, height) * 2, strict=True))
        least = min(self._least_side, *photo.size)
        try:
            square = square_box(edges, (height, width), self._margin, least)
        except ValueError as error:
            raise NotThereError(str(error)) from None
        inside = photo.crop(tuple(map(int, square)))  # black where it sticks out
        return inside.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)

    def _kept(self, key: tuple, make: Callable[[], Image.Image]) -> bytes:
        content = self._made.get(key)
        if content is None:
            with self._turns:
                content = self._made.get(key) or _jpeg(make())
            self._made.put(key, content)
        return content

    def _upright(self, path: Path, side: int) -> Image.Image:
        """Return a photo with a longer side of at least so many pixels, if it has so many."""
        kept = self._decoded.get(path)
        if kept is not None and (max(kept.size) >= side or kept.info.get("is_whole")):
            return kept
        try:
            data = read_file(path)
            photo = _drafted(data, side) if data.startswith(_JPEG_START) else None
            if photo is None:
                photo = Image.fromarray(load_photo(path))
                photo.info["is_whole"] = True
        except PhotoError as error:
            raise NotThereError(f"this photo cannot be shown: {error.reason}") from None
        self._decoded.put(path, photo)
        return photo


def _drafted(data: bytes, side: int) -> Image.Image | None:
    """Decode a JPEG at a half, quarter or eighth of its size, which takes a fraction of the time.

    Returns:
        None if it is of an unusual kind or damaged, of which ``load_photo`` knows more.
    """
    try:
        photo = open_head(data)
        if photo.mode not in ("RGB", "L") or photo.width * photo.height > MAX_PIXELS:
            return None
        whole = photo.size
        scale = max(1, max(whole) // max(side, 1))
        photo.draft("RGB", (max(1, whole[0] // scale), max(1, whole[1] // scale)))
        photo.load()
        with large_photos_allowed():
            upright = ImageOps.exif_transpose(photo).convert("RGB")
    except Exception:  # decoders of foreign bytes raise almost anything
        return None
    upright.info = {"is_whole": photo.size == whole}
    return upright


def _fitted(photo: Image.Image, side: int) -> Image.Image:
    scale = side / max(photo.size)
    if scale >= 1:
        return photo
    size = tuple(max(1, round(length * scale)) for length in photo.size)
    return photo.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    # A copy without what the photo says of itself: its place is not told to a browser's cache.
    Image.fromarray(np.asarray(picture)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


class _Kept:
    """Keeps the latest things up to a size."""

    def __init__(self, most: int, size_of: Callable) -> None:
        self._most, self._size_of = most, size_of
        self._things: OrderedDict = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> object | None:
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
            return self._things.get(key)

    def put(self, key: object, thing: object) -> None:
        with self._lock:
            before = self._things.pop(key, None)
            self._size -= 0 if before is None else self._size_of(before)
            self._things[key] = thing
            self._size += self._size_of(thing)
            while self._size > self._most and len(self._things) > 1:
                self._size -= self._size_of(self._things.popitem(last=False)[1])
