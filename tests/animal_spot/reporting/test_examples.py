import io
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from animal_spot.reporting.drawn_sound import ticks
from animal_spot.reporting.examples import Examples, speed_of
from animal_spot.reporting.wanted import Wanted


def recording(folder: Path, rate: int, tone_hz: float, level: float = 0.1) -> Path:
    """A tone from 2 s to 3 s in 5 s of faint noise."""
    t = np.arange(5 * rate) / rate
    noise = np.random.default_rng(1).standard_normal(len(t)) * level / 100
    tone = np.where((t >= 2) & (t < 3), level * np.sin(2 * np.pi * tone_hz * t), 0)
    path = folder / f"{rate}.wav"
    sf.write(path, noise + tone, rate, subtype="FLOAT")
    return path


def heard(sound) -> tuple[np.ndarray, int]:
    return sf.read(io.BytesIO(sound.audio))


def loudest_hz(samples: np.ndarray, rate: int) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[power.argmax()])


@pytest.mark.parametrize(
    ("rate", "tone_hz", "speed"),
    [(44_100, 3000, 1), (8000, 800, 1), (250_000, 45_000, 1 / 5), (250, 25, 8)],
)
def test_a_call_is_heard_at_a_pitch_that_people_hear(tmp_path, rate, tone_hz, speed):
    path = recording(tmp_path, rate, tone_hz)
    with Examples(Wanted()) as examples:
        sound = examples.sound(path, 2, 3, title="call", box=(0.8 * tone_hz, 1.1 * tone_hz))
    samples, played = heard(sound)
    # A slowed call has 1 s of context at most, as it is played, on either side.
    lasts = (1 + 2 * min(0.5, 1 * speed if speed < 1 else 0.5)) / speed
    assert len(samples) / played == pytest.approx(lasts, abs=0.1)
    assert loudest_hz(samples, played) == pytest.approx(tone_hz * speed, rel=0.02)
    assert any("times" in line for line in sound.lines) == (speed != 1)
    assert len(sound.audio) < 16_000 * lasts  # 128 kbit/s
    with Image.open(io.BytesIO(sound.png)) as picture:
        assert 230 <= picture.width <= 300
        assert len(sound.png) < 20_000


def test_faint_sound_is_played_louder(tmp_path):
    with Examples(Wanted()) as examples:
        faint = examples.sound(recording(tmp_path, 22_050, 2000, 0.01), 2, 3, title="faint")
    assert 0.5 < np.abs(heard(faint)[0]).max() < 0.95


def test_the_frame_is_where_the_event_is(tmp_path):
    path = recording(tmp_path, 20_000, 4000)
    with Examples(Wanted()) as examples:
        with_box = examples.sound(path, 2, 3, title="call", box=(3500, 4500))
        whole = examples.sound(path, 0, 5, title="clip", context_s=0)
    with Image.open(io.BytesIO(with_box.png)) as picture:
        image = np.asarray(picture.convert("RGB")).astype(int)
    is_frame = (np.abs(image - (120, 220, 255)).sum(axis=2)) == 0
    rows, columns = np.nonzero(is_frame)
    inside = image[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()].sum(axis=2)
    outside = image[20:60, columns.min() + 1 : columns.max()].sum(axis=2)
    assert inside.max() > outside.max() + 200  # the tone lies in it, and nothing above it
    with Image.open(io.BytesIO(whole.png)) as picture:
        whole_image = np.asarray(picture.convert("RGB")).astype(int)
    assert not (np.abs(whole_image - (120, 220, 255)).sum(axis=2) == 0).any()


def test_samples_that_are_no_numbers_are_silent(tmp_path):
    path = tmp_path / "holes.wav"
    samples = 0.1 * np.sin(np.arange(3 * 8000, dtype=np.float32))
    samples[8000:9000] = np.nan
    sf.write(path, samples, 8000, subtype="FLOAT")
    with Examples(Wanted()) as examples:
        sound = examples.sound(path, 0, 3, title="call")
    assert np.abs(heard(sound)[0]).max() > 0.5


def test_a_long_event_is_cut_and_this_is_said(tmp_path):
    path = tmp_path / "long.wav"
    sf.write(path, 0.01 * np.random.default_rng(1).standard_normal(40 * 8000), 8000)
    with Examples(Wanted()) as examples:
        sound = examples.sound(path, 3, 33, title="song")
    assert "First 12.0 s of 30.0 s." in sound.lines
    samples, rate = heard(sound)
    assert len(samples) / rate == pytest.approx(12, abs=0.2)


@pytest.mark.parametrize("kind", ["missing", "empty", "no sound", "after its end", "not a number"])
def test_a_bad_file_is_said_and_raises_nothing(tmp_path, kind):
    path, begin_s, end_s = tmp_path / "bad.wav", 1.0, 2.0
    if kind == "empty":
        path.touch()
    elif kind == "no sound":
        path.write_bytes(b"RIFF of something else" * 20)
    elif kind == "after its end":
        path, begin_s, end_s = recording(tmp_path, 8000, 800), 90.0, 91.0
    elif kind == "not a number":
        path, begin_s, end_s = recording(tmp_path, 8000, 800), float("nan"), 91.0
    with Examples(Wanted()) as examples:
        sound = examples.sound(path, begin_s, end_s, title="call", lines=("score 0.9",))
    assert sound.png is sound.audio is None
    assert sound.lines[0] == "score 0.9"
    assert sound.lines[1].startswith("Cannot be shown: ")


def test_sounds_keep_to_their_bytes_together(tmp_path):
    path = recording(tmp_path, 8000, 800)
    with Examples(Wanted(sound_bytes=60_000)) as examples:
        sounds = [examples.sound(path, 2, 3, title=str(n)) for n in range(8)]
    sizes = [len(sound.png or b"") + len(sound.audio or b"") for sound in sounds]
    assert 30_000 < sum(sizes) <= 60_000
    n_shown = sum(size > 0 for size in sizes)
    assert all(sound.audio is None for sound in sounds[n_shown:])
    assert "0.06 MB" in sounds[-1].lines[-1]


@pytest.mark.parametrize(
    ("highest_hz", "rate", "speed"),
    [
        (None, 44_100, 1),
        (None, 96_000, 1),
        (None, 256_000, 1 / 16),
        (24_000, 48_000, 1),
        (110_000, 384_000, 1 / 16),
        (40, 2000, 8),
    ],
)
def test_speed(highest_hz, rate, speed):
    assert speed_of(highest_hz, rate) == speed


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 22.05, ["0", "5", "10", "15", "20"]),
        (0.5, 2.1, ["0.6", "0.8", "1.0", "1.2", "1.4", "1.6", "1.8", "2.0"]),
        (0, 0.03, ["0.000", "0.005", "0.010", "0.015", "0.020", "0.025", "0.030"]),
    ],
)
def test_ticks_are_round(low, high, texts):
    assert [text for _, text in ticks(low, high)] == texts
