"""What recorders write into files; GUANO as its reference implementation writes it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import guano
import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.metadata.wav_metadata import (
    AUDIOMOTH,
    BEXT,
    GUANO,
    INFO,
    WAMD,
    FileMetadata,
    read_metadata,
)
from tests.helpers import recorders

EVENING = datetime(2020, 12, 14, 19, 22, 55)


def at(hours: float) -> timezone:
    return timezone(timedelta(hours=hours))


@pytest.mark.parametrize("zone", [None, at(-5), at(5.5), timezone.utc])
def test_guano_of_the_reference_implementation(tmp_path, zone):
    path = recorders.wav(tmp_path / "a.wav")
    file = guano.GuanoFile(str(path))
    file["Timestamp"] = EVENING.replace(tzinfo=zone)
    file["Loc Position"] = (32.1878, -86.1057)
    file["Serial"] = "SMU00001"
    file.write(make_backup=False)
    found = read_metadata(path)
    assert found == FileMetadata(
        ((GUANO, EVENING.replace(tzinfo=zone)),), "SMU00001", 32.1878, -86.1057
    )


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        *(("UTC", at(0)), ("UTC-5", at(-5)), ("UTC+5:30", at(5.5)), ("UTC+0130", at(1.5))),
    ],
)
def test_comment_of_an_audiomoth(tmp_path, zone, offset):
    comment = recorders.AUDIOMOTH.format(zone=zone)
    path = recorders.wav(tmp_path / "a.wav", recorders.info(ICMT=comment, IART="AudioMoth"))
    expected = ((AUDIOMOTH, EVENING.replace(tzinfo=offset)),)
    assert read_metadata(path) == FileMetadata(expected, "24F319055FDF2F5B")


def test_comments_of_other_firmware(tmp_path):
    first = "Recorded at 19:22:55 14/12/2020 by AudioMoth 0123456789ABCDEF at gain setting 2"
    new = "Recorded at 19:22:55.500 14/12/2020 (UTC) during deployment 1122334455667788 at"
    for name, comment, expected in (
        ("first", first, EVENING),
        ("new", new, EVENING.replace(microsecond=500_000, tzinfo=timezone.utc)),
    ):
        artist = "AudioMoth 0123456789ABCDEF"
        path = tmp_path / f"{name}.wav"
        recorders.wav(path, recorders.info(ICMT=comment, IART=artist))
        assert read_metadata(path).times == ((AUDIOMOTH, expected),)
        assert read_metadata(path).device == "0123456789ABCDEF"


def test_comment_survives_a_conversion_to_flac(tmp_path):
    path = tmp_path / "a.flac"
    with sf.SoundFile(path, "w", 8000, 1) as file:
        file.comment = recorders.AUDIOMOTH.format(zone="UTC")
        file.write(np.zeros(8000))
    assert read_metadata(path).times == ((AUDIOMOTH, EVENING.replace(tzinfo=timezone.utc)),)


@pytest.mark.parametrize(
    ("gps", "place"),
    [
        ("WGS84, 43.5, N, 78.25, W, 200", (43.5, -78.25)),
        ("WGS84, 43.5, S, 78.25, E", (-43.5, 78.25)),
        ("WGS84,-43.5,-78.25,12", (-43.5, -78.25)),
        ("WGS84, 0.0, N, 0.0, W", (None, None)),  # no fix
        ("WGS84, x, N", (None, None)),
    ],
)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-12-14 19:22:55-05:00", EVENING.replace(tzinfo=at(-5))),
        ("2020-12-14 19:22:55.000", EVENING),
        ("2020-12-14 19:22:55", EVENING),
    ],
)
def test_song_meter(tmp_path, gps, place, text, expected):
    chunk = recorders.wamd(f1="SM4BAT", f2="S4U00001", f5=text, f6=gps)
    path = recorders.wav(tmp_path / "a.wav", after=chunk)
    assert read_metadata(path) == FileMetadata(((WAMD, expected),), "S4U00001", *place)


@pytest.mark.parametrize(
    ("date", "clock"), [("2020-12-14", "19:22:55"), ("2020:12:14", "19-22-55")]
)
def test_broadcast_wave(tmp_path, date, clock):
    path = recorders.wav(tmp_path / "a.wav", recorders.bext(date, clock))
    assert read_metadata(path).times == ((BEXT, EVENING),)


def test_creation_date_counts_only_with_a_time(tmp_path):
    for name, text, expected in (
        ("a", "2020-12-14", ()),
        ("b", "2020-12-14T19:22:55Z", ((INFO, EVENING.replace(tzinfo=timezone.utc)),)),
        ("c", "1970-01-01 00:00:00", ()),  # a clock that was never set
    ):
        path = recorders.wav(tmp_path / f"{name}.wav", recorders.info(ICRD=text))
        assert read_metadata(path).times == expected


def test_the_most_trusted_comes_first_wherever_it_lies(tmp_path):
    text = b"GUANO|Version: 1.0\nTimestamp: 2020-12-14T19:22:55+01:00\n"
    chunks = (
        recorders.bext("2020-12-14", "19:22:56"),
        recorders.wamd(f5="2020-12-14 19:22:55"),
        recorders.info(ICMT=recorders.AUDIOMOTH.format(zone="UTC")),
    )
    path = recorders.wav(tmp_path / "a.wav", *chunks, after=recorders.chunk(b"guan", text))
    assert [source for source, _ in read_metadata(path).times] == [GUANO, AUDIOMOTH, WAMD, BEXT]


def test_unfinished_header_and_no_sound_file(tmp_path):
    path = recorders.wav(tmp_path / "a.wav", recorders.bext("2020-12-14", "19:22:55"))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"data") + 4] + b"\xff\xff\xff\xff" + b"\0" * 99)
    assert read_metadata(path).times == ((BEXT, EVENING),)
    for name in ("b.wav", "b.flac", "b.mp3"):
        (tmp_path / name).write_bytes(b"no sound")
        assert read_metadata(tmp_path / name) == FileMetadata()
    assert read_metadata(tmp_path) == read_metadata(tmp_path / "absent.wav") == FileMetadata()


@given(
    st.binary(max_size=200), st.sampled_from([b"guan", b"wamd", b"bext", b"LIST"]), st.booleans()
)
def test_no_bytes_stop_it(tmp_path_factory, content, name, is_list):
    path = tmp_path_factory.getbasetemp() / "hostile.wav"
    recorders.wav(path, recorders.chunk(name, b"INFO" * is_list + content))
    assert isinstance(read_metadata(path), FileMetadata)
