"""The shards of a prediction put together: one journal, and the tables over all recordings."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from animal_spot.detections.journal import Completed, Journal
from animal_spot.detections.result_writers import SUFFIXES
from animal_spot.prediction.merge_config import MergeConfig
from animal_spot.prediction.run_tables import FAILED, SUMMARY, write_run_tables
from animal_spot.prediction.shard import Shard
from animal_spot.prediction.shard_folder import shards_of, sole_writer
from animal_spot.prediction.shard_note import ShardNote, read_note, tally_of
from animal_spot.remote.addresses import is_address
from animal_spot.utils.compact import TextIndex
from animal_spot.utils.status import OK, SOME_FAILED

log = logging.getLogger("MERGE")


def run(config: MergeConfig) -> int:
    """Merge as wanted; return the exit status.

    Raises:
        ValueError: If shards are missing, not done, or not of one run; the message says which.
        OSError: If a shard is at work, or something cannot be read or written.
    """
    if is_address(config.folder):
        raise ValueError(
            f"{config.folder} is not on this computer: copy it into a folder and merge there, or "
            "start predict without --shard with an empty --work_dir"
        )
    folder = Path(config.folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; name the --output_dir of the shards")
    with sole_writer(folder):
        notes = _notes_of(folder)
        journal = Journal(folder, SUFFIXES.values(), replace_edited=config.replace_edited)
        with contextlib.closing(journal):
            tally = tally_of(notes, journal, _looker(folder))
            band_hz = notes[0].band_hz[0], notes[0].band_hz[1]
            write_run_tables(journal.own, notes[0].names, band_hz, tally)
    log.info(
        "%d shards, %d recordings, %.2f h of sound, %d annotations: summary in %s",
        len(notes),
        tally.sums.n_recordings,
        tally.sums.duration_s / 3600,
        tally.sums.n_annotations,
        folder / SUMMARY,
    )
    if tally.failed:
        log.error("%d files could not be used; see %s", len(tally.failed), folder / FAILED)
    return SOME_FAILED if tally.failed else OK


def _looker(folder: Path) -> Callable[[Completed], bool]:
    """Return what tells whether the results of a recording are still in a folder."""
    names = TextIndex()  # at once: a network drive takes long to ask for each
    with os.scandir(folder) as entries:
        for entry in entries:
            names[entry.name] = 1

    def is_there(name: str) -> bool:
        return name in names or os.path.lexists(folder / name)  # some drives spell names otherwise

    return lambda entry: all(map(is_there, entry.files))


def _notes_of(folder: Path) -> list[ShardNote]:
    """Return the notes of all shards of the newest division.

    Raises:
        ValueError: If one is missing.
    """
    done = shards_of(folder, "json")
    begun = shards_of(folder, "lock")
    if not begun and not done:
        raise ValueError(
            f"no shard of a prediction was run into {folder}: use animal-spot predict --shard I/N"
        )
    newest = max([*done, *begun], key=lambda shard: _last_change(folder, shard))
    every = [Shard(number, newest.of) for number in range(1, newest.of + 1)]
    missing = [shard for shard in every if shard not in done]
    if missing:
        stopped = [shard for shard in missing if shard in begun]
        absent = [shard for shard in missing if shard not in begun]
        what = [
            f"{_listed(shards)} {word}"
            for shards, word in ((stopped, "not finished"), (absent, "not begun"))
            if shards
        ]
        raise ValueError(
            f"{len(missing)} of {newest.of} shards are missing: {'; '.join(what)}; run them "
            f"(again) with --shard {missing[0]} and so on, then merge again"
        )
    others = sorted({shard.of for shard in done} - {newest.of})
    if others:
        log.info("earlier shards, one of %s, do not count", " or ".join(map(str, others)))
    return [read_note(folder / shard.note) for shard in every]


def _last_change(folder: Path, shard: Shard) -> int:
    paths = (folder / shard.note, folder / shard.lock)
    return max(path.stat().st_mtime_ns for path in paths if path.exists())


def _listed(shards: list[Shard]) -> str:
    shown = ", ".join(map(str, shards[:8]))
    return f"{shown} and {len(shards) - 8} more" if len(shards) > 8 else shown
