"""Files that hold two pictures one after the other, and files that were cut."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from footprints.pictures.photos import PhotoError, decode_photo
from footprints.pictures.picture_ends import is_followed_by_another
from tests.helpers.photos import encoded, marker, noisy

KINDS = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
    "avif": ("AVIF", {}),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    """A format that this Pillow can write, with options."""
    name, options = request.param
    Image.init()
    if name not in Image.SAVE:
        pytest.skip(f"this Pillow has no {name}")
    return name, options


def test_only_another_picture_counts(kind) -> None:
    name, options = kind
    whole, second = encoded(noisy(), name, **options), encoded(marker(), name, **options)
    assert is_followed_by_another(whole + second, name)
    assert is_followed_by_another(whole + second[:40], name)
    for trailer in (b"", bytes(500), b"SEFT" + bytes(500), b"\0\0\0\x18ftypisom" + bytes(90)):
        assert not is_followed_by_another(whole + trailer, name)


def test_a_photo_of_two_lenses_and_a_preview_do_not_count() -> None:
    preview = io.BytesIO()
    Image.fromarray(noisy()).resize((32, 24)).save(preview, "JPEG")
    tags = b"Exif\0\0II*\0" + bytes(4) + preview.getvalue()
    assert not is_followed_by_another(encoded(noisy(), exif=tags), "JPEG")
    assert not is_followed_by_another(encoded(noisy()) + preview.getvalue(), "MPO")


def test_no_cut_file_passes_as_whole(kind) -> None:
    """Bytes that are missing at the end, few or many, are noticed in every format."""
    name, options = kind
    data = encoded(noisy(), name, **options)
    for missing in (1, 2, 3, 8, 40, 300, len(data) // 10, len(data) // 2):
        with pytest.raises(PhotoError, match="cut short"):
            decode_photo(data[:-missing])
