"""A stretch of a recording: as sound (WAV), and as a picture of its spectrogram (PNG)."""

from __future__ import annotations

import contextlib
import math
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from animal_spot.audio.channels import pick
from animal_spot.audio.sound_file import SoundError, SoundFile

LONGEST_S = 900.0  # of a stretch
LARGEST_PIXELS = 4096  # of a side of a picture
_MOST_SAMPLES = 40_000_000  # of a stretch
_MOST_GAIN_DB = 120.0
_N_OPEN = 6  # files
_RATES = (3000, 192_000)  # Hz that browsers play
_SHORTEST_WINDOW, _LONGEST_WINDOW = 128, 4096  # samples
_WINDOW_PIXELS = 4  # columns of the picture that a window is long
_FRAMES_PER_PIXEL = 4  # of a long stretch, so that no short call falls between two columns
_BELOW_NOISE_DB, _RANGE_DB = 5.0, 50.0  # of the picture, about the noise of the recording
_LOWEST_DB = -130.0
_PROBES, _PROBE_S = 8, 0.25  # where the noise of a recording is measured
_PROBED_S = 600.0
_PROBE_WINDOW = 512  # samples
_COMPRESSION = 1  # of zlib: quick


class StretchError(ValueError):
    """A stretch or picture that there is none of; one line says why."""


@dataclass(frozen=True)
class Picture:
    """A spectrogram.

    Attributes:
        png: The file.
        begin_s: Time at its left edge.
        end_s: Time at its right edge.
        low_hz: Frequency at its lower edge.
        high_hz: Frequency at its upper edge.
        window: Samples of the Fourier transform.
        rate: Samples a second of the recording.
    """

    png: bytes
    begin_s: float
    end_s: float
    low_hz: float
    high_hz: float
    window: int
    rate: int


class OpenSounds:
    """Recordings that are read here and there; the last ones stay open.

    Times count from the begin; a place in a file of a day is reached by seeking.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[Path, _OpenSound] = OrderedDict()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def _of(self, path: Path) -> Iterator[_OpenSound]:
        """Give an open recording, for one thread at a time."""
        with self._lock:
            sound = self._open.pop(path, None) or _OpenSound(path)
            self._open[path] = sound
            while len(self._open) > _N_OPEN:
                _, oldest = self._open.popitem(last=False)
                oldest.is_wanted = False
                if oldest.lock.acquire(blocking=False):  # else who reads it closes it
                    try:
                        oldest.close()
                    finally:
                        oldest.lock.release()
        with sound.lock:
            try:
                yield sound
            finally:
                if not sound.is_wanted:
                    sound.close()

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def rate(self, path: Path) -> int:
        """Return the samples a second of a recording.

        Raises:
            SoundError: If the file cannot be read.
            OSError: If it cannot be opened.
        """
        with self._of(path) as sound:
            return sound.rate

    def read(self, path: Path, begin_s: float, end_s: float) -> tuple[np.ndarray, int, float]:
        """Read a stretch, mixed to one channel.

        Args:
            path: The recording.
            begin_s: Where; before the begin: at the begin.
            end_s: Up to where; after the end: up to the end.

        Returns:
            Samples, samples a second, and where they begin in seconds.

        Raises:
            StretchError: If there is no sound there, or too much.
            SoundError: If the file cannot be read.
            OSError: If it cannot be opened.
        """
        if not (math.isfinite(begin_s) and math.isfinite(end_s) and begin_s < end_s):
            raise StretchError("a stretch must end after its begin")
        with self._of(path) as sound:
            return sound.read(begin_s, end_s)

    def wav(
        self, path: Path, begin_s: float, end_s: float, speed: float = 1.0, gain_db: float = 0.0
    ) -> bytes:
        """Return a stretch as a WAV file, 16 bit, mono.

        Args:
            path: The recording.
            begin_s: Where.
            end_s: Up to where.
            speed: How fast it is played; a slower one is also lower.
            gain_db: How much louder; what is too loud is cut off.

        Raises:
            StretchError: If there is none.
            SoundError: If the file cannot be read.
            OSError: If it cannot be opened.
        """
        if not 0.005 <= speed <= 10:
            raise StretchError("speed must be 0.005 to 10")
        _require_gain(gain_db)
        samples, rate, _ = self.read(path, begin_s, end_s)
        played = max(1, round(rate * speed))
        least, most = _RATES
        if not least <= played <= most:
            wanted = min(max(played, 8000), 96_000)
            samples, played = soxr.resample(samples, played, wanted, "HQ"), wanted
        if gain_db:
            samples = samples * np.float32(10 ** (gain_db / 20))
        pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype("<i2").tobytes()
        return _wav_header(len(pcm), played) + pcm

    def picture(
        self,
        path: Path,
        begin_s: float,
        end_s: float,
        size: tuple[int, int] = (800, 300),
        band_hz: tuple[float, float | None] = (0.0, None),
        gain_db: float = 0.0,
    ) -> Picture:
        """Draw the spectrogram of a stretch.

        Args:
            path: The recording.
            begin_s: Time at the left edge; the picture is dark where there is no recording.
            end_s: Time at the right edge.
            size: Width and height in pixels.
            band_hz: Frequencies at the lower and upper edge; None: half of the rate, above which
                the picture is dark.
            gain_db: How much brighter.

        Raises:
            StretchError: If there is none.
            SoundError: If the file cannot be read.
            OSError: If it cannot be opened.
        """
        width, height = size
        if not (1 <= width <= LARGEST_PIXELS and 1 <= height <= LARGEST_PIXELS):
            raise StretchError(f"a picture may have 1 to {LARGEST_PIXELS} pixels a side")
        if not (math.isfinite(begin_s) and math.isfinite(end_s) and begin_s < end_s):
            raise StretchError("a stretch must end after its begin")
        if end_s - begin_s > LONGEST_S + 1:
            raise StretchError(f"a picture may show {LONGEST_S:g} s at most")
        _require_gain(gain_db)
        with self._of(path) as sound:
            rate = sound.rate
            low_hz, high_hz = band_hz[0], band_hz[1] or rate / 2
            top_hz = min(high_hz, rate / 2)
            if not 0 <= low_hz < top_hz:
                raise StretchError(f"frequencies must be within 0 and {rate / 2:g} Hz")
            window = _window_length(rate, (end_s - begin_s) / width)
            reach_s = window / rate
            samples, _, first_s = sound.read(begin_s - reach_s, end_s + reach_s)
            # Noise spreads over more bins in a longer window.
            noise_db = sound.noise_db() - 10 * math.log10(window / _PROBE_WINDOW)
        # Times of the middles of the columns, in samples from the first one that was read.
        left = (begin_s - first_s) * rate
        columns = _columns(samples, left, (end_s - begin_s) * rate, width, window)
        n_rows = max(1, round(height * (top_hz - low_hz) / (high_hz - low_hz)))
        rows = _rows(columns, rate, low_hz, top_hz, n_rows)
        lowest = noise_db - _BELOW_NOISE_DB - gain_db
        shade = np.clip((rows - lowest) * (255 / _RANGE_DB), 0, 255).astype(np.uint8)
        shade &= 0xFC  # 64 shades look the same and take half the bytes
        shade = np.pad(shade, ((height - n_rows, 0), (0, 0)))
        return Picture(_png(shade), begin_s, end_s, low_hz, high_hz, window, rate)


class _OpenSound:
    """An open recording.

    Attributes:
        lock: Held by who reads.
        is_wanted: False: to be closed after reading.
        rate: Samples a second.
    """

    def __init__(self, path: Path) -> None:
        self._file = SoundFile(path)
        self.lock = threading.Lock()
        self.is_wanted = True
        self.rate = self._file.rate
        self.duration_s = self._file.duration_s
        self._noise_db: float | None = None

    def read(self, begin_s: float, end_s: float) -> tuple[np.ndarray, int, float]:
        """Read a stretch as ``OpenSounds.read`` says."""
        first = max(0, round(begin_s * self.rate))
        last = min(self._file.n_frames, round(end_s * self.rate))
        if last <= first:
            raise StretchError(
                f"there is no sound there: the recording lasts {self.duration_s:.1f} s"
            )
        if last - first > _MOST_SAMPLES or (last - first) / self.rate > LONGEST_S + 1:
            most_s = min(LONGEST_S, _MOST_SAMPLES / self.rate)
            raise StretchError(f"a stretch may have {most_s:g} s at most")
        self._file.seek(first)
        return pick(self._file.read(last - first)), self.rate, first / self.rate

    def noise_db(self) -> float:
        """Return the level of the noise in a bin of a spectrogram, the same for all stretches.

        It is the median over short probes of the first minutes.
        """
        if self._noise_db is None:
            span_s = max(0.0, min(self.duration_s, _PROBED_S) - _PROBE_S)
            levels = []
            for position in np.linspace(0, span_s, _PROBES):
                with contextlib.suppress(StretchError):
                    samples, _, _ = self.read(float(position), float(position) + _PROBE_S)
                    columns = _columns(samples, 0, len(samples), 16, _PROBE_WINDOW)
                    heard = columns[columns > _LOWEST_DB + 1]
                    levels += [np.median(heard)] if len(heard) else []
            self._noise_db = float(np.median(levels)) if levels else _LOWEST_DB + _RANGE_DB
        return self._noise_db

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _require_gain(gain_db: float) -> None:
    if not abs(gain_db) <= _MOST_GAIN_DB:
        raise StretchError(f"gain must be -{_MOST_GAIN_DB:g} to {_MOST_GAIN_DB:g} dB")


def _window_length(rate: int, seconds_a_pixel: float) -> int:
    """Return a power of two near to the length that shows time and frequency equally sharp."""
    wanted = max(_WINDOW_PIXELS * seconds_a_pixel * rate, 2)
    return int(min(max(2 ** round(math.log2(wanted)), _SHORTEST_WINDOW), _LONGEST_WINDOW))


def _columns(
    samples: np.ndarray, first: float, n_samples: float, width: int, window: int
) -> np.ndarray:
    """Compute spectra about the middles of columns.

    Args:
        samples: Of the recording.
        first: Sample at the left edge, which may lie before the first one.
        n_samples: Between left and right edge.
        width: Columns.
        window: Samples of a spectrum.

    Returns:
        Decibels of full scale, shape ``(column, window // 2 + 1)``; of a column that is much longer
        than a window the largest of several.
    """
    n_each = int(min(_FRAMES_PER_PIXEL, max(1, math.ceil(n_samples / width / window))))
    middles = first + (np.arange(width * n_each) + 0.5) * (n_samples / (width * n_each))
    starts = np.rint(middles - window / 2).astype(np.int64)
    # Where there is no recording one window of silence is enough, however long the stretch is.
    starts = np.clip(starts, -window, len(samples))
    before = max(0, -int(starts.min()))
    after = max(0, int(starts.max()) + window - len(samples))
    padded = np.pad(samples, (before, after)) if before or after else samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[starts + before]
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    spectra = np.fft.rfft(frames * taper, axis=1)
    power = spectra.real**2 + spectra.imag**2
    if n_each > 1:
        power = power.reshape(width, n_each, -1).max(axis=1)
    scale = np.float32(1 / (taper.sum() / 2) ** 2)
    return 10 * np.log10(power * scale + np.float32(10 ** (_LOWEST_DB / 10)))


def _rows(columns: np.ndarray, rate: int, low_hz: float, high_hz: float, height: int) -> np.ndarray:
    """Bring spectra into rows of a picture, the highest frequency first.

    Returns:
        Shape ``(height, column)``: the value between bins, or the largest of a row's bins.
    """
    n_bins = columns.shape[1]
    edges = np.linspace(high_hz, low_hz, height + 1) / (rate / 2) * (n_bins - 1)
    by_bin = np.ascontiguousarray(columns.T)
    if edges[0] - edges[1] <= 1:
        at = (edges[:-1] + edges[1:]) / 2
        below = np.clip(np.floor(at).astype(int), 0, n_bins - 1)
        above = np.minimum(below + 1, n_bins - 1)
        share = (at - below).astype(np.float32)[:, None]
        return by_bin[below] * (1 - share) + by_bin[above] * share
    first = np.clip(np.ceil(edges[1:] - 0.5).astype(int), 0, n_bins - 1)
    last = np.clip(np.ceil(edges[:-1] - 0.5).astype(int), first + 1, n_bins)
    return np.stack([by_bin[a:b].max(axis=0) for a, b in zip(first, last, strict=True)])


def _wav_header(n_bytes: int, rate: int) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16),
        *(b"data", n_bytes),
    )


def _colours() -> bytes:
    """Return 256 colours from dark to bright, of evenly growing lightness also in grey."""
    stops = np.array(
        [
            *((0, 4, 4, 16), (0.25, 58, 15, 100), (0.5, 150, 38, 108), (0.75, 236, 105, 55)),
            *((0.9, 250, 190, 60), (1, 252, 252, 190)),
        ]
    )
    at = np.linspace(0, 1, 256)
    table = np.stack([np.interp(at, stops[:, 0], stops[:, i]) for i in (1, 2, 3)], axis=1)
    return np.rint(table).astype(np.uint8).tobytes()


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


_PALETTE = _chunk(b"PLTE", _colours())


def _png(shade: np.ndarray) -> bytes:
    """Write shades of shape ``(height, width)`` as a PNG file with a palette."""
    height, width = shade.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each begins with 0: no filter
    lines[:, 1:] = shade
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", head),
            _PALETTE,
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), _COMPRESSION)),
            _chunk(b"IEND", b""),
        )
    )


__all__ = ["LARGEST_PIXELS", "LONGEST_S", "OpenSounds", "Picture", "SoundError", "StretchError"]
