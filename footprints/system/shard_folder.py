"""One output folder for several processes: which of them may write there at a time."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

from footprints.system.errors import UserError
from footprints.system.files import LOCK, naming, refuse_links, sole_process
from footprints.system.shard import Shard, shard_named
from footprints.system.text import printable

_PATIENCE_S = 30.0  # that other shards are let look at the lock, one after another


@contextlib.contextmanager
def shard_writer(folder: Path, shard: Shard) -> Iterator[None]:
    """Let no other process do this shard, nor one the whole; other shards may go on beside it.

    What killed processes left half written stays until the merge: it may be another machine's.

    Raises:
        UserError: If another process does, or the folder is a file.
        OSError: If the folder cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{printable(folder)}: is a file; choose another folder for the output")
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with sole_process(folder / shard.lock, f"at work on shard {shard} in this folder"):
        _wait_for_whole(folder)
        for name in (shard.journal, shard.note):
            refuse_links(folder / name, folder)
        yield


def refuse_shards_at_work(folder: Path) -> None:
    """Make sure that no shard is at work in a folder that is this process's own otherwise.

    Raises:
        UserError: Naming the shard.
    """
    for shard in shards_of(folder, "lock"):
        with sole_process(folder / shard.lock, f"at work on shard {shard} in this folder"):
            pass


def shards_of(folder: Path, ending: str) -> list[Shard]:
    """Return the shards that have a file in a folder: ``lock``, ``jsonl`` or ``json``."""
    names = (path.name for path in folder.iterdir() if path.name.endswith(f".{ending}"))
    found = (shard_named(name) for name in names)
    return sorted((s for s in found if s is not None), key=lambda s: (s.of, s.number))


def _wait_for_whole(folder: Path) -> None:
    """Make sure that no process works on all photos; other shards look too, for a moment."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with sole_process(folder / LOCK, "at work in this folder"):
                return
        except UserError:
            if time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.02, 0.3))
