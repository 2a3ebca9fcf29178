"""Short sounds for a report: a small spectrogram, and compressed sound that every browser plays."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from animal_spot.reporting.drawn_sound import SIZE, Axes, Frame, with_axes
from animal_spot.reporting.page import Sound
from animal_spot.reporting.wanted import Wanted
from animal_spot.reviewing.sounds import OpenSounds
from animal_spot.utils.errors import one_line

LOUDNESS_NOTE = (
    "Faint sounds are played louder than they were, and loud ones softer, so that all can be heard."
)
_LONGEST_S = 12.0  # of a sound as it is played
_LONGEST_CONTEXT_S = 1.0  # likewise, of one that is played slower
_HEARD_HZ = 20_000.0
_WELL_HEARD_HZ = 10_000.0  # where what is above hearing comes to lie, at most
_SPEEDS = 2, 4, 5, 8, 10, 16, 20, 32, 50, 100
_TOO_LOW_HZ = 100.0  # loudspeakers give nothing below
_FASTER = 8.0
_AUDIBLE_RATE = 96_000  # Hz; without a band, recordings of higher rates are of ultrasound
_RATES = 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000  # of MP3
_PEAK = 0.7  # of full scale
_MOST_GAIN = 10 ** (40 / 20)  # more would play the noise of the recorder
_FADE_S = 0.01
_COMPRESSION = 0.7  # of libsndfile: 30 to 60 kbit/s


@dataclass(frozen=True)
class _Stretch:
    """What of a recording is shown and played.

    Attributes:
        begin_s: Where it begins.
        end_s: Where it ends.
        event_end_s: Where the event ends in it.
        speed: How fast it is played.
    """

    begin_s: float
    end_s: float
    event_end_s: float
    speed: float


class Examples:
    """Makes sounds until they take as many bytes as wanted; then what is left are words.

    Args:
        wanted: How large all together may be.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._most = self._left = wanted.sound_bytes
        self._sounds = OpenSounds()

    def sound(
        self,
        path: Path,
        begin_s: float,
        end_s: float,
        *,
        title: str,
        lines: Sequence[str] = (),
        context_s: float = 0.5,
        band_hz: tuple[float, float | None] = (0.0, None),
        box: tuple[float, float | None] | None = None,
    ) -> Sound:
        """Return an event of a recording; one without picture and sound if there is none.

        Args:
            path: The recording, or a clip.
            begin_s: Where the event begins.
            end_s: Where it ends.
            title: What it is.
            lines: What else is known of it.
            context_s: How much is shown before and after.
            band_hz: Frequencies at the edges of the picture; None: half of the rate.
            box: Frequencies of the event; None: those of the picture. It has a frame, unless
                it fills the picture.
        """
        if self._left <= 0:
            return Sound(title, (*lines, self._no_room()))
        try:
            rate = self._sounds.rate(path)
            low_hz, high_hz = _band_within(band_hz, rate)
            known = box[1] if box is not None and box[1] else band_hz[1]
            speed = speed_of(min(known, rate / 2) if known else None, rate)
            stretch = _stretch_of(begin_s, end_s, context_s, speed)
            samples, _, first_s = self._sounds.read(path, stretch.begin_s, stretch.end_s)
            stretch = _Stretch(
                first_s, first_s + len(samples) / rate, stretch.event_end_s, stretch.speed
            )
            picture = self._sounds.picture(
                path, stretch.begin_s, stretch.end_s, SIZE, (low_hz, high_hz)
            )
            axes = Axes(stretch.end_s - stretch.begin_s, low_hz, high_hz)
            png = with_axes(picture.png, axes, _frame_of(stretch, begin_s, axes, box))
            audio = _compressed(samples, rate, speed)
        except (OSError, ValueError, RuntimeError) as error:  # the last: of libsndfile
            return Sound(title, (*lines, f"Cannot be shown: {one_line(error)}."))
        if len(png) + len(audio) > self._left:
            self._left = 0
            return Sound(title, (*lines, self._no_room()))
        self._left -= len(png) + len(audio)
        said = [*lines]
        if end_s > stretch.event_end_s + 0.05:
            said.append(f"First {stretch.event_end_s - begin_s:.1f} s of {end_s - begin_s:.1f} s.")
        if speed != 1:
            times = speed if speed > 1 else 1 / speed
            said.append(f"Played {times:g} times {'faster' if speed > 1 else 'slower'}.")
        alt = (
            f"Spectrogram of {axes.length_s:.1f} s, {low_hz / 1000:g} to {high_hz / 1000:g} kHz: "
            f"{title}"
        )
        return Sound(title, tuple(said), png, audio, "audio/mpeg", alt)

    def close(self) -> None:
        """Close the recordings."""
        self._sounds.close()

    def __enter__(self) -> Examples:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _no_room(self) -> str:
        return f"Not in the report: its sounds already take {self._most / 1e6:g} MB."


def speed_of(highest_hz: float | None, rate: int) -> float:
    """Return how fast a sound is to be played so that people hear it.

    Args:
        highest_hz: Highest frequency that matters; None: not known, so the rate tells.
        rate: Samples a second.

    Returns:
        1, less for what is above hearing, more for what is below.
    """
    if highest_hz is None:
        highest_hz = rate / 2 if rate > _AUDIBLE_RATE or rate < 2 * _TOO_LOW_HZ else _HEARD_HZ
    if highest_hz < _TOO_LOW_HZ:
        return _FASTER
    if highest_hz <= _HEARD_HZ * 1.25:  # a band up to 24 kHz is that of a recorder of 48 kHz
        return 1.0
    slower = next((n for n in _SPEEDS if highest_hz / n <= _WELL_HEARD_HZ), _SPEEDS[-1])
    return 1 / slower


def _band_within(band_hz: tuple[float, float | None], rate: int) -> tuple[float, float]:
    """Return the edges of a picture; those of the whole recording if it has none of the band."""
    low_hz, high_hz = band_hz[0], min(band_hz[1] or rate / 2, rate / 2)
    return (low_hz, high_hz) if 0 <= low_hz < high_hz else (0.0, rate / 2)


def _stretch_of(begin_s: float, end_s: float, context_s: float, speed: float) -> _Stretch:
    longest_s = _LONGEST_S * speed
    event_end_s = min(end_s, begin_s + longest_s)
    if speed < 1:
        context_s = min(context_s, _LONGEST_CONTEXT_S * speed)
    context_s = max(0.0, min(context_s, (longest_s - (event_end_s - begin_s)) / 2))
    return _Stretch(max(0.0, begin_s - context_s), event_end_s + context_s, event_end_s, speed)


def _frame_of(
    stretch: _Stretch, begin_s: float, axes: Axes, box: tuple[float, float | None] | None
) -> Frame | None:
    left_s, right_s = begin_s - stretch.begin_s, stretch.event_end_s - stretch.begin_s
    low_hz, high_hz = box if box is not None else (axes.low_hz, axes.high_hz)
    if box is None and left_s < 0.01 and right_s > axes.length_s - 0.01:
        return None
    return Frame(left_s, right_s, low_hz, high_hz or axes.high_hz)


def _compressed(samples: np.ndarray, rate: int, speed: float) -> bytes:
    """Return a sound as MP3, mono.

    Args:
        samples: Full scale 1, shape ``(sample,)``.
        rate: Samples a second.
        speed: How fast it is played.
    """
    samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)  # the encoder would abort
    played = rate * speed
    to = next((r for r in _RATES if r >= played * 0.999), _RATES[-1])
    if not math.isclose(to, played, rel_tol=1e-3):
        samples = soxr.resample(samples, played, to, "HQ")
    samples = samples - samples.mean(dtype=np.float64).astype(np.float32)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 0:
        samples = samples * np.float32(min(_PEAK / peak, _MOST_GAIN))
    n_fade = min(int(_FADE_S * to), len(samples) // 2)
    if n_fade:
        ramp = np.linspace(0, 1, n_fade, dtype=np.float32)
        samples[:n_fade] *= ramp
        samples[-n_fade:] *= ramp[::-1]
    file = io.BytesIO()
    form = {"format": "MP3", "subtype": "MPEG_LAYER_III"}
    try:
        sf.write(file, samples, to, **form, compression_level=_COMPRESSION, bitrate_mode="VARIABLE")
    except TypeError:  # soundfile before 0.13 knows no such words
        file = io.BytesIO()
        sf.write(file, samples, to, **form)
    return file.getvalue()
