"""RAW photos: developed where rawpy is installed, else one line that says what to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footprints.pictures import photos
from footprints.pictures.photo_exif import taken_of
from footprints.pictures.photos import PhotoError, inspect_photo, load_photo, note_on
from footprints.pictures.raw import is_raw
from tests.helpers.dng import dng
from tests.helpers.photos import HEIGHT, WIDTH, encoded, marker, shows_marker, turned

needs_rawpy = pytest.mark.skipif(
    importlib.util.find_spec("rawpy") is None, reason="rawpy, which is an extra, is not here"
)


def write(path: Path, orientation: int = 1) -> Path:
    path.write_bytes(dng(np.asarray(turned(orientation)), orientation))
    return path


@needs_rawpy
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_developed_upright_with_its_colours(orientation: int, tmp_path: Path) -> None:
    path = write(tmp_path / "IMG_1.DNG", orientation)
    rgb = load_photo(path)
    assert (rgb.dtype, rgb.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
    assert shows_marker(rgb, tolerance=45), "brightness and white balance are the developer's"
    facts = inspect_photo(path)[0]
    assert (facts.format, facts.problem, facts.traits) == ("RAW", None, ())
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)
    assert note_on(path.read_bytes(), ".dng") is None
    assert taken_of(path).camera == "Drawn One"


@needs_rawpy
def test_content_counts_more_than_the_name(tmp_path: Path) -> None:
    assert inspect_photo(write(tmp_path / "a.tif"))[0].traits == ("mislabelled",)
    (tmp_path / "b.nef").write_bytes(encoded(marker()))
    assert shows_marker(load_photo(tmp_path / "b.nef"))
    plain = encoded(Image.fromarray(marker()), "TIFF")
    assert not is_raw(plain, ".tif")
    assert is_raw(plain, ".pef"), "of which Pillow would show the stamp-sized preview"


@needs_rawpy
@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
def test_cut_short(part: float, tmp_path: Path) -> None:
    data = dng(marker())
    (tmp_path / "cut.dng").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(PhotoError, match="cut short"):
        load_photo(tmp_path / "cut.dng")


def test_without_rawpy_it_is_said_what_to_do(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(photos, "can_develop", lambda: False)
    for name in ("a.dng", "b.tif"):
        with pytest.raises(PhotoError, match=r"save it as JPEG.*or install the package rawpy"):
            load_photo(write(tmp_path / name))
