"""Stretches of recordings as sound and pictures, held against soundfile, Pillow and arithmetic."""

from __future__ import annotations

import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from animal_spot.reviewing.sounds import OpenSounds, StretchError


@pytest.fixture
def sounds():
    opened = OpenSounds()
    yield opened
    opened.close()


@pytest.fixture
def chirp(tmp_path):
    """Quiet noise with a tone of 5 kHz from second 2 to 3, at 16 kHz."""
    time_s = np.arange(16_000 * 6) / 16_000
    samples = 0.001 * np.random.default_rng(0).standard_normal(len(time_s))
    inside = (time_s >= 2) & (time_s < 3)
    samples[inside] += 0.5 * np.sin(2 * np.pi * 5000 * time_s[inside])
    sf.write(tmp_path / "a.wav", samples, 16_000, subtype="PCM_16")
    return tmp_path / "a.wav"


def grey(picture):
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("L")).astype(int)


def test_sound_is_that_of_the_file(sounds, chirp):
    found, rate = sf.read(io.BytesIO(sounds.wav(chirp, 1.5, 2.5)), dtype="int16")
    whole, _ = sf.read(chirp, dtype="int16")
    assert rate == 16_000
    assert np.abs(found.astype(int) - whole[24_000:40_000]).max() <= 1, "rounding"


def test_edges_of_the_recording(sounds, chirp):
    assert len(sf.read(io.BytesIO(sounds.wav(chirp, -3, 1)))[0]) == 16_000
    assert len(sf.read(io.BytesIO(sounds.wav(chirp, 5, 99)))[0]) == 16_000
    with pytest.raises(StretchError, match=r"no sound there: the recording lasts 6.0 s"):
        sounds.wav(chirp, 7, 8)
    with pytest.raises(StretchError, match="must end after its begin"):
        sounds.wav(chirp, 2, 2)


@pytest.mark.parametrize(("speed", "rate"), [(0.5, 8000), (2.0, 32_000)])
def test_speed_changes_the_rate_alone(sounds, chirp, speed, rate):
    content = sounds.wav(chirp, 2, 3, speed)
    assert struct.unpack_from("<I", content, 24) == (rate,)
    assert len(content) == 44 + 32_000


def test_bats_at_a_twentieth_are_heard(sounds, tmp_path):
    """48 kHz at a rate of 256 kHz becomes 2.4 kHz; browsers play the rate of 12.8 kHz."""
    time_s = np.arange(25_600) / 256_000
    sf.write(tmp_path / "bat.wav", 0.5 * np.sin(2 * np.pi * 48_000 * time_s), 256_000)
    found, rate = sf.read(io.BytesIO(sounds.wav(tmp_path / "bat.wav", 0, 0.1, 0.05)))
    assert len(found) / rate == pytest.approx(2.0, rel=0.01)
    peak = np.argmax(np.abs(np.fft.rfft(found * np.hanning(len(found)))))
    assert peak * rate / len(found) == pytest.approx(2400, abs=5)


def test_rates_that_browsers_do_not_play(sounds, tmp_path):
    sf.write(tmp_path / "slow.wav", np.zeros(8000), 8000)
    assert sf.info(io.BytesIO(sounds.wav(tmp_path / "slow.wav", 0, 1, 0.05))).samplerate >= 3000


def test_picture_shows_the_tone_where_it_is(sounds, chirp):
    picture = sounds.picture(chirp, 1, 5, (400, 200))
    shade = grey(picture)
    assert shade.shape == (200, 400)
    row = np.flatnonzero(shade[:, 150] == shade.max()).mean()  # its middle: the tone is very loud
    assert 8000 * (1 - (row + 0.5) / 200) == pytest.approx(5000, abs=80)
    bright = np.flatnonzero(shade[round(row)] > 150)  # 100 columns a second
    assert bright[0] == pytest.approx(100, abs=3)
    assert bright[-1] == pytest.approx(199, abs=3)
    assert np.median(shade[:, 250:]) < 40, "noise is dark"


def test_picture_of_a_band_and_beyond_the_edges(sounds, chirp):
    shade = grey(sounds.picture(chirp, -1, 7, (80, 100), (4000, 6000)))
    row = np.flatnonzero(shade[:, 35] == shade.max()).mean()
    assert 6000 - (row + 0.5) * 20 == pytest.approx(5000, abs=40)
    assert shade[:, :9].max() == shade[:, 71:].max() == shade.min()


def test_no_short_call_falls_between_the_columns_of_a_long_picture(sounds, tmp_path):
    samples = 0.001 * np.random.default_rng(0).standard_normal(48_000 * 100).astype("f4")
    for second in range(2, 98, 5):  # 30 ms at places of their own
        first = round((second + 0.013 * second) * 48_000)
        samples[first : first + 1440] += 0.3 * np.sin(2 * np.pi * 0.2 * np.arange(1440))
    sf.write(tmp_path / "long.wav", samples, 48_000)
    shade = grey(sounds.picture(tmp_path / "long.wav", 0, 100, (800, 100)))
    columns = shade[55:65].max(axis=0) > 120
    assert (np.diff(columns.astype(int)) == 1).sum() == len(range(2, 98, 5))


def test_brightness_is_the_same_wherever_one_looks(sounds, chirp):
    one, other = grey(sounds.picture(chirp, 3.5, 4.5)), grey(sounds.picture(chirp, 1.6, 2.6))
    assert abs(np.median(one) - np.median(other[:, :250])) < 8


def test_a_recording_of_a_day_is_reached_by_seeking(sounds, tmp_path):
    """Of 24 hours with a tone in the last minute; the file is a hole but for that."""
    rate, n = 8000, 8000 * 86_400
    path = tmp_path / "day.wav"
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 2 * n, b"WAVE", b"fmt ", 16, 1, 1,
                       rate, 2 * rate, 2, 16, b"data", 2 * n)  # fmt: skip
    tone = (8000 * np.sin(2 * np.pi * 0.25 * np.arange(rate))).astype("<i2")
    with open(path, "wb") as file:
        file.write(head)
        file.seek(44 + 2 * rate * 86_370)
        file.write(tone.tobytes())
        file.truncate(44 + 2 * n)
    samples, _, begin_s = sounds.read(path, 86_370, 86_371)
    assert begin_s == 86_370
    assert np.abs(samples).max() == pytest.approx(8000 / 32_768, abs=0.001)
    assert grey(sounds.picture(path, 86_369, 86_372, (300, 50)))[25, 150] > 200


def test_open_files_are_few_and_shared(sounds, tmp_path):
    for number in range(9):
        sf.write(tmp_path / f"{number}.wav", np.full(800, number / 10), 8000)
    for _ in range(2):
        for number in range(9):
            samples, _, _ = sounds.read(tmp_path / f"{number}.wav", 0, 0.05)
            assert samples[0] == pytest.approx(number / 10, abs=1e-4)
    assert len(sounds._open) <= 6


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"size": (5000, 10)}, "1 to 4096 pixels"),
        ({"band_hz": (9000.0, None)}, "frequencies must be within 0 and 8000 Hz"),
        ({"begin_s": float("nan")}, "must end after its begin"),
    ],
    ids=["large", "band", "nan"],
)
def test_pictures_that_there_are_none_of(sounds, chirp, arguments, match):
    given = {"begin_s": 0.0, "end_s": 1.0} | arguments
    with pytest.raises(StretchError, match=match):
        sounds.picture(chirp, **given)


def test_a_picture_takes_no_more_memory_than_its_recording_and_size(sounds, chirp):
    """900 s around a recording of 6 s: at 16 kHz the empty part alone would be 58 MB."""
    sounds.picture(chirp, 0, 6, (100, 50))
    tracemalloc.start()
    picture = grey(sounds.picture(chirp, -300, 600, (100, 50)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6
    assert picture[:, 34:].max() == picture[:, :33].max() < picture[:, 33].max()
