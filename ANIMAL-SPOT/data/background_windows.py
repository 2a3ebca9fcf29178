"""Recordings without calls as background: windows to mix in, and clips of the noise class."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.channels import ChannelError, pick
from animal_spot.audio.recordings import Recording, RecordingError, find_sounds
from animal_spot.audio.sound_file import SoundError, check_magnitude
from animal_spot.audio.sound_kinds import why_not_read
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus, CorpusError, report_notes
from animal_spot.data.inspection import SILENCE_PEAK
from animal_spot.utils.files import digest_of, file_digest

NO_CLASS = -1  # label of a window that is only mixed in
MOST_WINDOWS = 1000  # of all recordings together
_SHORTEST = 0.5  # of a window: what is left at the end of a recording, or a short recording

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Background:
    """What folders of recordings without calls hold.

    Attributes:
        windows: Spread over all recordings; in random order.
        excluded: Path of each file that is not used, or not to its end, and the reason.
        notes: What is strange about files that are used.
    """

    windows: tuple[Sample, ...]
    excluded: dict[str, str]
    notes: dict[str, list[str]]


def add_background(
    corpus: Corpus,
    folders: Sequence[str],
    window_s: float,
    *,
    noise_label: int | None,
    seed: int,
    exclude_silent: bool = False,
    channel: str = MIX,
) -> None:
    """Mix windows of recordings without calls into training clips, and train on some as noise.

    Further clips of the noise class are as many as the class has training clips, or the mean class
    has, whichever is more: so they are no more than half of it where it is large. Recordings that
    are clips of validation or test are left out.

    Args:
        corpus: Gets the windows in ``noise`` and ``noise_pool``, and some in the training clips.
        folders: With recordings in them and below.
        window_s: Length of a window.
        noise_label: Index of the noise class; None: there is none, so windows are only mixed in.
        seed: Of the choice of windows.
        exclude_silent: Leave out windows without sound.
        channel: What is heard of files with several, see ``audio.channels``.

    Raises:
        CorpusError: If a folder does not exist, or nothing can be used.
    """
    found = find_background(tuple(folders), window_s, seed, exclude_silent, channel)
    held_back = _of_held_back(corpus, {window.path for window in found.windows})
    windows = [window for window in found.windows if window.path not in held_back]
    corpus.excluded |= found.excluded | dict.fromkeys(
        map(str, held_back), "it is a clip of validation or test"
    )
    for path, reason in found.excluded.items():
        log.warning("--background_dir: %s: %s", path, reason)
    if held_back:
        log.warning("%d background files are clips of val or test: left out", len(held_back))
    if not windows:
        raise CorpusError(
            f"--background_dir {' '.join(folders)}: no sound file there can be used; name a folder "
            "of recordings without calls"
        )
    corpus.warnings += report_notes(found.notes)
    corpus.noise = [*corpus.noise, *windows]
    if corpus.noise_pool:
        corpus.noise_pool = [*corpus.noise_pool, *windows]
    n_clips = 0
    if noise_label is not None:
        labels = [sample.label for sample in corpus.samples["train"]]
        n_mean = round(len(labels) / max(1, len(corpus.classes)))
        n_clips = min(len(windows), max(labels.count(noise_label), n_mean, 1))
        corpus.samples["train"] += [
            replace(window, label=noise_label) for window in windows[:n_clips]
        ]
    log.info(
        "background: %d windows of %d recordings are mixed in, %d of them are clips of the noise "
        "class too",
        *(len(windows), len({window.path for window in windows}), n_clips),
    )


@functools.lru_cache(maxsize=2)  # folds want the same
def find_background(
    folders: tuple[str, ...], window_s: float, seed: int, exclude_silent: bool, channel: str
) -> Background:
    """Choose windows of recordings at random and look into them; only these are read.

    Args:
        folders: With recordings in them and below.
        window_s: Length of a window; of what is shorter, but half as long, all is taken.
        seed: Of the choice.
        exclude_silent: Leave out windows without sound.
        channel: What is heard.

    Raises:
        CorpusError: If a folder does not exist or holds no sound file.
    """
    names: dict[Path, str] = {}
    excluded: dict[str, str] = {}
    for folder in folders:
        if not os.path.isdir(folder):
            raise CorpusError(f"--background_dir {folder} does not exist or is not a folder")
        try:
            found = find_sounds([folder])
        except ValueError as error:
            raise CorpusError(f"--background_dir: {error}") from error
        excluded |= {str(path): why_not_read(path.name) for path in found.not_read}
        for path in found.recordings:
            names.setdefault(path, f"background/{os.path.relpath(path, folder)}")
    places: dict[Path, list[tuple[int, int]]] = {}
    rng = np.random.default_rng(seed)
    for path in names:
        try:
            with Recording(path) as recording:
                spans = _spans(recording.n_frames, round(window_s * recording.rate))
        except RecordingError as error:
            excluded[str(path)] = str(error)
            continue
        if not spans:
            excluded[str(path)] = f"shorter than half a window of {window_s:g} s"
        places[path] = [spans[i] for i in rng.permutation(len(spans))[:MOST_WINDOWS]]
    windows, notes = [], {}
    for path, spans in _dealt(places, MOST_WINDOWS).items():
        of_file, reason, notes[str(path)] = _look_into(
            path, names[path], spans, exclude_silent, channel
        )
        windows += of_file
        if reason is not None:
            excluded[str(path)] = reason
    order = rng.permutation(len(windows))
    return Background(tuple(windows[i] for i in order), excluded, notes)


def _spans(n_samples: int, window: int) -> list[tuple[int, int]]:
    """Return first sample and number of the windows of a recording, one after the other."""
    lengths = ((start, min(window, n_samples - start)) for start in range(0, n_samples, window))
    return [(start, length) for start, length in lengths if length >= _SHORTEST * window]


def _dealt(
    places: dict[Path, list[tuple[int, int]]], most: int
) -> dict[Path, list[tuple[int, int]]]:
    """Take windows of each recording in turn until there are enough; return them in order."""
    deepest = max(map(len, places.values()), default=0)
    chosen: dict[Path, list[tuple[int, int]]] = {}
    n_chosen = 0
    for turn in range(deepest):
        for path, spans in places.items():
            if turn < len(spans) and n_chosen < most:
                chosen.setdefault(path, []).append(spans[turn])
                n_chosen += 1
    return {path: sorted(spans) for path, spans in chosen.items()}


def _look_into(
    path: Path, name: str, spans: Sequence[tuple[int, int]], exclude_silent: bool, channel: str
) -> tuple[list[Sample], str | None, list[str]]:
    """Read windows of a recording; return those that can be used, why others not, and notes."""
    windows: list[Sample] = []
    try:
        with Recording(path) as recording:
            for start, length in spans:
                recording.seek(start)
                heard = pick(recording.read(length), channel)
                if not len(heard):
                    raise RecordingError(f"nothing can be read from sample {start} on")
                peak = check_magnitude(heard)
                if peak == 0 or (exclude_silent and peak < SILENCE_PEAK):
                    continue
                windows.append(
                    Sample(
                        path,
                        f"{name}@{start}+{length}",
                        digest_of(heard.tobytes() + f"{recording.rate}".encode()),
                        NO_CLASS,
                        (start, length),
                        length / recording.rate,
                        name,
                    )
                )
            notes = recording.problems()
    except (RecordingError, SoundError, ChannelError) as error:
        return windows, str(error), []
    return windows, None if windows else "silent", notes


def _of_held_back(corpus: Corpus, paths: set[Path]) -> set[Path]:
    """Return the files that are clips of validation or test; only those as large are compared."""
    held = [s for name in ("val", "test") for s in corpus.samples[name]]
    sizes = {sample.path.stat().st_size for sample in held}
    digests = {sample.digest for sample in held if sample.span is None}
    digests |= {file_digest(path) for path in {s.path for s in held if s.span is not None}}
    alike = {path for path in paths if path.stat().st_size in sizes}
    return {path for path in alike if file_digest(path) in digests}
