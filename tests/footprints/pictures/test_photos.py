"""One way to decode a photo: whole, upright, RGB, or a reason."""

from __future__ import annotations

import io
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from footprints.pictures import opening
from footprints.pictures.finding import find_photos
from footprints.pictures.photos import (
    TRAITS,
    PhotoError,
    decode_photo,
    inspect_photo,
    load_photo,
    photo_from_array,
)
from tests.helpers.photos import (
    BROKEN,
    HEIGHT,
    NO_PERMISSION,
    SOUND,
    WIDTH,
    Kind,
    encoded,
    exif,
    kind_id,
    marker,
    noisy,
    shows_marker,
    turned,
    with_size,
    zeroed,
)


def test_corpus_is_large() -> None:
    assert len(BROKEN) >= 25
    assert len({kind.name for kind in (*SOUND, *BROKEN)}) == len(SOUND) + len(BROKEN)


@pytest.mark.parametrize("kind", SOUND, ids=kind_id)
def test_sound_photo_is_upright_with_its_colours(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    kind.write(path)
    rgb = load_photo(path)
    assert rgb.shape == (HEIGHT, WIDTH, 3)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert rgb.flags.writeable
    assert shows_marker(rgb, kind.tolerance, kind.grey)
    facts = inspect_photo(path)[0]
    assert facts.problem is None
    assert facts.traits == kind.traits
    assert (facts.height, facts.width) == (HEIGHT, WIDTH)
    assert len(facts.sha256) == 64


@pytest.mark.parametrize("kind", BROKEN, ids=kind_id)
def test_broken_photo_is_refused_with_a_reason(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    kind.write(path)
    with pytest.raises(PhotoError, match=kind.reason) as caught:
        load_photo(path)
    assert "\n" not in caught.value.reason
    assert len(caught.value.reason) < 150
    assert str(tmp_path) not in caught.value.reason
    assert inspect_photo(path)[0].problem == caught.value.reason


def test_photo_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NO_PERMISSION.name
    NO_PERMISSION.write(path)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(PhotoError, match=NO_PERMISSION.reason):
        load_photo(path)


@pytest.mark.parametrize(
    ("number", "reason"), [(13, "no permission"), (5, "cannot be read: Input/output error")]
)
def test_failing_disk(number: int, reason: str, tmp_path: Path, monkeypatch) -> None:
    def fail(_path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    (tmp_path / "a.jpg").write_bytes(encoded(marker()))
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(PhotoError, match=reason):
        load_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere.jpg", "not found"), ("folder.jpg", "a folder")]
)
def test_no_file(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(PhotoError, match=reason):
        load_photo(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(orientation: int) -> None:
    data = encoded(turned(orientation), exif=exif(orientation))
    reference = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode_photo(data), np.asarray(reference))


def test_jpeg_pixels_agree_with_pillow() -> None:
    data = encoded(noisy(), quality=80)
    np.testing.assert_array_equal(decode_photo(data), np.asarray(Image.open(io.BytesIO(data))))


def test_transparent_parts_are_white() -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[:20] = (200, 10, 10, 255)
    rgb = decode_photo(encoded(Image.fromarray(rgba, "RGBA"), "PNG"))
    assert (rgb[:20] == (200, 10, 10)).all()
    assert (rgb[20:] == 255).all()


def test_16_bit_grey_keeps_its_scale() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (32, 1))
    rgb = decode_photo(encoded(Image.fromarray(ramp), "PNG"))
    np.testing.assert_allclose(rgb[..., 1], ramp / 257, atol=1)


@pytest.mark.parametrize("length", [512, 4096])
def test_zeros_anywhere_in_a_jpeg_are_found(length: int) -> None:
    """Cameras write the standard's Huffman tables, in which such a stretch cannot be right."""
    data = encoded(noisy(), quality=90)
    start = data.index(b"\xff\xda") / len(data)
    for part in np.linspace(start + 0.02, 0.99 - length / len(data), 12):
        with pytest.raises(PhotoError, match="damaged"):
            decode_photo(zeroed(data, part, length))


@pytest.mark.parametrize("optimize", [False, True])
def test_flat_jpeg_is_no_damage(optimize: bool) -> None:
    """A blown-out sky is stored as a long stretch of zeros under optimised tables."""
    flat = np.full((1500, 2000, 3), 255, np.uint8)
    flat[-40:] = noisy(40, 2000)
    assert decode_photo(encoded(flat, optimize=optimize)).shape == flat.shape


def test_every_cut_of_a_jpeg_is_refused() -> None:
    """Never a picture that is grey from somewhere on."""
    data = encoded(noisy(60, 80))
    for length in range(1, len(data) - 2, 37):
        for ending in (b"", b"\xff\xd9"):
            with pytest.raises(PhotoError):
                decode_photo(data[:length] + ending)


def test_one_colour_and_small_are_noted(tmp_path: Path) -> None:
    (tmp_path / "black.png").write_bytes(encoded(np.zeros((99, 99, 3), np.uint8), "PNG"))
    (tmp_path / "small.png").write_bytes(encoded(marker(40, 60), "PNG"))
    assert inspect_photo(tmp_path / "black.png")[0].traits == ("one colour",)
    assert inspect_photo(tmp_path / "small.png")[0].traits == ("small",)
    assert {"small", "one colour"} <= set(TRAITS)


def test_find_photos_skips_hidden_and_keeps_the_order(tmp_path: Path) -> None:
    for name in ["b/2.jpg", "b/10.JPG", "a.png", "x.jpg/inner.webp", "notes.txt", "c/d/e.tiff"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in [".hidden.jpg", ".cache/1.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_photos(tmp_path)]
    assert found == ["a.png", "b/10.JPG", "b/2.jpg", "c/d/e.tiff", "gone.jpg", "x.jpg/inner.webp"]


def test_decoding_is_quiet_and_leaves_pillow_as_it_was(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in (*SOUND, *BROKEN):
            path = tmp_path / kind.name
            kind.write(path)
            inspect_photo(path)[0]
    assert limit == Image.MAX_IMAGE_PIXELS


def test_photo_larger_than_pillow_likes() -> None:
    """Pillow refuses from 179 million pixels on, we from 200: here only the data are missing."""
    with pytest.raises(PhotoError, match="cut short"):
        decode_photo(with_size(encoded(noisy()), 14_000, 13_500))
    with pytest.raises(PhotoError, match="million"):
        decode_photo(with_size(encoded(noisy()), 14_500, 14_000))


def test_threads_get_the_same_pixels() -> None:
    files = [encoded(noisy(seed=seed)) for seed in range(6)] * 4
    wanted = [decode_photo(data) for data in files]
    seen: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        seen[number] = decode_photo(files[number])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((seen[n] == wanted[n]).all() for n in range(len(files)))


def test_photo_from_array_takes_rgb_bytes() -> None:
    rgb = marker()
    assert (photo_from_array(rgb[:, ::-1]) == rgb[:, ::-1]).all()
    assert photo_from_array(rgb[:, ::-1]).flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "error", "match"),
    [
        (marker() / 255, TypeError, "0 to 255"),
        (marker()[..., 0], ValueError, "shape"),
        (np.zeros((50, 50, 4), np.uint8), ValueError, "shape"),
        (marker(8, 100), ValueError, "16 pixels"),
        ([[1]], TypeError, "uint8"),
    ],
    ids=["floats", "grey", "alpha", "tiny", "list"],
)
def test_photo_from_array_refuses(array: object, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        photo_from_array(array)


def test_heic_without_its_reader_is_refused_with_what_to_do(monkeypatch) -> None:
    data = encoded(marker(), "HEIF")
    monkeypatch.setattr(opening, "_formats", lambda: ["JPEG", "PNG"])
    monkeypatch.delitem(Image.OPEN, "HEIF")
    with pytest.raises(PhotoError, match=r"HEIC photo; save it as JPEG, or install .*pillow-heif"):
        decode_photo(data)
