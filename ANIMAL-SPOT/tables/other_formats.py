"""Tables of other programs, which crowsetta reads: Praat, TIMIT, evsonganaly and others."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.numbers import RowError
from animal_spot.tables.rows import EventRows
from animal_spot.tables.sampling_rate import rate_of
from animal_spot.tables.table_text import require_file
from animal_spot.utils.environment import pip_install
from animal_spot.utils.names import composed
from animal_spot.utils.text import printable


class _Segment(NamedTuple):
    """What was heard: times in seconds, or in samples."""

    label: str
    start: float
    end: float
    recording: str = ""
    tier: str = ""
    in_samples: bool = False


class _Format(NamedTuple):
    """How a kind of file is read.

    Attributes:
        kind: What it is called in a line.
        name: What crowsetta calls it.
        ending: As crowsetta wants it.
        segments: Takes what crowsetta read.
    """

    kind: str
    name: str
    ending: str
    segments: Callable[[Any], Iterator[_Segment]]


def _of_textgrid(grid: Any) -> Iterator[_Segment]:
    for tier in grid.tiers:
        for interval in getattr(tier, "intervals", ()):
            yield _Segment(interval.text, interval.xmin, interval.xmax, tier=tier.name)
        for point in getattr(tier, "points", ()):
            yield _Segment(point.mark, point.number, point.number, tier=tier.name)


def _of_timit(timit: Any) -> Iterator[_Segment]:
    for label, begin, end in zip(timit.text, timit.begin_samples, timit.end_samples, strict=True):
        yield _Segment(str(label), int(begin), int(end), in_samples=True)


def _of_notmat(notmat: Any) -> Iterator[_Segment]:
    for label, begin, end in zip(notmat.labels, notmat.onsets, notmat.offsets, strict=True):
        yield _Segment(str(label), float(begin), float(end))


def _of_birdsong(birdsong: Any) -> Iterator[_Segment]:
    for sequence in birdsong.sequences:
        for note in sequence.syls:
            begin, label = note.position, str(note.label)
            yield _Segment(label, begin, begin + note.length, sequence.wav_file, in_samples=True)


def _of_yarden(songs: Any) -> Iterator[_Segment]:
    for annotation in songs.to_annot(round_times=False):
        for segment in annotation.seq.segments:
            recording = str(annotation.notated_path)
            yield _Segment(segment.label, segment.onset_s, segment.offset_s, recording)


# By the end of the name in small letters; the longer ones first.
_FORMATS = {
    ".textgrid": _Format("Praat TextGrid", "textgrid", ".TextGrid", _of_textgrid),
    ".phn": _Format("TIMIT transcription", "timit", ".phn", _of_timit),
    ".wrd": _Format("TIMIT transcription", "timit", ".wrd", _of_timit),
    ".not.mat": _Format("labels of evsonganaly", "notmat", ".not.mat", _of_notmat),
    ".mat": _Format("labels of SongAnnotationGUI", "yarden", ".mat", _of_yarden),
    ".xml": _Format(
        "BirdsongRecognition XML", "birdsong-recognition-dataset", ".xml", _of_birdsong
    ),
}
OTHER_ENDINGS = tuple(_FORMATS)


def read_other(path: Path, columns: Columns) -> EventTable:
    """Read a file by its ending, one of ``OTHER_ENDINGS``; points in time are left out.

    Args:
        path: The file.
        columns: ``label`` is the tier of a TextGrid that is wanted; None: all.

    Raises:
        TableError: If crowsetta cannot read it, is not installed, or no row can be used.
        OSError: If it cannot be read.
    """
    require_file(path)
    chosen = next(one for end, one in _FORMATS.items() if path.name.lower().endswith(end))
    segments = _segments(path, chosen)
    tiers = list(dict.fromkeys(segment.tier for segment in segments if segment.tier))
    notes = [f"rows are those of {len(tiers)} tiers: {', '.join(tiers)}"] if tiers[1:] else []
    if columns.label is not None and tiers:
        if columns.label not in tiers:
            raise TableError(f"{path} has no tier {columns.label!r} (tiers: {', '.join(tiers)})")
        segments = [segment for segment in segments if segment.tier == columns.label]
        notes = []
    rows = EventRows(path)
    for number, segment in enumerate(segments, 1):
        rows.add(number, functools.partial(_event, path, number, segment))
    return rows.finish(chosen.kind, notes)


def _segments(path: Path, chosen: _Format) -> list[_Segment]:
    try:
        from crowsetta import formats
    except ImportError as error:
        raise TableError(
            f"{path} cannot be read without crowsetta; install it: {pip_install('crowsetta')}"
        ) from error
    with warnings.catch_warnings(), _with_ending(path, chosen.ending) as named:
        warnings.simplefilter("ignore")
        try:
            return list(chosen.segments(formats.by_name(chosen.name).from_file(named)))
        except OSError:
            raise
        except Exception as error:  # whatever a broken file leads these readers to
            reason = printable(str(error).strip().partition("\n")[0]) or type(error).__name__
            raise TableError(f"{path} cannot be read as {chosen.kind} ({reason})") from error


@contextlib.contextmanager
def _with_ending(path: Path, ending: str) -> Iterator[Path]:
    """Give a file the ending that crowsetta wants, which knows one form of it only."""
    if path.name.endswith(ending):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"{path.name[: -len(ending)]}{ending}")
        shutil.copyfile(path, copy)
        yield copy


def _event(path: Path, number: int, segment: _Segment) -> tuple[object, LabelledEvent]:
    rate = rate_of(segment.recording, path) if segment.in_samples else 1
    times = [float(time) / rate for time in (segment.start, segment.end)]
    if not all(time == time and abs(time) != float("inf") for time in times):
        raise RowError(f"{times[0]} to {times[1]} s is no time")
    return number, LabelledEvent(
        composed(segment.label.strip()),
        *times,
        table=path,
        row=number,
        recording=segment.recording or None,
        extra={"tier": segment.tier} if segment.tier else {},
    )
