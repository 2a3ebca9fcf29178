"""Answers noted down one by one, so that a run can go on and shards can be merged."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from footprints.cluster.shard_note import ShardNote, name_in_listing
from footprints.scores.answers import Answer, Failure
from footprints.scores.kept_answers import kept, read_kept
from footprints.system.errors import UserError
from footprints.system.files import refuse_links, write_bytes
from footprints.system.shard_folder import shards_of
from footprints.system.text import printable
from footprints.system.typed import as_text, as_whole, json_object

WHOLE = ".completed.jsonl"  # of a run that is no shard
_SYNC_S = 5.0

Found = Answer | Failure
Source = Callable[[Sequence[Path]], AbstractContextManager[Iterator[Found]]]


class AnswerJournal:
    """One line a photo; only appended to. To be used by one process at a time.

    A line that was cut off by a kill, or that says what cannot be, is passed over. Lines of other
    runs are removed: they may say where photos were taken when this run is not to.

    Args:
        folder: The output folder.
        name: Of this process's journal in it; those of shards beside it are read too.
        root: The folder that photos are named relative to.
        run: Digest of all that answers depend on beside the photo.
    """

    def __init__(self, folder: Path, name: str, root: Path, run: str) -> None:
        self._path, self._root, self._run = folder / name, root, run
        refuse_links(self._path, folder)
        if name in journals_of_others(folder, run):
            ours = (line.text + b"\n" for line in _lines_of(self._path) if line.run == run)
            write_bytes(self._path, b"".join(ours))
        self._lines = _newest_lines(folder, run)
        self._file = open(self._path, "ab")  # noqa: SIM115 - closed by close()
        if self._file.tell():
            self._file.write(b"\n")  # the last line may have been cut off
        self._synced = time.monotonic()

    def __enter__(self) -> AnswerJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._sync()
        self._file.close()

    def knows(self, photo: Path) -> bool:
        """Tell whether there is an answer to a photo, which is unchanged; failures do not count."""
        line = self._lines.get(name_in_listing(photo, self._root))
        if line is None:
            return False
        try:
            content, status = json_object(line), os.stat(photo)
            is_answer = isinstance(read_kept(content, photo), Answer)
        except (OSError, ValueError):
            return False
        return is_answer and (content.get("size"), content.get("mtime_ns")) == _state(status)

    @contextlib.contextmanager
    def completed_by(self, source: Source, photos: Sequence[Path]) -> Iterator[Iterator[Found]]:
        """Give what is known and what a source finds out, in the order of the photos.

        Args:
            source: Asked for photos without an answer only.
            photos: All of them.
        """
        pending = [photo for photo in photos if not self.knows(photo)]
        with source(pending) as news:
            yield self._in_order(photos, {*pending}, news)

    def _in_order(
        self, photos: Sequence[Path], pending: set[Path], news: Iterator[Found]
    ) -> Iterator[Found]:
        for photo in photos:
            if photo not in pending:
                line = self._lines[name_in_listing(photo, self._root)]
                yield read_kept(json_object(line), photo)
                continue
            found = next(news)
            self._add(photo, found)
            yield found

    def _add(self, photo: Path, found: Found) -> None:
        try:
            size, mtime_ns = _state(os.stat(photo))
        except OSError:  # it is gone, which its failure says
            size, mtime_ns = 0, 0
        name = name_in_listing(photo, self._root)
        head = {"photo": name, "run": self._run, "made_ns": time.time_ns()}
        head |= {"size": size, "mtime_ns": mtime_ns}
        self._file.write(json.dumps(head | kept(found)).encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_S:
            self._sync()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def journals_in(folder: Path) -> list[Path]:
    """Return the journals of a folder."""
    names = [WHOLE, *(shard.journal for shard in shards_of(folder, "jsonl"))]
    return [folder / name for name in names if (folder / name).is_file()]


def answers_of_shards(
    folder: Path, notes: Sequence[ShardNote], root: Path, photos: Sequence[Path]
) -> Iterator[Found]:
    """Yield what shards found out on photos, in the order of these.

    Raises:
        UserError: If a photo is missing, naming the shard that it is in.
    """
    lines = _newest_lines(folder, notes[0].run)
    for photo in photos:
        name = name_in_listing(photo, root)
        try:
            yield read_kept(json_object(lines[name]), photo)
        except (KeyError, ValueError):
            shard = next(note.shard for note in notes if note.shard.holds(name))
            raise UserError(
                f"{printable(name)}: shard {shard} has no answer to it any more; run it again with "
                f"--shard {shard}, then merge again"
            ) from None


def journals_of_others(folder: Path, run: str) -> list[str]:
    """Return the names of journals that hold answers of other runs."""
    return [
        path.name for path in journals_in(folder) if any(one.run != run for one in _lines_of(path))
    ]


class _Line(NamedTuple):
    """A line of a journal: of which photo and run it is, when it was written, its text."""

    photo: str
    run: str
    made_ns: int
    text: bytes


def _newest_lines(folder: Path, run: str) -> dict[str, bytes]:
    """Return the newest line of a run on each photo, by its name below the folder of all."""
    newest: dict[str, _Line] = {}
    for path in journals_in(folder):
        refuse_links(path, folder)
        for line in _lines_of(path):
            known = newest.get(line.photo)
            if line.run == run and (known is None or known.made_ns <= line.made_ns):
                newest[line.photo] = line
    return {photo: line.text for photo, line in newest.items()}


def _lines_of(path: Path) -> Iterator[_Line]:
    """Yield the lines that can be read."""
    with open(path, "rb") as file:
        for text in file:
            with contextlib.suppress(ValueError):
                content = json_object(text)
                yield _Line(
                    as_text(content.get("photo")),
                    as_text(content.get("run")),
                    as_whole(content.get("made_ns"), 0),
                    text.rstrip(b"\n"),
                )


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
