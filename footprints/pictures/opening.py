"""Open the head of a photo with those of Pillow's decoders that are let at foreign files."""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from footprints.pictures.finding import SUFFIXES_OF

MAX_PIXELS = 200_000_000  # as the largest phone cameras have
TIFF_STARTS = (b"II*\0", b"MM\0*")
_JPEG_HEAD = 2**18  # bytes; EXIF is in the first 64 KB or little later
_pillow_lock = threading.RLock()


def open_head(source: bytes | Path) -> Image.Image:
    """Open a photo without decoding its pixels.

    Raises:
        Exception: Of any kind, as decoders of foreign bytes do.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    with large_photos_allowed():
        return Image.open(file, formats=_formats())


@contextlib.contextmanager
def open_exif(source: bytes | Path) -> Iterator[Image.Exif]:
    """Open what a photo says of itself; what is damaged in it is not warned about.

    Kinds of TIFF, many RAW photos among them, are read without asking what their pixels are.

    Args:
        source: The photo's bytes, or its file, of which no more than needed is read.

    Raises:
        Exception: Of any kind, as decoders of foreign bytes do.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as whole:
        file, start = whole, whole.read(_JPEG_HEAD)  # outside of the lock: drives can be slow
        if start.startswith(b"\xff\xd8\xff"):
            file = io.BytesIO(start)
        file.seek(0)
        with large_photos_allowed():
            if start.startswith(TIFF_STARTS):
                exif = Image.Exif()
                exif.load_from_fp(file)
            else:
                exif = Image.open(file, formats=_formats()).getexif()
            yield exif


@contextlib.contextmanager
def large_photos_allowed() -> Iterator[None]:
    """Raise Pillow's own limit of size for a moment, and keep its warnings off the screen."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PIXELS
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@functools.lru_cache(maxsize=1)
def _formats() -> list[str]:
    """Return the formats that this Pillow reads; others, some of which run programs, stay shut."""
    Image.init()
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return [name for name in SUFFIXES_OF if name in Image.OPEN]
