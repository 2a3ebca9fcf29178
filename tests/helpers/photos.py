"""Photos of all kinds, sound, odd and broken, made by code.

The sound ones all show ``marker()``: four coloured quarters, so that colours and orientation can
be checked.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageChops

pillow_heif.register_heif_opener()  # for writing

HEIGHT, WIDTH = 96, 128
QUARTERS = {  # (row, column) of the quarter -> RGB
    (0, 0): (200, 40, 40),
    (0, 1): (40, 180, 60),
    (1, 0): (50, 60, 200),
    (1, 1): (230, 220, 160),
}


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: Of the file, bytes or text.
        write: Writes it at a path.
        reason: Pattern of why it is refused; None if it is sound.
        traits: Which ``photos.TRAITS`` a sound one has.
        grey: Whether it shows the marker without its colours.
        tolerance: Of the colours.
    """

    name: str
    write: Callable[[Path], object]
    reason: str | None = None
    traits: tuple[str, ...] = ()
    grey: bool = False
    tolerance: int = 12


def marker(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return the upright picture, uint8 RGB ``(height, width, 3)``, with a little grain."""
    rgb = np.empty((height, width, 3))
    for (row, column), colour in QUARTERS.items():
        rows = slice(row * height // 2, (row + 1) * height // 2)
        rgb[rows, column * width // 2 : (column + 1) * width // 2] = colour
    grain = np.random.default_rng(5).normal(0, 3, (height, width, 1))
    return (rgb + grain).clip(0, 255).astype(np.uint8)


def shows_marker(rgb: np.ndarray, tolerance: int = 12, grey: bool = False) -> bool:
    """Tell whether the middles of the four quarters have their colours."""
    height, width = rgb.shape[:2]
    for (row, column), colour in QUARTERS.items():
        top, left = (1 + 4 * row) * height // 8, (1 + 4 * column) * width // 8
        seen = rgb[top : top + height // 4, left : left + width // 4].mean(axis=(0, 1))
        wanted = np.array(colour, float)
        if grey:
            wanted = np.full(3, wanted @ [0.299, 0.587, 0.114])
        if np.abs(seen - wanted).max() > tolerance:
            return False
    return True


def encoded(picture: np.ndarray | Image.Image, format_name: str = "JPEG", **options) -> bytes:
    """Return a picture as the bytes of a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if format_name == "JPEG":
        options = {"quality": 92, **options}
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def noisy(height: int = 200, width: int = 300, seed: int = 0) -> np.ndarray:
    """Return a picture with much detail, whose file is long enough to be damaged in the middle."""
    rows, columns = np.mgrid[:height, :width]
    base = np.stack([columns * 0.8, rows * 1.2, (rows + columns) * 0.5], axis=-1)
    return (base + np.random.default_rng(seed).normal(0, 15, base.shape)).clip(0, 255).astype("u1")


def zeroed(data: bytes, start: float, length: int) -> bytes:
    """Overwrite ``length`` bytes with zeros, from a fraction of the file on."""
    position = int(len(data) * start)
    return data[:position] + bytes(length) + data[position + length :]


def turned(orientation: int) -> Image.Image:
    """Return the marker as a camera stores it under an EXIF orientation."""
    t = Image.Transpose
    back = {  # the inverse of what makes it upright
        2: t.FLIP_LEFT_RIGHT,
        3: t.ROTATE_180,
        4: t.FLIP_TOP_BOTTOM,
        5: t.TRANSPOSE,
        6: t.ROTATE_90,
        7: t.TRANSVERSE,
        8: t.ROTATE_270,
    }
    image = Image.fromarray(marker())
    return image.transpose(back[orientation]) if orientation in back else image


def exif(orientation: int) -> Image.Exif:
    """Return EXIF data with an orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header promises a size that its data do not hold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(300)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header promises another size."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def without_segment(jpeg: bytes, marker_byte: int) -> bytes:
    """Return a JPEG without one of its segments."""
    at = jpeg.index(bytes([0xFF, marker_byte]))
    length = struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
    return jpeg[:at] + jpeg[at + 2 + length :]


def _cmyk(inverted: bool) -> bytes:
    image = Image.fromarray(marker()).convert("CMYK")  # Pillow writes it as Adobe does, inverted
    if inverted:
        return encoded(image, quality=95)
    return without_segment(encoded(ImageChops.invert(image), quality=95), 0xEE)


def _with_alpha(mode: str) -> Image.Image:
    """Return a picture that shows the marker over white: black where it is transparent."""
    rgb = marker().astype(float)
    # colour over white at half opacity gives the marker where it is lighter than half
    light = np.dstack([2 * rgb - 255, np.full(rgb.shape[:2], 128.0)])
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255.0)])
    use_light = (rgb.min(axis=2) > 128)[..., None]
    rgba = np.where(use_light, light, opaque).clip(0, 255).astype(np.uint8)
    return Image.fromarray(rgba, "RGBA").convert(mode)


def _deep_png(rgb: np.ndarray) -> bytes:
    """Return a PNG of 16 bit a channel, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    height, width = rgb.shape[:2]
    deep = (rgb.astype(">u2") * 257).tobytes()
    row = width * 6
    lines = b"".join(b"\0" + deep[y * row : (y + 1) * row] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _grey16() -> Image.Image:
    grey = np.asarray(Image.fromarray(marker()).convert("L")).astype(np.uint16) * 257
    return Image.fromarray(grey)


def _frames() -> list[Image.Image]:
    return [Image.fromarray(np.roll(marker(), 20 * n, axis=1)) for n in range(3)]


def _series(format_name: str, **options) -> bytes:
    first, *more = _frames()
    return encoded(first, format_name, save_all=True, append_images=more, **options)


def _tiff_with_preview() -> bytes:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[254] = 1  # NewSubfileType: reduced resolution
    photo, preview = Image.fromarray(marker()), Image.fromarray(marker(24, 32))
    preview.encoderinfo = {"tiffinfo": tags}
    return encoded(photo, "TIFF", save_all=True, append_images=[preview])


def _broken_exif(kind: str) -> bytes:
    content = {
        "cut": b"Exif\0\0II*\0\x08\0\0\0\x30\0\x12\x01",
        "offset": b"Exif\0\0MM\0*\xff\xff\xff\xf0" + bytes(20),
        "noise": b"Exif\0\0" + bytes(range(7, 107)),
        "orientation": exif(99).tobytes(),
        "empty": Image.Exif().tobytes(),
        "no directory": b"Exif\0\0II*\0\0\0\0\0",
    }[kind]
    return encoded(marker(), exif=content)


def _joined(format_name: str) -> bytes:
    return encoded(marker(), format_name) + encoded(noisy(), format_name)


def _of_phone(name: str, orientation: int = 1) -> bytes:
    """Return a photo as phones write it: turned in the boxes of the file, as EXIF says too."""
    format_name = "AVIF" if name == "AVIF" else "HEIF"
    return encoded(turned(orientation), format_name, quality=95, exif=exif(orientation).tobytes())


def _burst() -> bytes:
    """Return a HEIC file of two pictures, of which the second is the one to be shown."""
    file = pillow_heif.HeifFile()
    for picture in (np.zeros_like(marker()), marker()):
        file.add_from_pillow(Image.fromarray(picture))
    buffer = io.BytesIO()
    file.save(buffer, quality=95, primary_index=1)
    return buffer.getvalue()


def _bytes(data: Callable[[], bytes] | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data() if callable(data) else data)


def _no_permission(path: Path) -> None:
    path.write_bytes(encoded(marker()))
    path.chmod(0)


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", encoded(marker()))
    return buffer.getvalue()


_JPEG = encoded(noisy(), quality=90)
_PNG = encoded(noisy(), "PNG")
_ALPHA = ("transparent",)

SOUND = (
    Kind("plain.jpg", _bytes(encoded(marker()))),
    Kind("upper case.JPG", _bytes(encoded(marker()))),
    Kind("progressive.jpg", _bytes(encoded(marker(), progressive=True))),
    Kind("optimised.jpg", _bytes(encoded(marker(), optimize=True))),
    Kind(
        "grey.jpg", _bytes(encoded(Image.fromarray(marker()).convert("L"))), None, ("grey",), True
    ),
    Kind("plain.png", _bytes(encoded(marker(), "PNG"))),
    Kind("plain.bmp", _bytes(encoded(marker(), "BMP"))),
    Kind("plain.webp", _bytes(encoded(marker(), "WEBP", lossless=True))),
    Kind("plain.tif", _bytes(encoded(marker(), "TIFF"))),
    Kind("lzw.tiff", _bytes(encoded(marker(), "TIFF", compression="tiff_lzw"))),
    Kind("still.gif", _bytes(encoded(marker(), "GIF")), None, ("palette",), tolerance=25),
    Kind("png named.jpg", _bytes(encoded(marker(), "PNG")), None, ("mislabelled",)),
    Kind("jpeg named.png", _bytes(encoded(marker())), None, ("mislabelled",)),
    Kind("adobe cmyk.jpg", _bytes(lambda: _cmyk(True)), None, ("CMYK",)),
    Kind("plain cmyk.jpg", _bytes(lambda: _cmyk(False)), None, ("CMYK",)),
    Kind(
        "cmyk.tif",
        _bytes(lambda: encoded(Image.fromarray(marker()).convert("CMYK"), "TIFF")),
        None,
        ("CMYK",),
    ),
    Kind(
        "palette.png",
        _bytes(lambda: encoded(Image.fromarray(marker()).quantize(64), "PNG")),
        None,
        ("palette",),
    ),
    Kind(
        "palette transparent.png",
        _bytes(lambda: encoded(_with_alpha("RGBA").quantize(128), "PNG")),
        None,
        ("palette", "transparent"),
        tolerance=25,
    ),
    Kind("rgba.png", _bytes(lambda: encoded(_with_alpha("RGBA"), "PNG")), None, _ALPHA),
    Kind(
        "rgba.webp",
        _bytes(lambda: encoded(_with_alpha("RGBA"), "WEBP", lossless=True)),
        None,
        _ALPHA,
    ),
    Kind(
        "la.png",
        _bytes(lambda: encoded(Image.fromarray(marker()).convert("LA"), "PNG")),
        None,
        ("transparent", "grey"),
        True,
    ),
    Kind(
        "one transparent colour.png",
        _bytes(lambda: encoded(Image.fromarray(marker()), "PNG", transparency=(1, 2, 3))),
        None,
        _ALPHA,
    ),
    Kind("16 bit.png", _bytes(lambda: _deep_png(marker())), None, ("16 bit",)),
    Kind(
        "16 bit grey.png", _bytes(lambda: encoded(_grey16(), "PNG")), None, ("16 bit", "grey"), True
    ),
    Kind(
        "16 bit grey.tif",
        _bytes(lambda: encoded(_grey16(), "TIFF")),
        None,
        ("16 bit", "grey"),
        True,
    ),
    Kind(
        "1 bit.png",
        _bytes(lambda: encoded(Image.fromarray(marker()).convert("1"), "PNG")),
        None,
        ("1 bit",),
        True,
        tolerance=25,
    ),
    *(
        Kind(
            f"orientation {n}.jpg",
            _bytes(lambda n=n: encoded(turned(n), exif=exif(n))),
            None,
            () if n == 1 else ("rotated",),
        )
        for n in range(1, 9)
    ),
    Kind(
        "orientation 6.png",
        _bytes(lambda: encoded(turned(6), "PNG", exif=exif(6))),
        None,
        ("rotated",),
    ),
    Kind(
        "orientation 8.webp",
        _bytes(lambda: encoded(turned(8), "WEBP", exif=exif(8), lossless=True)),
        None,
        ("rotated",),
    ),
    Kind(
        "orientation 5.tif",
        _bytes(lambda: encoded(turned(5), "TIFF", exif=exif(5))),
        None,
        ("rotated",),
    ),
    Kind("exif cut.jpg", _bytes(lambda: _broken_exif("cut")), None, ("damaged EXIF",)),
    Kind("exif offset.jpg", _bytes(lambda: _broken_exif("offset")), None, ("damaged EXIF",)),
    Kind("exif noise.jpg", _bytes(lambda: _broken_exif("noise")), None, ("damaged EXIF",)),
    Kind(
        "exif orientation 99.jpg",
        _bytes(lambda: _broken_exif("orientation")),
        None,
        ("damaged EXIF",),
    ),
    Kind("exif empty.jpg", _bytes(lambda: _broken_exif("empty"))),
    Kind("exif without directory.jpg", _bytes(lambda: _broken_exif("no directory"))),
    *(
        Kind(f"joined.{suffix}", _bytes(lambda n=name: _joined(n)), None, ("joined",))
        for suffix, name in (("jpg", "JPEG"), ("png", "PNG"), ("bmp", "BMP"), ("tif", "TIFF"))
    ),
    Kind("filling.jpg", _bytes(encoded(marker())[:-2] + bytes(9) + b"\xff\xd9")),
    Kind("trailer.jpg", _bytes(encoded(marker()) + b"SEFT" + bytes(500))),
    Kind("preview.tif", _bytes(_tiff_with_preview)),
    Kind("two lenses.jpg", _bytes(lambda: _series("MPO")), None, ("several pictures",)),
    *(
        Kind(f"{name} of a phone.{name.lower()}", _bytes(lambda n=name: _of_phone(n)))
        for name in ("HEIC", "HEIF", "HIF", "AVIF")
    ),
    *(  # the orientation stands in the file's boxes, and is undone by the decoder
        Kind(f"orientation {n}.heic", _bytes(lambda n=n: _of_phone("HEIC", n)))
        for n in (3, 5, 6, 8)
    ),
    Kind("orientation 6.avif", _bytes(lambda: _of_phone("AVIF", 6)), None, ("rotated",)),
    Kind("heic by its content.jpg", _bytes(lambda: _of_phone("HEIC")), None, ("mislabelled",)),
    Kind("burst.heic", _bytes(_burst), None, ("several pictures",)),
    Kind("motion.jpg", _bytes(encoded(marker()) + b"\0\0\0\x18ftypmp42" + bytes(500))),
    Kind("new\nline.jpg", _bytes(encoded(marker()))),
    Kind(os.fsdecode(b"caf\xe9 \xff.jpg"), _bytes(encoded(marker()))),
    Kind("empreinte d'été 🐾.jpg", _bytes(encoded(marker()))),
)

_HEIF = encoded(noisy(), "HEIF", quality=80)

BROKEN = (
    Kind("empty.jpg", _bytes(b""), "empty file"),
    Kind("cut.jpg", _bytes(_JPEG[: len(_JPEG) // 2]), "cut short"),
    Kind("cut but ended.jpg", _bytes(_JPEG[: len(_JPEG) // 2] + b"\xff\xd9"), "cut short"),
    Kind("head only.jpg", _bytes(_JPEG[:200]), "cut short"),
    Kind("first bytes only.jpg", _bytes(_JPEG[:3]), "cut short"),
    Kind(
        "progressive cut.jpg",
        _bytes(lambda: (data := encoded(noisy(), progressive=True))[: len(data) // 2]),
        "cut short",
    ),
    Kind("sector of zeros.jpg", _bytes(zeroed(_JPEG, 0.4, 512)), "damaged.*zeros"),
    Kind("second half zeros.jpg", _bytes(zeroed(_JPEG, 0.5, len(_JPEG) // 2)), "damaged"),
    Kind("all zeros.jpg", _bytes(bytes(5000)), "zeros"),
    Kind("random.jpg", _bytes(np.random.default_rng(1).bytes(5000)), "not a photo"),
    Kind("cut.png", _bytes(_PNG[: len(_PNG) // 2]), "cut short"),
    Kind("sector of zeros.png", _bytes(zeroed(_PNG, 0.4, 512)), "damaged"),
    Kind("cut.webp", _bytes(lambda: encoded(noisy(), "WEBP")[:2000]), "cut short"),
    Kind("cut.tif", _bytes(lambda: encoded(noisy(), "TIFF")[:-2000]), "cut short"),
    Kind("cut.bmp", _bytes(lambda: encoded(noisy(), "BMP")[:-2000]), "cut short"),
    Kind("cut.gif", _bytes(lambda: encoded(noisy(), "GIF")[:2000]), "cut short"),
    Kind("cut at its end.png", _bytes(_PNG[:-1]), "end of the file is missing"),
    Kind("cut at its end.gif", _bytes(lambda: encoded(noisy(), "GIF")[:-1]), "end of the file"),
    Kind("text.jpg", _bytes(b"Field notes: otter, left bank.\n"), "text"),
    Kind("page.jpg", _bytes(b"\n<!DOCTYPE html><html>404</html>"), "web page"),
    Kind("drawing.jpg", _bytes(b"<?xml version='1.0'?><svg/>"), "XML or a drawing"),
    Kind("document.jpg", _bytes(b"%PDF-1.4\n%\xe2\xe3"), "PDF"),
    Kind("archive.jpg", _bytes(_zip), "archive"),
    Kind("phone.heic", _bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99)), "HEIC"),
    Kind("cut.heic", _bytes(_HEIF[: len(_HEIF) // 2]), "damaged or cut short"),
    Kind("cut at its end.heic", _bytes(_HEIF[:-1]), "damaged or cut short"),
    Kind("cut heic.jpg", _bytes(_HEIF[:200]), "HEIC photo, damaged or cut short"),
    Kind("cut.avif", _bytes(lambda: encoded(noisy(), "AVIF")[:900]), "cut short"),
    Kind("film.jpg", _bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(99)), "film"),
    Kind("huge.png", _bytes(png_header(100_000, 100_000)), "million"),
    Kind("huge.jpg", _bytes(with_size(_JPEG, 65_000, 65_000)), "million"),
    Kind("promises too much.png", _bytes(png_header(4000, 3000)), "damaged or cut short"),
    Kind("promises too much.jpg", _bytes(with_size(_JPEG, 900, 900)), "cut short"),
    Kind("animated.gif", _bytes(lambda: _series("GIF")), "animated"),
    Kind("animated.webp", _bytes(lambda: _series("WEBP")), "animated"),
    Kind("animated.png", _bytes(lambda: _series("PNG")), "animated"),
    Kind("pages.tif", _bytes(lambda: _series("TIFF")), "3 pages"),
    Kind("tiny.png", _bytes(encoded(marker(8, 8), "PNG")), "tiny"),
    Kind("strip.png", _bytes(encoded(marker(15, 400), "PNG")), "tiny"),
    Kind(
        "floats.tif",
        _bytes(lambda: encoded(Image.fromarray(marker()[..., 0].astype("f4")), "TIFF")),
        "floating",
    ),
    Kind(
        "32 bit.tif",
        _bytes(lambda: encoded(Image.fromarray(marker()[..., 0].astype("i4") << 16), "TIFF")),
        "32 bit",
    ),
    Kind("link to nowhere.jpg", lambda path: path.symlink_to("gone.jpg"), "link to nowhere"),
    Kind("link to itself.jpg", lambda path: path.symlink_to(path.name), "link to nowhere"),
    Kind("pipe.jpg", lambda path: os.mkfifo(path), "not a regular file"),
)
NO_PERMISSION = Kind(
    "no permission.jpg", _no_permission, "no permission"
)  # root reads it all the same


def kind_id(kind: Kind) -> str:
    """Return a name for a test."""
    return kind.name.encode("ascii", "backslashreplace").decode().replace("\n", "-")
