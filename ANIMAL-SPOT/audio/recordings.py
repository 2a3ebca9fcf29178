"""Recordings: finding them, naming their results, and reading them block by block."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from animal_spot.audio.channel_choice import LOUDEST, MIX
from animal_spot.audio.channels import ChannelError, ChannelLevels, pick, require
from animal_spot.audio.clip_files import n_resampled, resample
from animal_spot.audio.frames import Counted
from animal_spot.audio.sound_file import (
    SoundError,
    SoundFile,
    check_magnitude,
    promised_duration_s,
    scale_note,
)
from animal_spot.audio.sound_kinds import READ, TABLES, counted, ending, is_not_read, is_read
from animal_spot.remote.addresses import full_name, is_address, is_remote, path_in, path_of, shown
from animal_spot.remote.stores import files_at, text_at
from animal_spot.utils.compact import TextIndex, TextList
from animal_spot.utils.many_paths import PathList

LIST_SUFFIXES = frozenset({".txt", ".lst"})
RESERVED_STEMS = frozenset({"all_recordings"})  # what tables of a whole run are called after
_LONGEST_STEM = 150  # bytes; suffixes come to it, and file systems allow 255
_LOUDEST_BLOCK = 2**18  # samples of each channel that are read at a time to find the loudest
_MP3_BYTES_PER_S = 16_000  # 128 kbit/s: a guess, since counting means decoding
_MP3_REACH_S = 600  # seeking in mp3 means decoding up to there


class RecordingError(ValueError):
    """A recording that cannot be used; the message says why."""


@dataclass(frozen=True)
class FoundSounds:
    """What files, folders and lists stand for; each path once, in their order.

    Attributes:
        recordings: Sound files, and what was named by itself, whatever it is.
        not_read: Sound of kinds that cannot be read.
        others: Files of folders that are no sound; tables and lists do not count.
    """

    recordings: PathList
    not_read: PathList
    others: PathList


def find_sounds(inputs: Sequence[str]) -> FoundSounds:
    """Resolve files, folders and lists, also at addresses, to the recordings they stand for.

    A folder means all files in it and below, by suffix in any case, sorted; hidden ones are left
    out. A text file has one path a line, relative to the current folder or else to its own; empty
    lines and those that start with ``#`` do not count. What is named but absent is returned too:
    reading it tells why it cannot be used.

    Raises:
        OSError: If an input does not exist or cannot be read.
        ValueError: If there is no recording at all, or an address cannot be used.
    """
    named, others = TextList(), TextList()
    for text in inputs:
        path = path_in(text)
        is_list = path.suffix.lower() in LIST_SUFFIXES
        if is_remote(path) and not is_list:
            paths, is_folder = files_at(text)
            found: Iterable[str] = map(str, paths)
        else:
            is_folder = path.is_dir()
            found = _in_folder(path) if is_folder else [str(path)]
        if is_folder:
            for inside in found:
                (named if _is_sound(os.path.basename(inside)) else others).append(inside)
        elif is_list:
            for line in _in_list(path):
                named.append(str(line))
        else:
            if not is_remote(path):
                os.stat(path)
            named.append(str(path))
    once = named if len(inputs) == 1 and is_folder else TextList(_each_once(named))
    recordings = PathList(text for text in once if not is_not_read(text))
    not_read = PathList(text for text in once if is_not_read(text))
    if not recordings and not_read:
        raise ValueError(
            f"no sound file that can be read in {', '.join(inputs)}, only "
            f"{counted(path.name for path in not_read)}: convert them to wav or flac, with ffmpeg "
            "for example"
        )
    if not recordings:
        raise ValueError(
            f"no sound file in {', '.join(inputs)}; looked for {', '.join(sorted(READ))}"
        )
    others = PathList(text for text in others if ending(text) not in TABLES)
    return FoundSounds(recordings, not_read, others)


def _each_once(named: TextList) -> Iterator[str]:
    """Yield each path where it comes first, written as it comes last."""
    places, chosen = TextIndex(), array("Q")
    for number, text in enumerate(named):
        full = full_name(text)
        place = places.setdefault(full, len(chosen))
        if place == len(chosen):
            chosen.append(number)
        else:
            chosen[place] = number
    return (named[number] for number in chosen)


def listed_names(inputs: Sequence[str], paths: Sequence[Path]) -> TextList:
    """Return what recordings are called in the inputs that they were found by.

    That is the path below a folder that was given, also that of a list; of all others the path as
    it was given. It is the same wherever else the folder lies, and whatever else is in it.

    Args:
        inputs: Files, folders and lists, see ``find_sounds``.
        paths: What it found.
    """
    given = [path_in(text) for text in inputs]
    folders = [
        path.parent if path.suffix.lower() in LIST_SUFFIXES else path
        for path in given
        if (path not in paths if is_remote(path) else _holds_more(path))
    ]
    return TextList(
        next(
            (path.relative_to(f).as_posix() for f in folders if path.is_relative_to(f)),
            shown(path) if is_remote(path) else path.as_posix(),
        )
        for path in paths
    )


def _holds_more(path: Path) -> bool:
    return path.suffix.lower() in LIST_SUFFIXES or path.is_dir()


def find_recordings(inputs: Sequence[str]) -> list[Path]:
    """Return the recordings that files, folders and lists stand for; see ``find_sounds``."""
    return list(find_sounds(inputs).recordings)


def _in_folder(folder: Path) -> Iterator[str]:
    """Yield the files below a folder, and folders named like a sound file, as paths in order.

    What is in a folder comes where its name does among those beside it, so that nothing is sorted
    but one folder at a time.
    """
    seen: set[str] = set()
    open_folders = [_entries(str(folder), seen)]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
        elif entry[1]:
            open_folders.append(_entries(entry[0], seen))
        else:
            yield entry[0]


def _entries(folder: str, seen: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield path of each file and folder in a folder, sorted, and whether it is to be opened."""
    real = os.path.realpath(folder)
    if real in seen:  # a link that leads back up
        return
    seen.add(real)
    _, folders, files = next(os.walk(folder), (folder, [], []))
    is_opened = dict.fromkeys(files, False) | {name: not is_read(name) for name in folders}
    place = "" if folder == os.curdir else folder
    for name in sorted(is_opened, key=str.lower if os.name == "nt" else None):
        if not name.startswith("."):
            yield os.path.join(place, name), is_opened[name]


def _is_sound(name: str) -> bool:
    return is_read(name) or is_not_read(name)


def _in_list(path: Path) -> Iterator[Path]:
    content = text_at(path) if is_remote(path) else path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    for line in content.decode(encoding, errors="surrogateescape").splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            if is_address(text):
                yield _of_line(path, text)
                continue
            if is_remote(path):
                yield path_of(f"{shown(path.parent)}/{text}")
                continue
            beside = path.parent / text
            is_beside = not os.path.exists(text) and os.path.exists(beside)
            yield beside if is_beside else Path(text)


def _of_line(path: Path, address: str) -> Path:
    try:
        return path_of(address)
    except ValueError as error:
        raise ValueError(f"{shown(path)}: {error}") from None


def stem_of(path: Path) -> str:
    """Return what the results of a recording are called after: its name without its ending."""
    name = path.stem if _is_sound(path.name) else path.name.partition(".")[0]
    stem = name.strip(". ") or path.name.strip(". ") or "recording"
    if len(os.fsencode(stem)) > _LONGEST_STEM:
        digest = hashlib.blake2b(os.fsencode(stem), digest_size=4).hexdigest()
        stem = f"{os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM])}-{digest}"
    return stem


def output_stems(paths: Sequence[Path], taken: Mapping[str, str]) -> TextList:
    """Name the results of recordings so that no two share a name.

    The first recording with a stem gets it; a further one gets a hash of its path appended, which
    stays the same from run to run.

    Args:
        paths: Recordings.
        taken: Stems in use from earlier runs, and the absolute path, or the address, of the
            recording that has each.
    """
    texts = paths.texts if isinstance(paths, PathList) else TextList(map(str, paths))
    number_of = TextIndex()
    numbers = array("Q")  # of a path that comes twice, that of the first
    for number, text in enumerate(texts):
        numbers.append(number_of.setdefault(full_name(text), number))
    owners = _Owners()
    of_earlier, place_of = TextList(), array("Q", bytes(8 * len(paths)))  # from 1; 0: none
    for stem, path in taken.items():
        number = number_of.get(path)
        owners.set(stem, number)
        if number is not None:
            of_earlier.append(stem)
            place_of[number] = len(of_earlier)
    stems = TextList()
    for text, number in zip(texts, numbers, strict=True):
        stem = of_earlier[place_of[number] - 1] if place_of[number] else stem_of(Path(text))
        if not owners.take(stem, number):
            full = full_name(text).encode(errors="surrogateescape")
            digest = hashlib.blake2b(full, digest_size=4)
            stem = f"{stem}-{digest.hexdigest()}"
            owners.set(stem, number)
        stems.append(stem)
    return stems


class _Owners:
    """Which recording of a list has which stem, and which stems have others."""

    def __init__(self) -> None:
        self._numbers = TextIndex()
        self._others = set(RESERVED_STEMS)

    def set(self, stem: str, number: int | None) -> None:
        """Give a stem to a recording; None: one that is not of the list."""
        if number is None:
            self._others.add(_folded(stem))
        else:
            self._others.discard(_folded(stem))
            self._numbers[_folded(stem)] = number

    def take(self, stem: str, number: int) -> bool:
        """Give a stem to a recording if nobody else has it; return whether it is its own."""
        folded = _folded(stem)
        return folded not in self._others and self._numbers.setdefault(folded, number) == number


def _folded(stem: str) -> str:
    """Return the form in which file systems that ignore case see a name."""
    return stem.casefold()


def estimated_duration_s(path: Path) -> float:
    """Return about how long a recording is; 0 if it cannot be read."""
    try:
        if path.suffix.lower() == ".mp3" and not is_remote(path):
            return path.stat().st_size / _MP3_BYTES_PER_S
    except OSError:
        return 0.0
    return promised_duration_s(path)


@dataclass
class Heard:
    """What was heard so far.

    Attributes:
        levels: What the channels hold.
        peak: Largest absolute sample.
    """

    levels: ChannelLevels
    peak: float = 0.0

    def add(self, other: Heard) -> None:
        """Count what was heard elsewhere too."""
        self.levels.join(other.levels)
        self.peak = max(self.peak, other.peak)


class Recording:
    """An open sound file, read from its start in blocks of mono samples.

    Args:
        path: A file that libsndfile reads.
        channel: ``mix`` averages all, see ``audio.channels``. For ``loudest`` a file with several
            is read twice.
        counted: What another ``Recording`` of the same file counted.

    Attributes:
        rate: Samples a second.
        n_channels: Channels of the file.
        heard: What was heard of it so far.

    Raises:
        RecordingError: If it is no such file, truncated, empty or has no such channel.
    """

    def __init__(self, path: Path, channel: str = MIX, counted: Counted | None = None) -> None:
        self.path = path
        with _as_recording_error():
            self._file = SoundFile(path, counted)
        self.rate: int = self._file.rate
        self.n_channels: int = self._file.n_channels
        self.heard = Heard(ChannelLevels.none(self.n_channels))
        self._channel = channel
        try:
            with _as_recording_error():
                require(channel, self.n_channels)
                if channel == LOUDEST:
                    self._channel = str(self._loudest()) if self.n_channels > 1 else MIX
        except RecordingError:
            self._file.close()
            raise

    def _loudest(self) -> int:
        """Read the file once; return the number of its loudest channel."""
        levels = ChannelLevels.none(self.n_channels)
        while len(block := self._file.read(_LOUDEST_BLOCK)):
            levels.add(block)
        self._file.seek(0)
        return levels.loudest + 1

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def n_frames(self) -> int:
        """Samples of each channel: as the file promises, or as many as it had when it ended."""
        return self._file.n_frames

    @property
    def duration_s(self) -> float:
        """Length in seconds, as ``n_frames``."""
        return self._file.duration_s

    @property
    def seeks_exactly(self) -> bool:
        """Whether it may be read from any place, see ``SoundFile``."""
        return self._file.seeks_exactly

    @property
    def counted(self) -> Counted | None:
        """What was counted in the file, which took reading all of it."""
        return self._file.counted

    @property
    def wanted(self) -> str:
        """What is heard, for another ``Recording`` of the same file: never ``loudest``."""
        return self._channel

    @property
    def channel(self) -> int:
        """Number of the channel that is heard, from 1; 1 for the mix."""
        return 1 if self._channel == MIX else int(self._channel)

    def problems(self) -> list[str]:
        """Say what is probably not as it was meant, as far as the file was read."""
        found = [*self._file.notes]
        if self._channel == MIX:
            found += self.heard.levels.problems(self.rate)
        if self._file.is_float and (note := scale_note(self.heard.peak)):
            found.append(note)
        return found

    def seek(self, sample: int) -> None:
        """Let ``blocks`` start elsewhere.

        Raises:
            RecordingError: If the file cannot be read from there.
        """
        with _as_recording_error():
            self._file.seek(sample)

    def blocks(self, n_samples: int, most: int | None = None) -> Iterator[np.ndarray]:
        """Read on what is heard: float32 arrays ``(samples,)``, the last one shorter.

        Args:
            n_samples: Of a block.
            most: Samples to read in all; None: to the end.

        Raises:
            RecordingError: If the file cannot be decoded to its end, or holds what is no sound:
                NaN, infinity or absurdly large numbers.
        """
        left = sys.maxsize if most is None else most
        while left and len(block := self.read(min(n_samples, left))):
            left -= len(block)
            if self.n_channels > 1:
                self.heard.levels.add(block)
            with _as_recording_error():
                heard = pick(block, self._channel)
                self.heard.peak = max(self.heard.peak, check_magnitude(heard))
            yield heard

    def read(self, n_samples: int) -> np.ndarray:
        """Read on all channels: float32 ``(samples, channel)``, empty at the end.

        Raises:
            RecordingError: If the file cannot be decoded to its end.
        """
        with _as_recording_error():
            return self._file.read(n_samples)


@contextlib.contextmanager
def _as_recording_error() -> Iterator[None]:
    """Turn what is wrong with a file into the one error that says it."""
    try:
        yield
    except OSError as error:
        raise RecordingError(f"unreadable: {error.strerror or error}") from error
    except (SoundError, ChannelError) as error:
        raise RecordingError(str(error)) from error


def excerpt(
    path: Path, position: float, seconds: float, sample_rate: int, channel: str = MIX
) -> np.ndarray:
    """Read a part of a recording, mono, at a rate.

    Args:
        path: The recording.
        position: Where the part lies: 0 at the start, 1 at the end.
        seconds: Length; less if the recording is shorter.
        sample_rate: Hz.
        channel: What is heard; ``loudest`` is the loudest one of the part.

    Raises:
        RecordingError: If it cannot be read.
    """
    with Recording(path) as recording:
        wanted = int(np.ceil(seconds * recording.rate)) + 1
        reach = recording.n_frames
        if path.suffix.lower() == ".mp3":
            reach = min(reach, _MP3_REACH_S * recording.rate)
        recording.seek(int(position * max(0, reach - wanted)))
        with _as_recording_error():
            heard = pick(recording.read(wanted), channel)
            check_magnitude(heard)
        return resample(heard, recording.rate, sample_rate)


class StreamResampler:
    """Mono blocks at one rate to blocks at another, as ``audio_io.resample`` of the whole gives.

    Args:
        rate_in: Of the blocks fed, Hz.
        rate_out: Wanted, Hz.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        self._rates = rate_in, rate_out
        self._stream = None
        if rate_in != rate_out:
            self._stream = soxr.ResampleStream(rate_in, rate_out, 1, "float32", "HQ")
        self._n_in = self._n_out = 0

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Return what can be said so far beyond what was returned before."""
        self._n_in += len(block)
        if self._stream is None:
            return block
        return self._capped(self._stream.resample_chunk(block))

    def finish(self) -> np.ndarray:
        """Return the rest; in all ``floor(samples * rate_out / rate_in)`` samples."""
        if self._stream is None:
            return np.empty(0, np.float32)
        rest = self._capped(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        n_missing = n_resampled(self._n_in, *self._rates) - self._n_out
        return np.pad(rest, (0, n_missing)) if n_missing else rest

    def _capped(self, samples: np.ndarray) -> np.ndarray:
        samples = samples[: max(0, n_resampled(self._n_in, *self._rates) - self._n_out)]
        self._n_out += len(samples)
        return samples
