"""A sound file, opened: all of the sound that is in it, whatever its header says."""

from __future__ import annotations

import functools
import io
import os
import re
import stat
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile as sf

from animal_spot.audio import chunks, frames
from animal_spot.remote.addresses import is_remote
from animal_spot.remote.ranged_file import RangedFile

LOWEST_RATE, HIGHEST_RATE = 100, 10_000_000  # Hz
LARGEST_SAMPLE = 2.0**31  # of full scale 1: counts of 32-bit recorders stay below
FLOAT_PEAKS = (1e-3, 10.0)  # of a file of floating-point samples at full scale 1

_BYTES = {
    **{"PCM_S8": 1, "PCM_U8": 1, "ULAW": 1, "ALAW": 1},
    **{"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8},
}
_LITTLE_ENDIAN = ("WAV", "WAVEX", "W64", "RF64")
_EXACT = frozenset({*_LITTLE_ENDIAN, "FLAC", "AIFF", "AU", "CAF"})
_MOST_FRAMES = 2**48  # more is what libsndfile says of a length that it does not know


class SoundError(ValueError):
    """A sound file that cannot be used; the message says why."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading, unless reading it might never end; also one at an address.

    Raises:
        SoundError: If it is a folder, a pipe or a device.
        OSError: If it cannot be opened.
    """
    if is_remote(path):
        return RangedFile(Path(path))
    kind = os.stat(path).st_mode
    if stat.S_ISDIR(kind):
        raise SoundError("a folder, not a sound file")
    if not stat.S_ISREG(kind):
        raise SoundError("not a regular file")
    return open(path, "rb")


class SoundFile:
    """Reads blocks of samples from a file that libsndfile decodes.

    Args:
        source: A path, or the file open for reading.
        counted: What was counted in this file before, which takes reading all of it; None: it is
            counted if need be.

    Attributes:
        rate: Samples a second.
        n_channels: Channels.
        n_frames: Samples of each channel.
        is_float: Whether samples are stored as floating-point numbers.
        is_exact: Whether its length, and a place in it, are known to the sample.
        seeks_exactly: Whether reading from any place gives the samples that reading on to there
            gives.
        subtype: How samples are stored, as libsndfile calls it.
        notes: What is probably not as it was meant.
        counted: What was counted in it; None where its header is enough.

    Raises:
        SoundError: If it is no such file, truncated, empty or absurd.
        OSError: If it cannot be opened.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        counted: frames.Counted | None = None,
    ) -> None:
        is_open = isinstance(source, io.IOBase)
        self._bytes = source if is_open else open_regular(source)
        path = None if is_open or is_remote(source) else source
        self.notes: list[str] = []
        self.counted = counted
        self._file: sf.SoundFile | None = None
        self._n_read = 0
        try:
            self._open(path)
        except (sf.SoundFileError, RuntimeError, TypeError, ValueError, OverflowError) as error:
            self.close()
            if isinstance(error, SoundError):
                raise
            raise SoundError(f"unreadable: {_reason(error)}") from error
        except BaseException:
            self.close()
            raise

    def _open(self, path: str | os.PathLike[str] | None) -> None:
        n_file = self._bytes.seek(0, io.SEEK_END)
        if n_file == 0:
            raise SoundError("empty: the file has 0 bytes")
        region = chunks.find_samples(self._bytes)
        if region is not None and region.missing:
            raise SoundError(f"truncated: {region.missing} bytes are missing at the end")
        if region is not None and region.joined:
            share = (region.start + region.n_bytes) / n_file
            raise SoundError(
                f"joined: a second sound file begins after {share:.0%} of it, and only the first "
                "would be heard; take them apart"
            )
        if region is None and self.counted is None:
            self.counted = (
                frames.count(self._bytes) if path is None else _count_once(path, _state(path))
            )
        self._bytes.seek(0)
        self._file = sf.SoundFile(self._bytes if path is None else _for_libsndfile(path))
        self.rate: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.subtype: str = self._file.subtype
        self.is_float = self.subtype in ("FLOAT", "DOUBLE")
        self.n_frames: int = self._file.frames
        self.is_exact = self._file.format in _EXACT
        self.seeks_exactly = self.is_exact and (
            self._file.format == "FLAC" or self.subtype in _BYTES
        )
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise SoundError(
                f"wrong rate: the header says {self.rate} Hz; {LOWEST_RATE} Hz to "
                f"{HIGHEST_RATE / 1e6:g} MHz are read"
            )
        if region is not None:
            self._use_region(region)
        elif self.counted is not None:
            self._use_count(self.counted)
        elif self._file.format == "NIST":
            self._bytes.seek(0)
            promised = re.search(rb"sample_count -i (\d+)", self._bytes.read(1024))
            if promised and int(promised[1]) > self.n_frames:
                raise SoundError(
                    f"truncated: the header says {self._seconds(int(promised[1]))}, only "
                    f"{self._seconds(self.n_frames)} are there"
                )
        if self.n_frames == 0:
            raise SoundError("empty: no samples")
        if not 0 < self.n_frames < _MOST_FRAMES:
            raise SoundError("damaged: its length cannot be told")

    def _use_region(self, region: chunks.Region) -> None:
        """Read the samples where they lie, if libsndfile would read others."""
        width = self._bytes_of_a_sample(region) * self.n_channels
        wrong = region.promised is not None and region.promised != region.n_bytes
        promised = region.promised // width if wrong and width else self.n_frames
        is_mended = not width and (wrong or region.unfinished) and self._mend_header(region)
        if wrong and not width and not is_mended:
            raise SoundError(
                f"wrong length: the header says {self._seconds(promised)}, and "
                f"{region.n_bytes} bytes of sound are there instead of {region.promised}"
            )
        n_frames = region.n_bytes // width if width else self.n_frames
        if wrong:
            self._note_lengths(promised, n_frames)
        elif region.unfinished and n_frames:
            self.notes.append(
                f"the header was never finished; the file is read to its end, "
                f"{self._seconds(n_frames)}"
            )
        if width and n_frames != self.n_frames:
            piece = (region.start, n_frames * width)
            self._reopen(
                [piece],
                format="RAW",
                subtype=self._file.subtype,
                channels=self.n_channels,
                samplerate=self.rate,
                endian=self._endian(),
            )
            self.n_frames = n_frames

    def _mend_header(self, region: chunks.Region) -> bool:
        """Read coded samples of a WAV file by a header that gives their length; tell if it can."""
        self._bytes.seek(0)
        head = self._bytes.read(region.start)
        if head[:4] != b"RIFF" or region.start + region.n_bytes >= 2**32:
            return False
        whole, sound = (
            n_bytes.to_bytes(4, "little")
            for n_bytes in (region.start - 8 + region.n_bytes, region.n_bytes)
        )
        mended = head[:4] + whole + head[8:-4] + sound
        self._reopen([mended, (region.start, region.n_bytes)])
        self.n_frames = self._file.frames
        return True

    def _bytes_of_a_sample(self, region: chunks.Region) -> int:
        """Return how many bytes a sample has; 0 if they are coded or packed in another way."""
        width = _BYTES.get(self._file.subtype, 0)
        if self._file.format == "W64" or not region.promised:
            return width
        n_bytes = self.n_frames * width * self.n_channels
        return width if abs(n_bytes - region.promised) < width * self.n_channels else 0

    def _endian(self) -> str:
        if self._file.endian in ("LITTLE", "BIG"):
            return self._file.endian
        return "LITTLE" if self._file.format in _LITTLE_ENDIAN else "BIG"

    def _use_count(self, counted: frames.Counted) -> None:
        """Read what was counted, if libsndfile would read less."""
        if counted.joined:
            raise SoundError(
                "joined: a second stream begins in it, and only the first would be heard; take "
                "them apart"
            )
        if counted.open_end:
            self.notes.append(
                f"the end of the stream is missing, so it may have been cut; it is read as far as "
                f"it goes, {self._seconds(self.n_frames)}"
            )
        n_frames, promised, off = counted.n_frames, counted.promised, counted.tolerance
        if n_frames is None:
            return
        if promised is not None and promised > n_frames + off:
            raise SoundError(
                f"truncated: the header says {self._seconds(promised)}, only "
                f"{self._seconds(n_frames)} are there"
            )
        if promised is not None and promised < n_frames - off:
            self._note_lengths(promised, n_frames)
        if abs(self.n_frames - n_frames) > off:
            self._reopen(counted.pieces)
            self.n_frames = self._file.frames

    def _note_lengths(self, promised: int, n_frames: int) -> None:
        digits = 1 if abs(promised - n_frames) >= self.rate / 10 else 4
        says, holds = (f"{n / self.rate:.{digits}f} s" for n in (promised, n_frames))
        self.notes.append(f"the header says {says}, the file holds {holds}: all of it is read")

    def _reopen(self, pieces: Sequence[frames.Piece], **options: object) -> None:
        self._file.close()
        self._file = sf.SoundFile(_Pieces(self._bytes, pieces), **options)

    def _seconds(self, n_frames: int) -> str:
        return f"{n_frames / self.rate:.1f} s"

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_frames / self.rate

    def seek(self, sample: int) -> None:
        """Let ``read`` go on elsewhere.

        Raises:
            SoundError: If the file cannot be read from there.
        """
        try:
            self._n_read = self._file.seek(sample)
        except (sf.SoundFileError, RuntimeError) as error:
            raise SoundError(f"damaged: {_reason(error)}") from error

    def read(self, n_samples: int) -> np.ndarray:
        """Read on: float32 ``(samples, channel)``, full scale 1; fewer samples at the end only.

        Raises:
            SoundError: If the file cannot be decoded to its end.
        """
        try:
            block = self._file.read(n_samples, dtype="float32", always_2d=True)
        except (sf.SoundFileError, RuntimeError) as error:
            raise SoundError(
                f"damaged after {self._seconds(self._n_read)}: {_reason(error)}"
            ) from error
        self._n_read += len(block)
        if len(block) < n_samples:
            self._end()
        return block

    def _end(self) -> None:
        """Hold what was read against what should be there."""
        missing = self.n_frames - self._n_read
        if missing > 0 and self.is_exact:
            raise SoundError(f"truncated: {missing} of {self.n_frames} samples are missing")
        if missing > self.rate:  # compressed formats may end a little elsewhere
            raise SoundError(
                f"truncated: it should last {self._seconds(self.n_frames)}, only "
                f"{self._seconds(self._n_read)} can be read"
            )
        self.n_frames = self._n_read

    def close(self) -> None:
        """Close the file, and the stream that it was opened from."""
        if self._file is not None:
            self._file.close()
        self._bytes.close()


@functools.lru_cache(256)
def _count_once(path: str | os.PathLike[str], _state: tuple[int, int]) -> frames.Counted | None:
    """Count a file, once as long as it is not changed: parts of it may be read many times."""
    with open(path, "rb") as file:
        return frames.count(file)


def _state(path: str | os.PathLike[str]) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def promised_duration_s(path: str | os.PathLike[str]) -> float:
    """Return how long a sound file is by its header, which may be wrong; 0 if it cannot be told."""
    try:
        with open_regular(path) as file:
            info = sf.info(file if is_remote(path) else _for_libsndfile(path))
        return info.frames / info.samplerate if 0 < info.frames < _MOST_FRAMES else 0.0
    except (OSError, RuntimeError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def check_magnitude(samples: np.ndarray) -> float:
    """Return the largest absolute value of samples.

    Raises:
        SoundError: If one is no number, infinite or larger than any recorder writes.
    """
    if not samples.size:
        return 0.0
    peak = max(float(samples.max()), -float(samples.min()))
    if not np.isfinite(peak):
        raise SoundError("damaged: holds samples that are not a number or infinite")
    if peak > LARGEST_SAMPLE:
        raise SoundError(
            f"damaged: holds samples of up to {peak:.2g} times full scale, which no recorder writes"
        )
    return peak


def scale_note(peak: float) -> str:
    """Say what is strange about the peak of a file of floating-point samples; or nothing."""
    low, high = FLOAT_PEAKS
    if peak > high:
        return f"floating-point samples of up to {peak:.0f} (full scale is 1): in counts?"
    if 0 < peak < low:
        return f"floating-point samples of {peak:.2g} at most (full scale is 1): in pascals?"
    return ""


class MemoryFile(io.BytesIO):
    """A file in memory; damaged ones send libsndfile before its start, which is the start then."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, or to the start."""
        base = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self.tell() if whence == io.SEEK_CUR else 0,
            io.SEEK_END: self.getbuffer().nbytes,
        }[whence]
        return super().seek(max(0, base + offset))


class _Pieces(io.RawIOBase):
    """A file made of bytes and of parts of another file."""

    def __init__(self, file: BinaryIO, pieces: Sequence[frames.Piece]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if len(piece)]
        self._starts, self._length = [], 0
        for piece in self._pieces:
            self._starts.append(self._length)
            self._length += len(piece) if isinstance(piece, bytes) else piece[1]
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)  # damaged files send libsndfile before the start
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, n_bytes: int = -1) -> bytes:
        left = self._length - self._position
        n_bytes = left if n_bytes < 0 else min(n_bytes, left)
        parts = []
        while n_bytes > 0:
            index = bisect_right(self._starts, self._position) - 1
            piece, offset = self._pieces[index], self._position - self._starts[index]
            if isinstance(piece, bytes):
                part = piece[offset : offset + n_bytes]
            else:
                self._file.seek(piece[0] + offset)
                part = self._file.read(min(n_bytes, piece[1] - offset))
            if not part:
                break
            parts.append(part)
            self._position += len(part)
            n_bytes -= len(part)
        return b"".join(parts)

    def readinto(self, buffer: bytearray) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _for_libsndfile(path: str | os.PathLike[str]) -> str | bytes:
    """Return a path in the form that also works for names that are not UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return re.sub(r"^Error opening .*?: ", "", text, flags=re.DOTALL) or "cannot be decoded"
