"""Cuts clips out of a recording in one pass, in bounded memory; samples stay as they are."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.audio.channel_choice import LOUDEST
from animal_spot.audio.channels import pick, require
from animal_spot.audio.recordings import Recording
from animal_spot.audio.sound_file import SoundError, SoundFile, check_magnitude
from animal_spot.cutting.plan import ClipPlan
from animal_spot.utils.files import atomic_path

_BLOCK = 2**19  # samples of all channels together that are read at a time
_MOST_OPEN = 64  # files that are written at the same time
_HIGHEST_FLAC_RATE = 655_350  # Hz
_DEEP = {"PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32"}
_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}


@dataclass(frozen=True)
class ClipForm:
    """Kind of file of the clips of a recording.

    Attributes:
        kind: ``wav`` or ``flac``.
        subtype: ``PCM_16``, ``PCM_24`` or ``FLOAT``.
    """

    kind: str
    subtype: str

    @classmethod
    def of(cls, sound: SoundFile, kind: str) -> ClipForm:
        """Return that of a recording, where a kind is wanted.

        Depth is that of the recording: 24 bit also of 32, and 16 bit of what is coded.
        """
        if sound.is_float:
            return cls("wav", "FLOAT")
        subtype = "PCM_24" if sound.subtype in _DEEP else "PCM_16"
        return cls("wav" if sound.rate > _HIGHEST_FLAC_RATE else kind, subtype)

    def stored(self, samples: np.ndarray) -> np.ndarray:
        """Return float samples of full scale 1 as numbers that are written as they are."""
        if self.subtype == "FLOAT":
            return samples
        n_bits = 8 * _BYTES[self.subtype]
        full = 2 ** (n_bits - 1)
        whole = np.clip(np.rint(samples.astype(np.float64) * full), -full, full - 1)
        if n_bits == 16:
            return whole.astype(np.int16)
        return whole.astype(np.int32) << (32 - n_bits)  # libsndfile takes the upper bits


class _ClipFile:
    """A clip that is being written; whole or absent."""

    def __init__(self, index: int, plan: ClipPlan, path: Path, rate: int, form: ClipForm) -> None:
        self.index, self.plan, self._form = index, plan, form
        self.n_written = 0
        self._path = path
        self._stack = contextlib.ExitStack()
        self._temporary = self._stack.enter_context(atomic_path(path))
        try:
            self._file = sf.SoundFile(
                str(self._temporary) if os.name == "nt" else os.fsencode(self._temporary),
                "w",
                samplerate=rate,
                channels=1,
                format=form.kind.upper(),
                subtype=form.subtype,
            )
        except sf.LibsndfileError as error:
            self._leave(error)
            raise self._unwritten() from error

    def write(self, samples: np.ndarray) -> None:
        check_magnitude(samples)
        try:
            self._file.write(self._form.stored(samples))
        except sf.LibsndfileError as error:
            raise self._unwritten() from error
        self.n_written += len(samples)

    def finish(self) -> None:
        self._file.close()
        least = self.n_written * _BYTES[self._form.subtype] if self._form.kind == "wav" else 1
        if self._temporary.stat().st_size < least:
            error = self._unwritten()
            self._leave(error)
            raise error
        self._stack.close()

    def drop(self, error: BaseException) -> None:
        self._file.close()
        self._leave(error)

    def _unwritten(self) -> OSError:
        return OSError(f"{self._path} cannot be written to its end: is the disk full?")

    def _leave(self, error: BaseException) -> None:
        self._stack.__exit__(type(error), error, error.__traceback__)


def cut(
    source: Path,
    clips: Sequence[tuple[ClipPlan, Path]],
    form: ClipForm,
    check: Callable[[], None] = lambda: None,
) -> dict[int, str]:
    """Cut clips out of a recording.

    Args:
        source: The recording.
        clips: Each with the file that it becomes.
        form: Kind of these files.
        check: Called often; may raise to stop.

    Returns:
        Why a clip could not be cut, by its index; none of these is there.

    Raises:
        ValueError: If the recording cannot be opened, or does not have a wanted channel.
        OSError: If it cannot be opened, or a clip cannot be written.
    """
    waiting = sorted(range(len(clips)), key=lambda i: (clips[i][0].start, clips[i][0].end))
    failed: dict[int, str] = {}
    loudest = ""
    while waiting:  # again only where more clips overlap than files may be open
        sound = SoundFile(source)
        with contextlib.closing(sound):
            for plan, _ in clips:
                require(plan.channel, sound.n_channels)
            if not loudest and any(plan.channel == LOUDEST for plan, _ in clips):
                loudest = _loudest(source)
            cutter = _Pass(sound, clips, form, loudest, failed)
            waiting = cutter.run(waiting, check)
    return failed


class _Pass:
    """One pass over a recording."""

    def __init__(
        self,
        sound: SoundFile,
        clips: Sequence[tuple[ClipPlan, Path]],
        form: ClipForm,
        loudest: str,
        failed: dict[int, str],
    ) -> None:
        self._sound, self._clips, self._form = sound, clips, form
        self._loudest, self._failed = loudest, failed
        self._open: list[_ClipFile] = []

    def run(self, indices: Sequence[int], check: Callable[[], None]) -> list[int]:
        """Cut what can be cut in a pass; return what is left for another."""
        queue, left = deque(indices), []
        n_block = max(1, _BLOCK // self._sound.n_channels)
        position = 0
        try:
            while queue or self._open:
                check()
                first = position if self._open else self._clips[queue[0]][0].start
                if first > position + n_block and self._sound.is_exact:
                    self._sound.seek(first)
                    position = first
                block = self._sound.read(min(n_block, max(1, self._sound.n_frames - position)))
                if not len(block):
                    self._end(queue)
                    break
                end = position + len(block)
                while queue and self._clips[queue[0]][0].start < end:
                    index = queue.popleft()
                    if len(self._open) < _MOST_OPEN:
                        plan, path = self._clips[index]
                        clip = _ClipFile(index, plan, path, self._sound.rate, self._form)
                        self._open.append(clip)
                    else:
                        left.append(index)
                self._write(block, position)
                position = end
        except SoundError as error:
            for index in [clip.index for clip in self._open] + [*queue, *left]:
                self._failed[index] = str(error)
            self._drop_open(error)
            return []
        except BaseException as error:
            self._drop_open(error)
            raise
        return left

    def _write(self, block: np.ndarray, position: int) -> None:
        heard: dict[str, np.ndarray] = {}
        still_open = []
        for clip in self._open:
            plan = clip.plan
            channel = self._loudest if plan.channel == LOUDEST else plan.channel
            if channel not in heard:
                heard[channel] = pick(block, channel)
            first, end = max(0, plan.start - position), plan.end - position
            try:
                clip.write(heard[channel][first:end])
            except SoundError as error:  # not a number
                self._failed[clip.index] = str(error)
                clip.drop(error)
                continue
            if end <= len(block):
                clip.finish()
            else:
                still_open.append(clip)
        self._open = still_open

    def _end(self, queue: deque[int]) -> None:
        """Deal with clips at the end of coded sound, which may lie a little before it should."""
        for clip in self._open:
            clip.finish()
        self._open = []
        self._failed.update(dict.fromkeys(queue, "the sound ends before it"))

    def _drop_open(self, error: BaseException) -> None:
        for clip in self._open:
            clip.drop(error)
        self._open = []


def _loudest(source: Path) -> str:
    """Return the number of the channel that holds most, from 1, as ``--channel`` takes it."""
    with Recording(source, LOUDEST) as recording:
        return str(recording.channel)
