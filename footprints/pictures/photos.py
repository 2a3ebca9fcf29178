"""Photos on disk become upright RGB arrays, or a reason why not; the only place that decodes them.

Content decides the format, not the name. A picture is given whole or refused: damage to JPEG is
found as ``pictures.jpeg`` says, to PNG by its checksums. Other formats carry no such checks; of
them what their decoder notices is found, and PNG, GIF, AVIF and HEIF must go on to their end. RAW
photos are developed as ``pictures.raw`` says. Where another picture follows the first
(``pictures.picture_ends``), the first is used.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from footprints.pictures.finding import RAW_SUFFIXES, SUFFIXES_OF
from footprints.pictures.jpeg import decode_strictly
from footprints.pictures.opening import MAX_PIXELS, large_photos_allowed, open_head
from footprints.pictures.picture_ends import has_end, is_followed_by_another
from footprints.pictures.raw import ADVICE, can_develop, develop, is_raw

MIN_SIDE = 16  # pixels; anything smaller is an icon
_SMALL_SIDE = 64  # pixels; hardly enough for a print
MAX_BYTES = 2**30

_ORIENTATION_TAG = 0x0112
_TURN = {  # EXIF orientation -> what makes the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_HEIF = ("HEIF", "HEIC", "the package pillow-heif")  # Pillow's name, people's name, what reads it
_AVIF = ("AVIF", "AVIF", "a newer Pillow")
_BRANDS = {  # of files in boxes, as ISO/IEC 23008-12 and AVIF name them
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _HEIF),
    **dict.fromkeys((b"mif1", b"msf1"), _HEIF),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
}


class PhotoError(Exception):
    """A photo that cannot be used; ``reason`` is one short line for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class PhotoFacts:
    """What a file is, seen from its content.

    Attributes:
        format: Pillow's name of the format, None where the content is no picture.
        mode: Pillow's name of the pixel type as stored.
        width: Of the upright photo, in pixels; None if unknown, like ``height``.
        height: See ``width``.
        traits: What is unusual, in words: see ``TRAITS``.
        problem: Why the photo cannot be used, or None.
        sha256: Of the file's bytes; None where it could not be read.
    """

    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    traits: tuple[str, ...] = ()
    problem: str | None = None
    sha256: str | None = None


TRAITS = {
    "mislabelled": "the name promises another format",
    "rotated": "turned upright by its EXIF orientation",
    "damaged EXIF": "EXIF cannot be read; taken as upright",
    "CMYK": "colours for printing, converted",
    "palette": "at most 256 colours",
    "transparent": "laid over white",
    "16 bit": "reduced to 8 bit",
    "1 bit": "black and white only",
    "grey": "no colours",
    "several pictures": "the first is used",
    "joined": "another picture follows in the file, as if two were joined; the first is used",
    "small": "the shorter side has less than 64 pixels",
    "one colour": "nothing can be seen",
}


def load_photo(path: Path) -> np.ndarray:
    """Read a photo whole and turn it upright.

    CMYK is converted, transparency laid over white, 16 bit reduced to 8, grey repeated in three
    channels. Colour profiles are not applied.

    Returns:
        RGB as the viewer sees it, uint8, shape ``(height, width, 3)``.

    Raises:
        PhotoError: If the file is missing, unreadable, damaged, no photo, animated, smaller than
            ``MIN_SIDE`` on a side or larger than ``MAX_PIXELS``.
    """
    return decode_photo(read_file(path), Path(path).suffix)


def note_on(data: bytes, suffix: str = "") -> str | None:
    """Return what a user should know of a photo that ``decode_photo`` takes, or None."""
    if is_raw(data, suffix):
        return None
    return TRAITS["joined"] if is_followed_by_another(data, str(_open(data).format)) else None


def inspect_photo(path: Path) -> tuple[PhotoFacts, np.ndarray | None]:
    """Say what a photo is and whether ``load_photo`` takes it; nothing is raised.

    Returns:
        Its facts, and its pixels as of ``load_photo``; None if it has a problem.
    """
    try:
        data = read_file(path)
    except PhotoError as error:
        return PhotoFacts(problem=error.reason), None
    known: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest()}
    try:
        if is_raw(data, path.suffix):
            return _inspect_raw(data, path, known)
        image = _open(data)
        known.update(format=image.format, mode=image.mode)
        is_deep = image.mode.startswith("I") or ";16" in str(image.tile)  # gone after loading
        orientation, exif_is_damaged = _orientation(image)
        traits = _traits(image, path.suffix.lower(), is_deep)
        traits += ("rotated",) * (orientation != 1) + ("damaged EXIF",) * exif_is_damaged
        width, height = image.size  # as stored, until the photo is upright
        known.update(width=width, height=height, traits=traits)
        rgb = _decode(image, data)
        if is_followed_by_another(data, str(image.format)):
            known["traits"] += ("joined",)
    except PhotoError as error:
        return PhotoFacts(**known, problem=error.reason), None
    return _with_looks(known, rgb), rgb


def _inspect_raw(
    data: bytes, path: Path, known: dict[str, Any]
) -> tuple[PhotoFacts, np.ndarray | None]:
    known.update(format="RAW", mode="RGB")
    known["traits"] = ("mislabelled",) * (path.suffix.lower() not in RAW_SUFFIXES)
    rgb = _developed(data)
    return _with_looks(known, rgb), rgb


def _with_looks(known: dict[str, Any], rgb: np.ndarray) -> PhotoFacts:
    """Return the facts of a photo, with what its pixels tell."""
    height, width = rgb.shape[:2]
    traits = known["traits"]
    traits += ("small",) * (min(width, height) < _SMALL_SIDE)
    traits += ("one colour",) * (not _has_contrast(rgb))
    return PhotoFacts(**(known | {"width": width, "height": height, "traits": traits}))


def photo_from_array(rgb: np.ndarray) -> np.ndarray:
    """Check a photo that a Python program hands over.

    Args:
        rgb: Upright RGB, uint8, shape ``(height, width, 3)``.

    Returns:
        The same pixels, contiguous.

    Raises:
        TypeError: If it is no uint8 array.
        ValueError: If the shape is another, or a side is shorter than ``MIN_SIDE``.
    """
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8:
        kind = rgb.dtype if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise TypeError(f"a photo must be a uint8 array with values 0 to 255, not {kind}")
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"a photo must have the shape (height, width, 3), not {rgb.shape}")
    if min(rgb.shape[:2]) < MIN_SIDE:
        raise ValueError(f"a photo must have {MIN_SIDE} pixels a side or more, not {rgb.shape[:2]}")
    return np.ascontiguousarray(rgb)


def read_file(path: Path) -> bytes:
    """Return a photo's bytes.

    Raises:
        PhotoError: If there is no regular, readable, non-empty file of at most ``MAX_BYTES``, or
            it is a RAW photo by its name that cannot be used here.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError("a folder, not a photo")
        if not stat.S_ISREG(status.st_mode):  # a pipe would block for ever
            raise PhotoError("not a regular file")
        if status.st_size == 0:
            raise PhotoError("empty file")
        if Path(path).suffix.lower() in RAW_SUFFIXES and not can_develop():
            raise PhotoError(ADVICE)
        if status.st_size > MAX_BYTES:
            raise PhotoError(f"larger than {MAX_BYTES >> 30} GB")
        data = Path(path).read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            is_link = os.path.islink(path)
            raise PhotoError("link to nowhere" if is_link else "file not found") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PhotoError("no permission to read it") from None
        raise PhotoError(f"cannot be read: {error.strerror or error}") from None
    if not data:
        raise PhotoError("empty file")
    return data


def decode_photo(data: bytes, suffix: str = "") -> np.ndarray:
    """Decode the bytes of a photo; result and errors as of ``load_photo``.

    Args:
        data: The whole file.
        suffix: Of its name, which tells some RAW photos from TIFF.
    """
    return _developed(data) if is_raw(data, suffix) else _decode(_open(data), data)


def _developed(data: bytes) -> np.ndarray:
    """Return a RAW photo, upright."""
    if not can_develop():
        raise PhotoError(ADVICE)
    try:
        rgb = develop(data)
    except ValueError as error:
        raise PhotoError(str(error)) from None
    except MemoryError:
        raise PhotoError("not enough memory for this RAW photo") from None
    except Exception as error:  # decoders of foreign bytes raise almost anything
        raise PhotoError(f"damaged or cut short ({_one_line(error)})") from None
    if min(rgb.shape[:2]) < MIN_SIDE:
        raise PhotoError(f"tiny: {MIN_SIDE} pixels a side are needed")
    return np.ascontiguousarray(rgb)


def _open(data: bytes) -> Image.Image:
    """Read the header and refuse what need not be decoded to be refused."""
    if not any(data[:4096]):
        raise PhotoError("filled with zeros; copy it anew from the camera")
    try:
        image = open_head(data)
    except Exception as error:  # decoders of foreign bytes raise almost anything
        raise PhotoError(_reason_for_unknown(data, error)) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise PhotoError(f"{width} x {height} pixels are more than {MAX_PIXELS // 10**6} million")
    if min(width, height) < MIN_SIDE:
        raise PhotoError(f"tiny: {width} x {height} pixels, {MIN_SIDE} a side are needed")
    return image


def _decode(image: Image.Image, data: bytes) -> np.ndarray:
    try:
        _refuse_series(image)
        if image.format in ("JPEG", "MPO"):
            rgb = _decode_jpeg(image, data)
        else:
            if image.format == "PNG":
                with large_photos_allowed():
                    check = Image.open(io.BytesIO(data), formats=["PNG"])
                check.verify()  # the checksums of all chunks; the object is spent afterwards
            image.load()
            if not has_end(data, str(image.format)):
                raise PhotoError("cut short: the end of the file is missing")
            rgb = _upright(_to_rgb(image), _orientation(image)[0])
    except PhotoError:
        raise
    except MemoryError:
        raise PhotoError(f"not enough memory for {image.width} x {image.height} pixels") from None
    except Exception as error:  # decoders of foreign bytes raise almost anything
        raise PhotoError(f"damaged or cut short ({_one_line(error)})") from None
    return np.array(rgb, order="C") if isinstance(rgb, Image.Image) else rgb


def _decode_jpeg(image: Image.Image, data: bytes) -> Image.Image | np.ndarray:
    try:
        pixels = decode_strictly(data, "CMYK" if image.mode == "CMYK" else "RGB")
    except ValueError as error:
        raise PhotoError(f"damaged or cut short ({_one_line(error)})") from None
    orientation = _orientation(image)[0]
    if pixels is None or image.mode == "CMYK":
        image.load()
        return _upright(_to_rgb(image), orientation)
    return pixels if orientation == 1 else _upright(Image.fromarray(pixels), orientation)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded picture of any pixel type to 8 bit RGB."""
    mode = image.mode
    if mode.startswith("I"):
        return _from_integers(image)
    if mode == "F":
        raise PhotoError("pixels are floating-point numbers; save it as 8 bit")
    if mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG as Adobe's, which stores 255 for no ink
        image = ImageChops.invert(image)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")


def _from_integers(image: Image.Image) -> Image.Image:
    """Reduce grey of 16 bit to 8 by dropping the lower byte, as Pillow does for colours."""
    values = np.asarray(image)
    if values.dtype == np.int32 and (image.format != "PNG" or values.min() < 0):
        raise PhotoError("pixels are 32 bit integers; save it as 8 bit")
    if values.max() > 0xFFFF:
        raise PhotoError("pixels are 32 bit integers; save it as 8 bit")
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURN[orientation]) if orientation in _TURN else image


def _orientation(image: Image.Image) -> tuple[int, bool]:
    """Return the EXIF orientation and whether EXIF is there but damaged.

    Pillow turns TIFF itself while loading and then reports 1.
    """
    try:
        with large_photos_allowed():
            tags = image.getexif()
            value = tags.get(_ORIENTATION_TAG, 1)
    except Exception:  # decoders of foreign bytes raise almost anything
        return 1, True
    if value in range(1, 9):
        return int(value), not len(tags) and not _is_empty_exif(image.info.get("exif") or b"")
    return 1, value != 0


def _is_empty_exif(block: bytes) -> bool:
    """Tell whether an EXIF block holds nothing: no directory, or one without entries."""
    block = block.removeprefix(b"Exif\0\0")
    if not any(block):
        return True
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(block[:4])
    if order is None:
        return False
    start = int.from_bytes(block[4:8], order)
    return start == 0 or block[start : start + 2] == bytes(2)


def _refuse_series(image: Image.Image) -> None:
    """Refuse animations and documents of several pages; small previews are no pages."""
    if image.format in ("JPEG", "MPO", "HEIF") or not getattr(image, "is_animated", False):
        return
    if image.format != "TIFF":
        raise PhotoError("animated; save one picture of it as a photo")
    pages = 1
    for number in range(1, image.n_frames):
        image.seek(number)
        pages += not image.tag_v2.get(254, 0) & 1  # NewSubfileType: reduced resolution
    image.seek(0)
    if pages > 1:
        raise PhotoError(f"has {pages} pages; save each as a photo")


def _traits(image: Image.Image, suffix: str, is_deep: bool) -> tuple[str, ...]:
    is_true = {
        "mislabelled": suffix not in SUFFIXES_OF[image.format or "JPEG"],
        "CMYK": image.mode == "CMYK",
        "palette": image.mode in ("P", "PA"),
        "transparent": "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"),
        "16 bit": is_deep,
        "1 bit": image.mode == "1",
        "grey": image.mode in ("L", "LA") or image.mode.startswith("I"),
        "several pictures": image.format == "MPO"
        or (image.format == "HEIF" and getattr(image, "n_frames", 1) > 1),
    }
    return tuple(name for name, here in is_true.items() if here)


def _has_contrast(rgb: np.ndarray) -> bool:
    """Tell whether more than a few pixels differ from the rest (a black photo with a speck)."""
    thin = rgb[:: max(1, rgb.shape[0] // 64), :: max(1, rgb.shape[1] // 64)]
    return float(thin.std()) > 0.5


def _reason_for_unknown(data: bytes, error: Exception) -> str:
    """Say what a file that no decoder takes seems to be."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS // 10**6} million pixels"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        format_name, called, package = _BRANDS[data[8:12]]
        if format_name not in Image.OPEN:
            return f"{called} photo; save it as JPEG, or install {package}"
        return f"{called} photo, damaged or cut short"
    if data[4:8] == b"ftyp":
        return "a film, not a photo"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page under a photo's name; download the photo itself"
    if start.startswith((b"<?xml", b"<svg")):
        return "XML or a drawing, not a photo"
    if start.startswith(b"%pdf"):
        return "a PDF document, not a photo"
    if start.startswith((b"pk\x03\x04", b"\x1f\x8b", b"rar!", b"7z\xbc\xaf")):
        return "an archive, not a photo; unpack it first"
    if start.startswith((b"\xff\xd8\xff", b"\x89png", b"gif8", b"riff", b"ii*\0", b"mm\0*", b"bm")):
        return "damaged or cut short in its first part"
    if data[:512].isascii() and b"\0" not in data[:512]:
        return "text, not a photo"
    return "not a photo in a known format"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 100 else text[:97] + "..."
