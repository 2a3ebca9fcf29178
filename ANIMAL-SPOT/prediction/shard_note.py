"""What a shard leaves for the merge: its recordings, their place in the list, what failed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from animal_spot.audio.recordings import LIST_SUFFIXES
from animal_spot.detections.journal import Completed
from animal_spot.metadata.recording_time import NO_TIME
from animal_spot.metadata.time_json import NotedTime, noted_time, time_of
from animal_spot.prediction.run_tables import Tally
from animal_spot.prediction.shard import Shard
from animal_spot.remote.addresses import full_name, is_address, path_in, shown
from animal_spot.utils.files import digest_of, write_text_atomic
from animal_spot.utils.typed import read_json, typed

log = logging.getLogger("MERGE")

_VERSION = 1


@dataclass(frozen=True, kw_only=True)
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
    recordings: list[NotedRecording]
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
    def of(cls, paths: Sequence[Path], names: Sequence[str]) -> WholeList:
        """Make it of all that was listed, in order, and its names there."""
        text = "".join(f"{name}\0" for name in names)
        return cls({path: at for at, path in enumerate(paths)}, digest_of(os.fsencode(text)))


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
        recordings=list(_recordings(whole, tally)),
        inputs=[full_name(path_in(text)) for text in inputs],
    )
    write_text_atomic(folder / shard.note, json.dumps(asdict(note)) + "\n")


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
    note = typed(ShardNote, read_json(path), path.name)
    if note.version != _VERSION:
        raise ValueError(f"{path} is of another version of this program: run the shard again")
    if path.name != note.shard.note or len(note.band_hz) != 2:
        raise ValueError(f"{path} is not the note of that shard: run the shard again")
    return note


def tally_of(notes: Sequence[ShardNote], entries: Mapping[str, Completed]) -> Tally:
    """Put the notes of all shards together as if one process had worked through the list.

    Args:
        notes: Of all shards of one list.
        entries: What is known of complete recordings, by absolute path.

    Raises:
        ValueError: If they are not of one list, model and settings, or a recording that was
            complete is not any more; the message says what to run again.
    """
    _refuse_different(notes)
    rows = sorted(
        ((row, note.shard) for note in notes for row in note.recordings),
        key=lambda pair: pair[0].at,
    )
    if [row.at for row, _ in rows] != list(range(notes[0].n_listed)):
        raise ValueError("the shards together are not the whole list: run all of them again")
    tally = Tally([path_in(row.path) for row, _ in rows], {}, set(), {}, times={})
    for row, shard in rows:
        path = path_in(row.path)
        tally.times[path] = time_of(row.time)
        if row.failed:
            tally.failed[path] = row.failed
            continue
        entry = entries.get(row.full or row.path)
        if entry is None or entry.run != row.run:
            raise ValueError(f"{row.path} is not complete any more: run --shard {shard} again")
        tally.entries[path] = entry
        if row.before:
            tally.skipped.add(path)
    return tally


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
