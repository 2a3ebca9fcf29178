"""Which recording is which tape of a corpus: the same from run to run, and no two share one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animal_spot.audio.recordings import stem_of
from animal_spot.audio.sound_file import SoundError, SoundFile, open_regular
from animal_spot.cutting.clip_names import tape_part, year_of
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.utils.own_files import JsonLines, LineError

_FIRST = 2**17  # samples of each channel
_PIECE = 2**18  # bytes at the begin, in the middle and at the end of a file


@dataclass(frozen=True)
class Tape:
    """A recording as the names of clips know it.

    Attributes:
        name: TAPE of the names; unique in a corpus, whatever the case.
        year: YEAR of the names.
        recording: Absolute path of the file.
        print: Hash of its length and of parts of it, by which it is known elsewhere.
        sound: ``sound_print``, by which it is known as FLAC or with other metadata; empty: unknown.
    """

    name: str
    year: int
    recording: str
    print: str
    sound: str = ""

    def is_same_sound(self, other: Tape) -> bool:
        """Tell whether two files hold the same sound, as far as is known."""
        return self.print == other.print or self.sound == other.sound != ""

    @property
    def key(self) -> str:
        """What ``data.labels`` calls it."""
        return f"{self.year}_{self.name.upper()}"


class TapeBook:
    """Gives recordings their tapes, and notes them.

    A recording that is moved keeps its tape, and so does one that is changed where it is.

    Args:
        lines: Where they are noted, in lines with a key ``tape``.
    """

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines
        self._by_name: dict[str, Tape] = {}
        self._by_recording: dict[str, Tape] = {}

    def read(self, content: dict[str, Any]) -> None:
        """Take a line with a key ``tape``.

        Raises:
            LineError: If something of it is not of its type.
        """
        name, year, recording, mark = (
            content.get(key) for key in ("tape", "year", "recording", "print")
        )
        sound = content.get("sound", "")
        if not all(isinstance(text, str) for text in (name, recording, mark, sound)):
            raise LineError("tape, recording, print or sound is no text")
        if type(year) is not int or tape_part(name) != name:
            raise LineError("year or tape is none")
        self._remember(Tape(name, year, recording, mark, sound))

    def _remember(self, tape: Tape) -> None:
        self._by_name[tape.name.casefold()] = tape
        self._by_recording[tape.recording] = tape

    def tape_of(self, recording: Path, time: RecordingTime, sound: str = "") -> Tape:
        """Return the tape of a recording.

        Args:
            recording: The file.
            time: When it was made; a tape that is known keeps its year.
            sound: Its ``sound_print``.

        Raises:
            OSError: If it cannot be read, or the tape cannot be noted.
        """
        full = os.path.abspath(recording)
        known = self._by_recording.get(full)
        if known is not None:
            return known
        mark = fingerprint(recording)
        name = tape_part(stem_of(recording))
        owner = self._by_name.get(name.casefold())
        if owner is not None and not owner.is_same_sound(Tape(name, 0, full, mark, sound)):
            name = tape_part(f"{name[:60]}-{mark[:8]}")
            owner = self._by_name.get(name.casefold())
        year = year_of(time) if owner is None else owner.year
        tape = Tape(name if owner is None else owner.name, year, full, mark, sound)
        line = {"tape": tape.name, "year": year, "recording": full, "print": mark, "sound": sound}
        self._lines.append(line)
        self._remember(tape)
        return tape

    def twin_of(self, tape: Tape) -> Tape | None:
        """Return another tape of the same sound, as far as is known; None: there is none."""
        twins = (other for other in self._by_name.values() if other.is_same_sound(tape))
        return next((other for other in twins if other.name != tape.name), None)


def sound_print(sound: SoundFile) -> str:
    """Return a hash of the length of a sound and of its first samples; empty: they are silent.

    It is the same for a recording that was converted without loss, or given other metadata.

    Args:
        sound: Just opened.
    """
    try:
        samples = sound.read(min(_FIRST, sound.n_frames))
    except SoundError:
        return ""
    if not samples.any():
        return ""
    size = f"{sound.rate} {sound.n_frames} {sound.n_channels} ".encode()
    return hashlib.blake2b(size + samples.tobytes(), digest_size=16).hexdigest()


def fingerprint(path: Path) -> str:
    """Return a hash of a file's length and of three parts of it.

    Raises:
        OSError: If it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(size.to_bytes(8, "little"))
        for start in (0, (size - _PIECE) // 2, size - _PIECE):
            file.seek(max(0, start))
            digest.update(file.read(_PIECE))
    return digest.hexdigest()
