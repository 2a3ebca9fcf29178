"""When and where a photo was taken; EXIF is written by Pillow."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from footprints.pictures.photo_exif import exif_for_copy, taken_of
from footprints.places.taken import TAKEN_COLUMNS, Taken
from tests.helpers.field_photos import SECRETS, field_exif
from tests.helpers.photos import encoded, marker, noisy


def taken(**changes) -> Taken:
    return taken_of(encoded(marker(), exif=field_exif(**changes)))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_time_place_and_camera(format_name, tmp_path) -> None:
    path = tmp_path / "photo"
    exif: Image.Exif | bytes = field_exif().tobytes()
    if format_name == "TIFF":
        exif = Image.Exif()
        exif.load(field_exif().tobytes())  # Pillow's writer of TIFF wants one that was read
    path.write_bytes(encoded(marker(), format_name, exif=exif))
    expected = Taken("2026-03-01T07:15:00+01:00", 47.2345, -8.5, 512.5, "Canon EOS R7")
    assert taken_of(path) == taken_of(path.read_bytes()) == expected


@pytest.mark.parametrize(
    ("zone", "ending"),
    [
        pytest.param("-03:30", "-03:30", id="west"),
        pytest.param("Z", "+00:00", id="utc"),
        pytest.param(None, "", id="not-said"),
        pytest.param("   :  ", "", id="blank"),
        pytest.param("+25:00", "", id="impossible"),
    ],
)
def test_zone_is_said_or_left_open(zone, ending) -> None:
    assert taken(zone=zone).taken_at == f"2026-03-01T07:15:00{ending}"


@pytest.mark.parametrize("time", [None, "0000:00:00 00:00:00", "2026:02:30 07:00:00", "    ", "x"])
def test_time_that_is_not_there_is_not_made_up(time) -> None:
    """The time of the last change, which the file has, is not when it was taken."""
    assert taken(time=time).taken_at is None


@pytest.mark.parametrize(
    ("place", "altitude_m"),
    [
        pytest.param((-33.8568, 151.2153), -3.0, id="south-east-below-the-sea"),
        pytest.param((64.1265, -21.8174), 12.25, id="north-west"),
        pytest.param((0.5, 0.0), None, id="on-the-prime-meridian"),
        pytest.param((-16.8, 180.0), None, id="date-line"),
    ],
)
def test_signs_of_a_place(place, altitude_m) -> None:
    found = taken(place=place, altitude_m=altitude_m)
    assert (found.latitude, found.longitude) == pytest.approx(place, abs=1e-6)
    assert found.altitude_m == altitude_m


@pytest.mark.parametrize(
    "gps",
    [
        pytest.param({}, id="none"),
        pytest.param({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, id="no-satellites"),
        pytest.param({2: (47.0, 1.0, 2.0), 4: (8.0, 1.0, 2.0)}, id="without-sides"),
        pytest.param({1: "N", 2: (47.0, 1.0, 2.0)}, id="latitude-alone"),
        pytest.param({1: "N", 2: (147.0, 1.0, 2.0), 3: "E", 4: (8.0, 1.0, 2.0)}, id="beyond"),
    ],
)
def test_place_that_is_not_there_is_not_made_up(gps) -> None:
    exif = field_exif(place=None)
    exif[0x8825] = gps
    found = taken_of(encoded(marker(), exif=exif))
    assert not found.has_place
    assert found.taken_at is not None


@pytest.mark.parametrize(
    ("camera", "name"),
    [
        (("Apple", "iPhone 15"), "Apple iPhone 15"),
        (("NIKON CORPORATION", "NIKON D850"), "NIKON D850"),
        (("RECONYX\0\0", "HC600 HYPERFIRE"), "RECONYX HC600 HYPERFIRE"),
        (("", ""), None),
    ],
)
def test_camera(camera, name) -> None:
    assert taken(camera=camera).camera == name


def test_cells_are_those_of_the_columns() -> None:
    cells = dict(zip(TAKEN_COLUMNS, taken(altitude_m=None).cells(), strict=True))
    assert cells["altitude_m"] == ""
    assert cells["longitude"] == -8.5


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe1\x00\x20Exif\0\0II*\0\xff\xff", b"text"])
def test_what_cannot_be_read_says_nothing(data) -> None:
    assert taken_of(data) == Taken()
    assert exif_for_copy(data, with_place=True) == b""


@pytest.mark.parametrize("read", [taken_of, lambda data: exif_for_copy(data, with_place=True)])
def test_damaged_exif_is_read_as_far_as_it_goes_and_quietly(read, recwarn) -> None:
    data = encoded(marker(), exif=field_exif())
    at = data.index(b"Canon EOS R7")
    for position in range(30, at, 7):
        read(data[:position] + b"\xff\xff\xff" + data[position + 3 :])
    assert not recwarn.list


def test_only_the_head_of_a_jpeg_is_needed(tmp_path) -> None:
    data = encoded(noisy(2000, 1500), exif=field_exif(), quality=97)
    assert len(data) > 2**19
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert taken_of(path) == taken_of(data)
    assert taken_of(path).has_place


# --- copies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_place", [True, False])
def test_copy_keeps_time_and_camera_and_no_secrets(with_place) -> None:
    original = encoded(marker(), exif=field_exif(orientation=6))
    assert all(secret in original for secret in SECRETS)
    copy = encoded(marker(), exif=exif_for_copy(original, with_place=with_place))
    assert not any(secret in copy for secret in SECRETS)
    read = Image.open(io.BytesIO(copy)).getexif()
    assert (read[0x0110], read.get(0x0112, 1)) == ("Canon EOS R7", 1)
    inside = read.get_ifd(0x8769)
    assert (inside[0x9003], inside[0x9011]) == ("2026:03:01 07:15:00", "+01:00")
    place = read.get_ifd(0x8825)
    assert bool(place) == (0x8825 in read) == with_place
    assert taken_of(copy).has_place == with_place
    if with_place:
        assert (place[1], place[3]) == ("N", "W")
        assert taken_of(copy) == taken_of(original)
