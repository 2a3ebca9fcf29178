"""Sound without labels as training samples: clips, and recordings cut into windows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.recordings import Recording, RecordingError, find_sounds
from animal_spot.audio.sound_kinds import why_not_read
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus, CorpusError, report_notes
from animal_spot.data.inspection import SILENCE_PEAK
from animal_spot.utils.files import file_digest
from animal_spot.utils.names import composed

UNLABELLED = -1  # label of these samples
_BLOCK = 2**20  # samples
_YEAR = re.compile(r"\A\d{4}_(?=.)")  # before the tapes of named clips


def add_unlabelled(
    corpus: Corpus,
    folder: Path,
    clip_s: float,
    *,
    exclude_silent: bool = False,
    channel: str = MIX,
) -> int:
    """Find the sound files of a folder and put them into ``corpus.unlabelled``.

    A file no longer than a clip is one sample. A longer one is cut into windows of the clip length,
    one after the other; what is left at its end is one more if it is half a clip or longer. Files
    that cannot be used come into ``corpus.excluded``. Validation and test must stay unheard: files
    that are clips of the corpus are left out, and so is, with a reason in ``corpus.excluded``, what
    holds the name of a tape of validation or test in its own.

    Args:
        corpus: Gets the samples.
        folder: With sound files of any length in it and below.
        clip_s: Length of a window.
        exclude_silent: Leave out files without sound.
        channel: What is heard of files with several, see ``audio.channels``.

    Returns:
        Number of files that are clips of the corpus.

    Raises:
        CorpusError: If there is no such folder, or nothing in it can be used.
    """
    if not folder.is_dir():
        raise CorpusError(f"--unlabelled_dir {folder} does not exist or is not a folder")
    known = _digests_of(s for samples in corpus.samples.values() for s in samples)
    held_back = _names_of_tapes([*corpus.samples["val"], *corpus.samples["test"]])
    n_known = 0
    try:
        found = find_sounds([str(folder)])
    except ValueError as error:
        raise CorpusError(f"--unlabelled_dir: {error}") from error
    paths = found.recordings
    notes: dict[str, list[str]] = {}
    corpus.excluded |= {str(path): why_not_read(path.name) for path in found.not_read}
    for path in paths:
        try:
            recording = _read_to_end(path, channel)
            n_samples, rate, peak = recording.n_frames, recording.rate, recording.heard.peak
            digest = file_digest(path)
        except (RecordingError, OSError) as error:
            corpus.excluded[str(path)] = str(error)
            continue
        if digest in known:
            n_known += 1
        elif tape := held_back.search(composed(path.stem)):
            corpus.excluded[str(path)] = f"named like tape {tape[0]} of validation or test"
        elif exclude_silent and peak < SILENCE_PEAK:
            corpus.excluded[str(path)] = f"silent: peak {peak:.2g} of full scale"
        else:
            name = os.path.relpath(path, folder)
            corpus.unlabelled += _samples(path, name, digest, n_samples, round(clip_s * rate))
            notes[str(path)] = recording.problems()
    if not corpus.unlabelled:
        raise CorpusError(
            f"--unlabelled_dir {folder}: none of its {len(paths)} sound files can be used "
            f"({n_known} are clips of the data folder)"
        )
    corpus.warnings += report_notes(notes)
    return n_known


def _digests_of(samples: Iterable[Sample]) -> set[str]:
    """Return the digests of the files of clips, of which they may be parts."""
    whole, cut = set(), set()
    for sample in samples:
        if sample.span is None:
            whole.add(sample.digest)
        else:
            cut.add(sample.path)
    return whole | {file_digest(path) for path in cut}


def _names_of_tapes(samples: Iterable[Sample]) -> re.Pattern[str]:
    """Return what finds the tape of one of these clips in a name, as a word of its own."""
    tapes = {_YEAR.sub("", sample.tape, count=1) for sample in samples if sample.tape}
    longest_first = sorted(map(re.escape, tapes), key=len, reverse=True)
    words = "|".join(longest_first) or "(?!)"
    return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)


def _read_to_end(path: Path, channel: str) -> Recording:
    """Read a file to its end; return it, closed, with what was found."""
    with Recording(path, channel) as recording:
        for _ in recording.blocks(_BLOCK):
            pass
        if recording.n_frames == 0:
            raise RecordingError("empty: no samples")
        return recording


def _samples(path: Path, name: str, digest: str, n_samples: int, window: int) -> Iterator[Sample]:
    if n_samples <= window:
        yield Sample(path, name, digest, UNLABELLED)
        return
    for start in range(0, n_samples, window):
        length = min(window, n_samples - start)
        if 2 * length >= window:
            part = f"{start}+{length}"
            yield Sample(
                path, f"{name}@{part}", f"{digest}@{part}", UNLABELLED, span=(start, length)
            )
