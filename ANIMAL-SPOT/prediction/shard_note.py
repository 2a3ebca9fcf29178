"""What a shard leaves for the merge: its recordings, their place in the list, what failed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from animal_spot.audio.recordings import LIST_SUFFIXES
from animal_spot.detections.journal import Completed, Journal
from animal_spot.metadata.recording_time import NO_TIME
from animal_spot.metadata.time_json import NotedTime, noted_time, time_of
from animal_spot.metadata.time_list import TimeList
from animal_spot.prediction.run_tables import NotedEntries, Tally
from animal_spot.prediction.shard import Shard
from animal_spot.remote.addresses import full_name, is_address, path_in, shown
from animal_spot.utils.compact import TextList
from animal_spot.utils.files import atomic_path
from animal_spot.utils.many_paths import PathList, PathMap, PathSet
from animal_spot.utils.typed import parse_json, read_json, typed

log = logging.getLogger("MERGE")

_VERSION = 1
_LONGEST_HEAD = 2**20  # bytes
_OPEN, _END = b'"recordings": [', b"]}"  # the first line, and what stands in the last one


@dataclass(frozen=True, kw_only=True, slots=True)
class NotedRecording:
    """A recording, or a file of a kind that cannot be read.

    Attributes:
        at: Its place in the whole list, from 0.
        path: As it was given.
        full: Its absolute path; empty: ``path`` is one.
        run: Hash of all that its results depend on; empty if it failed.
        failed: Why it could not be used; empty if it could.
        before: It was complete when the shard was last started.
        time: When and where it was made.
    """

    at: int
    path: str
    full: str = ""
    run: str = ""
    failed: str = ""
    before: bool = False
    time: NotedTime | None = None


@dataclass(frozen=True, kw_only=True)
class ShardNote:
    """A shard that is done.

    Attributes:
        version: Of this form.
        number: Which one, from 1.
        of: How many there are.
        run: Hash of model and settings.
        names: Classes in index order.
        band_hz: What the model listens to.
        n_listed: Recordings of all shards, and files of kinds that cannot be read.
        listed: Hash of their names in order.
        recordings: Those of this shard.
        inputs: Absolute paths or addresses of the folders, lists and files that were given.
    """

    version: int
    number: int
    of: int
    run: str
    names: list[str]
    band_hz: list[float]
    n_listed: int
    listed: str
    recordings: list[NotedRecording]  # or what yields them
    inputs: list[str] = field(default_factory=list)

    @property
    def shard(self) -> Shard:
        """Which shard it is of."""
        return Shard(self.number, self.of)


@dataclass(frozen=True)
class WholeList:
    """The list that all shards share.

    Attributes:
        place: Of each path, from 0.
        digest: Hash of the names in order.
    """

    place: Mapping[Path, int]
    digest: str

    @classmethod
    def of(cls, paths: PathList, names: Sequence[str]) -> WholeList:
        """Make it of all that was listed, in order, and its names there."""
        digest = hashlib.blake2b(digest_size=16)  # as ``digest_of`` them all
        for name in names:
            digest.update(os.fsencode(f"{name}\0"))
        return cls(PathMap(paths, range(len(paths))), digest.hexdigest())


def write_note(
    folder: Path,
    shard: Shard,
    whole: WholeList,
    *,
    run: str,
    names: Sequence[str],
    band_hz: tuple[float, float],
    tally: Tally,
    inputs: Sequence[str],
) -> None:
    """Note that a shard is done, and what came of it.

    Raises:
        OSError: If it cannot be written.
    """
    note = ShardNote(
        version=_VERSION,
        number=shard.number,
        of=shard.of,
        run=run,
        names=list(names),
        band_hz=list(band_hz),
        n_listed=len(whole.place),
        listed=whole.digest,
        recordings=[],
        inputs=[full_name(path_in(text)) for text in inputs],
    )
    with atomic_path(folder / shard.note) as temporary, open(temporary, "wb") as file:
        file.writelines(_lines(note, _recordings(whole, tally)))


def _lines(note: ShardNote, recordings: Iterable[NotedRecording]) -> Iterator[bytes]:
    """Yield a note as JSON, with each recording on a line, so that it can be read line by line."""
    head = {name: value for name, value in asdict(note).items() if name != "recordings"}
    yield json.dumps(head).encode().removesuffix(b"}") + b", " + _OPEN
    comma = b"\n"
    for row in recordings:
        yield comma + json.dumps(asdict(row)).encode()
        comma = b",\n"
    yield b"\n" + _END + b"\n"


def _recordings(whole: WholeList, tally: Tally) -> Iterator[NotedRecording]:
    failed = {**tally.failed, **tally.not_read}
    for path in tally.paths:
        entry, full = tally.entries.get(path), full_name(path)
        yield NotedRecording(
            at=whole.place[path],
            path=shown(path),
            full="" if full == shown(path) else full,
            run="" if entry is None else entry.run,
            failed=failed.get(path, ""),
            before=path in tally.skipped,
            time=noted_time(tally.times.get(path, NO_TIME)),
        )


def read_note(path: Path) -> ShardNote:
    """Read a note.

    Raises:
        ValueError: If it is damaged, or of another version.
        OSError: If it cannot be read.
    """
    note = _in_lines(path) or typed(ShardNote, read_json(path), path.name)
    if note.version != _VERSION:
        raise ValueError(f"{path} is of another version of this program: run the shard again")
    if path.name != note.shard.note or len(note.band_hz) != 2:
        raise ValueError(f"{path} is not the note of that shard: run the shard again")
    return note


def _in_lines(path: Path) -> ShardNote | None:
    """Read a note but for its recordings; None if these are on no lines of their own."""
    with open(path, "rb") as file:
        first = file.readline(_LONGEST_HEAD).rstrip()
    if not first.endswith(_OPEN):
        return None
    note = typed(ShardNote, parse_json(first + _END, path.name), path.name)
    return replace(note, recordings=_NotedRecordings(path))


class _NotedRecordings:
    """The recordings of a note, read from its lines whenever one goes through them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[NotedRecording]:
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, 1):
                row = line.strip()
                if row == _END:
                    return
                if number > 1:
                    where = f"{self._path.name}, line {number}"
                    yield typed(NotedRecording, parse_json(row.removesuffix(b","), where), where)
        raise ValueError(f"{self._path} has no end: run the shard again")


@dataclass
class _Rows:
    """The recordings of all notes, in the order in which they are read.

    Attributes:
        paths: As they were given.
        fulls: What the journal knows each by.
        runs: Hash of all that the results of each depend on; empty if it failed.
        times: When and where they were made.
        notes: Number of the note of each.
        before: Whether each was complete before.
        failed: Why some could not be used.
    """

    paths: TextList = field(default_factory=TextList)
    fulls: TextList = field(default_factory=TextList)
    runs: TextList = field(default_factory=TextList)
    times: TimeList = field(default_factory=TimeList)
    notes: array = field(default_factory=lambda: array("L"))
    before: bytearray = field(default_factory=bytearray)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, row: NotedRecording, note: int) -> None:
        """Take a row."""
        if row.failed:
            self.failed[len(self.paths)] = row.failed
        self.paths.append(row.path)
        self.fulls.append(row.full or row.path)
        self.runs.append(row.run)
        self.times.append(time_of(row.time))
        self.notes.append(note)
        self.before.append(row.before)


def tally_of(
    notes: Sequence[ShardNote], journal: Journal, is_there: Callable[[Completed], bool]
) -> Tally:
    """Put the notes of all shards together as if one process had worked through the list.

    Args:
        notes: Of all shards of one list.
        journal: What is known of complete recordings.
        is_there: Tells whether the results of one are still there.

    Raises:
        ValueError: If they are not of one list, model and settings, or a recording that was
            complete is not any more; the message says what to run again.
    """
    _refuse_different(notes)
    rows, order = _rows_of(notes)
    paths = PathList(path_in(rows.paths[i]) for i in order)
    fulls = PathMap(paths, TextList(rows.fulls[i] for i in order))
    times = PathMap(paths, TimeList(rows.times[i] for i in order))
    complete, before = PathSet(paths), PathSet(paths)
    tally = Tally(
        paths, {}, before, NotedEntries(journal, complete, fulls.__getitem__), times=times
    )
    for i, path in zip(order, paths, strict=True):
        if i in rows.failed:
            tally.failed[path] = rows.failed[i]
            continue
        entry = journal.entry_of(rows.fulls[i])
        if entry is None or entry.run != rows.runs[i] or not is_there(entry):
            shard = notes[rows.notes[i]].shard
            raise ValueError(f"{rows.paths[i]} is not complete any more: run --shard {shard} again")
        complete.add(path)
        tally.sums.add(entry)
        if rows.before[i]:
            before.add(path)
    return tally


def _rows_of(notes: Sequence[ShardNote]) -> tuple[_Rows, array]:
    """Read the recordings of all notes; return also which row is at each place of the list.

    Raises:
        ValueError: If they are not the whole list.
    """
    rows, places = _Rows(), array("q")
    for number, note in enumerate(notes):
        for row in note.recordings:
            places.append(row.at)
            rows.add(row, number)
    n = notes[0].n_listed
    if len(places) != n or sorted(places) != list(range(n)):
        raise ValueError("the shards together are not the whole list: run all of them again")
    order = array("Q", bytes(8 * n))
    for i, at in enumerate(places):
        order[at] = i
    return rows, order


def _refuse_different(notes: Sequence[ShardNote]) -> None:
    first = notes[0]
    for note in notes[1:]:
        same_list = (note.n_listed, note.listed) == (first.n_listed, first.listed)
        settings = [f.name for f in fields(ShardNote) if f.name in ("run", "names", "band_hz")]
        if any(getattr(note, name) != getattr(first, name) for name in settings):
            raise ValueError(
                f"shards {first.shard} and {note.shard} were run with another model or other "
                "settings: run one of them again"
            )
        if not same_list:
            raise ValueError(
                f"shards {first.shard} and {note.shard} listed other recordings "
                f"({first.n_listed} and {note.n_listed}): run them again on the same ones"
            )
    for note in notes[1:]:
        for one, other in zip(_roots(first), _roots(note), strict=False):
            if one is not None and other is not None:
                _refuse_other_root(f"shards {first.shard} and {note.shard}", one, other)


def _roots(note: ShardNote) -> Iterator[str | None]:
    """Yield what recordings are named below, for each input; None: their names say where they are.

    That is a folder, the one that a list lies in, or a recording itself.
    """
    for text in note.inputs:
        path = path_in(text)
        if path.suffix.lower() not in LIST_SUFFIXES:
            yield text
            continue
        rows = (path_in(row.full or row.path) for row in note.recordings)
        has_rows_below = any(row.is_relative_to(path.parent) for row in rows)
        yield shown(path.parent) if has_rows_below else None


def _refuse_other_root(shards: str, one: str, other: str) -> None:
    """Make sure that two places, whose recordings have the same names, are one seen from two sides.

    Recorders that keep one schedule name their files alike. Where an archive is mounted twice its
    folder has one inode and one time.

    Raises:
        ValueError: If they are not.
    """
    if one == other:
        return
    if is_address(one) and is_address(other):
        is_same = False
    else:
        try:
            seen = [os.stat(text) for text in (one, other)]
        except OSError:
            log.warning(
                "%s took recordings from %s and from %s, which are not both seen here: the tables "
                "are right only if these are one folder",
                *(shards, one, other),
            )
            return
        is_same = len({(status.st_ino, status.st_mtime_ns) for status in seen}) == 1
    if not is_same:
        raise ValueError(
            f"{shards} took recordings of the same names from {one} and from {other}: run them "
            "again on the same ones"
        )
