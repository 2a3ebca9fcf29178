"""Recordings mixed from clips: what is said to be in them is in them, there and so loud."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import butter, chirp, correlate, sosfiltfilt, welch

from animal_spot.audio import sound_file
from animal_spot.audio.clip_files import ClipError
from animal_spot.data.clip_dataset import Sample
from animal_spot.mixing.backgrounds import MadeNoise, NoiseClips, Recordings, choose_background
from animal_spot.mixing.call_stretch import find_call
from animal_spot.mixing.clips import LONGEST_S, MixClip, clips_of, read_piece
from animal_spot.mixing.mixture import Mixture, choose, mix

RATE = 16000
CALL_S = 0.5
CALL_AT_S = 0.6  # in its clip
KINDS = {"up": (1500, 3000), "down": (5000, 3500)}


def call_of(label: str) -> np.ndarray:
    """A call with sharp edges, shape (samples,)."""
    time = np.arange(round(CALL_S * RATE)) / RATE
    low, high = KINDS[label]
    return 0.3 * chirp(time, low, CALL_S, high)


def noise(seconds: float, level: float, seed: int) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def write(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, sound, rate, subtype="FLOAT")
    return path


def call_clip(folder: Path, label: str, number: int) -> MixClip:
    sound = noise(1.5, 0.002, 100 * number + len(label))
    first = round(CALL_AT_S * RATE)
    sound[first : first + round(CALL_S * RATE)] += call_of(label)
    return MixClip(write(folder / f"{label}-{number}.wav", sound), label)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mixing")


@pytest.fixture(scope="module")
def calls(folder) -> list[MixClip]:
    return [call_clip(folder, label, n) for label, n in (("up", 1), ("up", 2), ("down", 3))]


@pytest.fixture(scope="module")
def sea(folder) -> list[MixClip]:
    sounds = [noise(s, level, n) for n, (s, level) in enumerate(((2, 0.1), (3, 0.01), (0.4, 0.1)))]
    return [MixClip(write(folder / f"sea-{n}.wav", x), "noise") for n, x in enumerate(sounds)]


def made(calls, background, *, minutes=1.0, calls_per_hour=600.0, snr_db=(3, 15), seed=7):
    return mix(
        calls,
        background,
        minutes=minutes,
        calls_per_hour=calls_per_hour,
        snr_db=snr_db,
        rate=RATE,
        rng=np.random.default_rng(seed),
    )


def calls_alone(mixture: Mixture, empty: Mixture) -> np.ndarray:
    """What was mixed in: the same seed gives the same background without calls."""
    assert np.abs(mixture.waveform).max() < 0.95, "scaled, so not to be subtracted"
    return mixture.waveform - empty.waveform


def test_calls_are_where_and_what_the_events_say(calls, sea):
    mixture = made(calls, NoiseClips(sea))
    alone = calls_alone(mixture, made(calls, NoiseClips(sea), calls_per_hour=0))
    assert len(mixture.events) == 10
    assert {e.label for e in mixture.events} == set(KINDS)
    for event in mixture.events:
        first, last = round(event.begin_s * RATE), round(event.end_s * RATE)
        around = alone[first - RATE // 2 : last + RATE // 2]
        fits = {label: np.abs(correlate(around, call_of(label), "valid")) for label in KINDS}
        assert max(fits, key=lambda label: fits[label].max()) == event.label
        begins_s = event.begin_s - 0.5 + fits[event.label].argmax() / RATE
        assert event.begin_s == pytest.approx(begins_s, abs=0.05)
        assert event.end_s == pytest.approx(begins_s + CALL_S, abs=0.05)
        alone[first - RATE // 20 : last + RATE // 20] = 0
    assert not alone.any(), "there is sound that is not in the events"


def test_events_keep_their_distance_and_lie_in_the_recording(calls, sea):
    times = [(e.begin_s, e.end_s) for e in made(calls, NoiseClips(sea)).events]
    begins, ends = np.array([(0, 0), *times, (60, 60)]).T
    assert (begins[1:] - ends[:-1] > 0.95).all()


def test_levels_are_as_asked(calls, sea):
    """Measured with a filter of scipy, in the band where levels are meant."""
    mixture = made(calls, NoiseClips(sea))
    empty = made(calls, NoiseClips(sea), calls_per_hour=0)
    band = butter(6, 300, "highpass", fs=RATE, output="sos")
    call, under = (
        sosfiltfilt(band, x.astype(float)) for x in (calls_alone(mixture, empty), empty.waveform)
    )
    for event in mixture.events:
        part = slice(round(event.begin_s * RATE), round(event.end_s * RATE))
        found_db = 10 * np.log10((call[part] ** 2).mean() / (under[part] ** 2).mean())
        assert found_db == pytest.approx(event.snr_db, abs=0.5)
    levels_db = [e.snr_db for e in mixture.events]
    assert min(levels_db) >= 3
    assert max(levels_db) <= 15
    assert max(levels_db) - min(levels_db) > 6


def test_hum_under_a_call_does_not_make_it_louder(calls, folder):
    still = noise(5, 0.01, 1)
    hum = 0.2 * np.sin(2 * np.pi * 50 * np.arange(len(still)) / RATE)
    gains = []
    for name, sound in (("still", still), ("hum", still + hum)):
        background = Recordings([write(folder / f"{name}.wav", sound)])
        mixture, empty = (
            made(calls, background, snr_db=(10, 10), calls_per_hour=n) for n in (600, 0)
        )
        gains.append(calls_alone(mixture, empty).std())
    assert gains[0] == pytest.approx(gains[1], rel=0.02)


def test_seed_says_everything(calls, sea):
    background = NoiseClips(sea)
    first, again, other = (made(calls, background, seed=seed) for seed in (1, 1, 2))
    assert (first.waveform == again.waveform).all()
    assert first.events == again.events
    assert (first.waveform != other.waveform).any()
    assert first.waveform.dtype == np.float32
    assert first.waveform.shape == (60 * RATE,)


def test_only_what_was_given_is_read(calls, sea, monkeypatch):
    read = set()

    class Spy(sound_file.SoundFile):
        def __init__(self, source):
            read.add(Path(source))
            super().__init__(source)

    monkeypatch.setattr("animal_spot.mixing.clips.SoundFile", Spy)
    mixture = made(calls[:2], NoiseClips(sea[:1]))
    assert read == {clip.path for clip in (*calls[:2], sea[0])}
    assert {event.clip for event in mixture.events} == set(calls[:2])


def test_classes_come_by_their_share_and_each_at_least_once():
    clips = [MixClip(Path(f"{n}"), "often") for n in range(30)] + [MixClip(Path("r"), "rare")]
    for seed in range(5):
        drawn = choose(clips, 10, np.random.default_rng(seed))
        assert [clip.label for clip in drawn].count("rare") == 1
        assert len(set(drawn)) == 10
    twice = choose(clips, 62, np.random.default_rng(0))
    assert all(twice.count(clip) == 2 for clip in clips)


# -- which part of a clip is the call --------------------------------------------------------------


def found_s(sound: np.ndarray) -> tuple[float, float]:
    stretch = find_call(sound.astype(np.float32), RATE, (300, RATE / 2))
    return stretch.begin / RATE, stretch.end / RATE


def clip_with(*parts: tuple[float, np.ndarray], level: float = 0.002) -> np.ndarray:
    sound = noise(3, level, 5)
    for at_s, part in parts:
        first = round(at_s * RATE)
        sound[first : first + len(part)] += part
    return sound


@pytest.mark.parametrize("level", [0.002, 0.05, 0.15], ids=["still", "noisy", "loud-floor"])
def test_call_is_found_whatever_the_floor(level):
    assert found_s(clip_with((1.2, call_of("up")), level=level)) == pytest.approx(
        (1.2, 1.7), abs=0.08
    )


def test_of_two_calls_the_one_that_stands_out_more_is_taken():
    half = call_of("up")[: len(call_of("up")) // 2]
    assert found_s(clip_with((0.3, half), (1.5, call_of("up")))) == pytest.approx(
        (1.5, 2.0), abs=0.05
    )


def test_a_louder_click_is_not_the_call():
    click = 0.9 * np.random.default_rng(3).uniform(-1, 1, RATE // 100)
    assert found_s(clip_with((2.5, click), (0.5, call_of("down")))) == pytest.approx(
        (0.5, 1.0), abs=0.05
    )


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.sin(np.arange(RATE) * 0.8), id="call-from-end-to-end"),
        pytest.param(noise(1, 0.1, 1), id="nothing-stands-out"),
        pytest.param(np.zeros(RATE), id="silence"),
        pytest.param(0.1 * np.ones(10), id="shorter-than-a-frame"),
    ],
)
def test_without_background_the_clip_is_the_call(sound):
    assert found_s(sound) == (0, len(sound) / RATE)


# -- backgrounds -----------------------------------------------------------------------------------


def test_recordings_keep_their_level_and_give_windows_of_all_their_length(folder):
    ramp = np.repeat([0.01, 0.1], 40 * RATE) * noise(80, 1, 3)
    background = Recordings([write(folder / "long.wav", ramp)])
    sound = background.sound(600 * RATE, RATE, np.random.default_rng(0))
    levels = sound.reshape(-1, RATE).std(axis=1)
    assert np.median(levels[levels < 0.03]) == pytest.approx(0.01, rel=0.05)
    assert np.median(levels[levels > 0.03]) == pytest.approx(0.1, rel=0.05)


def test_made_noise_has_the_colour_of_the_clips_and_not_their_calls(folder):
    low = butter(2, 800, fs=RATE, output="sos")
    quiet = sosfiltfilt(low, noise(3, 0.05, 2))
    sound = quiet.copy()
    sound[RATE : RATE + len(call_of("up"))] += call_of("up")
    clip = MixClip(write(folder / "coloured.wav", sound), "up")
    background = MadeNoise([clip], "mix", (300, 8000))
    assert "made" in background.about
    made_noise = background.sound(30 * RATE, RATE, np.random.default_rng(0))
    hz, wanted = welch(quiet, RATE, nperseg=320)
    found = welch(made_noise, RATE, nperseg=320)[1]
    inside = (hz > 100) & (hz < 2500)
    differences_db = 10 * np.log10(found[inside] / wanted[inside])
    assert np.ptp(differences_db) < 4


def test_the_most_real_background_is_chosen(calls, sea):
    assert isinstance(choose_background(calls, sea, [sea[0].path]), Recordings)
    assert isinstance(choose_background(calls, sea), NoiseClips)
    assert isinstance(choose_background(calls, []), MadeNoise)
    with pytest.raises(ValueError, match="could be imitated"):
        choose_background([], [])


def test_no_seam_is_heard(sea):
    """Pieces of one clip at one level: the level stays within what chance does."""
    background = Recordings([sea[0].path])
    sound = background.sound(60 * RATE, RATE, np.random.default_rng(0))
    levels_db = 20 * np.log10(sound[: 59 * RATE].reshape(-1, RATE // 10).std(axis=1))
    assert np.ptp(levels_db) < 2.5


def test_a_long_file_is_read_in_part(folder):
    path = write(folder / "hour.wav", np.linspace(0, 1, 40 * RATE))
    piece = read_piece(path, RATE, rng=np.random.default_rng(0))
    assert len(piece) == LONGEST_S * RATE
    assert 0 < piece[0] < 0.25
    span = read_piece(path, RATE // 2, span=(20 * RATE, RATE))
    assert len(span) == RATE // 2
    assert span[RATE // 4] == pytest.approx(20.5 / 40, abs=0.001)


def test_samples_of_a_training_become_clips():
    samples = [
        Sample(Path("a.wav"), "a", "", 0, span=(1, 2)),
        Sample(Path("n.wav"), "n", "", 1),
    ]
    named = {0: "N01", 1: "Noise"}
    assert clips_of(samples, named, "Noise") == (
        [MixClip(Path("a.wav"), "N01", (1, 2))],
        [MixClip(Path("n.wav"), "Noise")],
    )
    assert [len(clips) for clips in clips_of(samples, named, None)] == [2, 0]


def test_calls_in_holes_of_a_recording_are_heard_and_not_loud(calls, folder):
    """Where the recorder wrote zeros there is nothing that a call could be measured against."""
    holed = np.concatenate([noise(10, 0.01, 4), np.zeros(15 * RATE)])
    background = Recordings([write(folder / "holed.wav", holed)])
    mixture, empty = (made(calls, background, minutes=3, calls_per_hour=n) for n in (600, 0))
    alone = calls_alone(mixture, empty)
    for event in mixture.events:
        level = alone[round(event.begin_s * RATE) : round(event.end_s * RATE)].std()
        assert 1e-4 < level < 0.1


# -- what cannot be mixed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"minutes": 0}, "minutes must be above 0", id="no-length"),
        pytest.param({"minutes": float("nan")}, "got nan", id="nan"),
        pytest.param({"calls_per_hour": -1}, "calls per hour must be at least 0", id="negative"),
        pytest.param({"snr_db": (9, 3)}, "the lesser first, got 9 3", id="snr"),
        pytest.param({"calls_per_hour": 3600}, "do not fit into 60 s", id="too-many"),
    ],
)
def test_impossible_numbers_are_refused(calls, sea, settings, message):
    with pytest.raises(ValueError, match=message):
        made(calls, NoiseClips(sea), **settings)


def test_nothing_to_mix_is_refused(calls, sea, folder):
    with pytest.raises(ValueError, match="no clips of calls are given"):
        made([], NoiseClips(sea))
    with pytest.raises(ValueError, match="no clips of background"):
        NoiseClips([])
    with pytest.raises(ValueError, match="no recordings of background"):
        Recordings([])
    silent = MixClip(write(folder / "silent.wav", np.zeros(RATE)), "up")
    with pytest.raises(ValueError, match="nothing can be heard"):
        made(calls, NoiseClips([silent]))
    with pytest.raises(ValueError, match="nothing can be heard"):
        made(calls, MadeNoise([silent], "mix", (300, 8000)))
    with pytest.raises(ClipError, match=r"silent\.wav: nothing can be heard from 300"):
        made([silent], NoiseClips(sea))
    click = write(folder / "click.wav", np.concatenate([np.zeros(25 * RATE), [0.9]]))
    with pytest.raises(ValueError, match="recordings of background: silent from 300"):
        made(calls, Recordings([click]), calls_per_hour=60)
    (folder / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(ClipError, match=r"broken\.wav"):
        made([MixClip(folder / "broken.wav", "up")], NoiseClips(sea))
    with pytest.raises(ClipError, match=r"absent\.wav: unreadable"):
        made([MixClip(folder / "absent.wav", "up")], NoiseClips(sea))
