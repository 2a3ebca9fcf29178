"""One output folder for several processes: who may write there, and their journals made one."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from animal_spot.detections.journal import FILE_NAME
from animal_spot.prediction.shard import Shard, shard_named
from animal_spot.utils.files import locked, refuse_links, sole_process

LOCK = ".prediction.lock"
_PATIENCE_S = 30.0  # that other shards are let look at the lock, one after another
_BLOCK = 2**20


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Let no other process write into an output folder, and take in what shards did there.

    Raises:
        OSError: If one does, or a journal cannot be written.
    """
    with sole_process(folder / LOCK, f"writing into {folder}"):
        for shard in shards_of(folder, "lock"):
            try:
                with locked(folder / shard.lock):
                    pass
            except BlockingIOError as error:
                raise OSError(
                    f"shard {shard} is writing into {folder}; wait for it or end it{error}"
                ) from error
        _take_in(folder)
        yield


@contextlib.contextmanager
def shard_writer(folder: Path, shard: Shard) -> Iterator[None]:
    """Let no other process do this shard, nor one the whole; other shards may go on beside it.

    What killed programs left half written stays until the merge: it may be another machine's.

    Raises:
        OSError: If another process does.
        ValueError: If shards of another number were run since.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder / shard.lock))
        except BlockingIOError as error:
            raise OSError(
                f"another process is working on shard {shard} in {folder}; wait for it or end "
                f"it{error}"
            ) from error
        _wait_for_whole(folder)
        _refuse_outdated(folder, shard)
        yield


def _refuse_outdated(folder: Path, shard: Shard) -> None:
    """Make sure that the journal of a shard is not older than that of another division.

    It would be believed, and what the others replaced would count as what this shard wrote.

    Raises:
        ValueError: If it is.
    """
    if not (folder / shard.journal).exists():
        return
    own_ns = (folder / shard.journal).stat().st_mtime_ns
    for other in shards_of(folder, "jsonl"):
        if other.of != shard.of and (folder / other.journal).stat().st_mtime_ns > own_ns:
            raise ValueError(
                f"shard {other} was run into {folder} after shard {shard}, which it may have "
                f"overwritten: start animal-spot merge {shlex.quote(str(folder))} once, which "
                "notes what is still complete, then this again"
            )


def _wait_for_whole(folder: Path) -> None:
    """Make sure that no process works on all recordings; other shards look too, for a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with locked(folder / LOCK):
                return
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise OSError(
                    f"another process is writing into {folder}; wait for it or end it{error}"
                ) from error
        time.sleep(random.uniform(0.02, 0.3))


def shards_of(folder: Path, ending: str) -> list[Shard]:
    """Return the shards that have a file in a folder: ``lock``, ``jsonl`` or ``json``."""
    names = (path.name for path in folder.iterdir() if path.name.endswith(f".{ending}"))
    found = (shard_named(name) for name in names)
    return sorted((s for s in found if s is not None), key=lambda s: (s.of, s.number))


def journals_of_others(folder: Path, own: str) -> list[str]:
    """Return the journals in a folder but for one, the oldest first."""
    names = [shard.journal for shard in shards_of(folder, "jsonl")]
    names.sort(key=lambda name: (folder / name).stat().st_mtime_ns)
    return [name for name in (FILE_NAME, *names) if name != own]


def _take_in(folder: Path) -> None:
    """Append the journals of shards to the one of the folder, and remove them.

    A journal that was taken in twice, after a kill, says the same twice.

    Raises:
        OSError: If one is a link or cannot be read, or the journal cannot be written.
    """
    refuse_links(folder / FILE_NAME, folder)
    for name in journals_of_others(folder, FILE_NAME):
        refuse_links(folder / name, folder)
        with open(folder / name, "rb") as source, open(folder / FILE_NAME, "ab") as target:
            target.write(b"\n")
            while block := source.read(_BLOCK):
                target.write(block)
            target.write(b"\n")
            target.flush()
            os.fsync(target.fileno())
        (folder / name).unlink()
