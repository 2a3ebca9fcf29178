"""The file of vectors brought up to date: what is missing or changed is embedded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from animal_spot.prediction.sound_progress import SoundProgress
from animal_spot.similarity.embedder import Embedder
from animal_spot.similarity.index import IndexFile, IndexModel
from animal_spot.similarity.latent_tables import LatentTables
from animal_spot.similarity.recording_vectors import RecordingVectors

log = logging.getLogger("REVIEW")


@dataclass
class Tally:
    """What was done.

    Attributes:
        before: Recordings whose vectors were there.
        read: Recordings whose vectors the prediction had written.
        embedded: Recordings that were embedded.
        failed: Recordings that could not be used, and why.
    """

    before: int = 0
    read: int = 0
    embedded: int = 0
    failed: dict[Path, str] = field(default_factory=dict)


def bring_up_to_date(
    index: IndexFile,
    embedder: Embedder,
    paths: Sequence[Path],
    tables: LatentTables | None = None,
    check: Callable[[], None] = lambda: None,
) -> Tally:
    """Give each recording the vectors of its present content and of this model.

    Each is kept as soon as it is complete, so a run that was ended goes on where it was.

    Args:
        index: The file.
        embedder: The model.
        paths: The recordings.
        tables: Vectors that the prediction wrote, which are taken where they are of this model.
        check: Called often; may raise to stop.

    Raises:
        IndexFileError: If the file cannot be written.
    """
    tally = Tally()
    if index.begin(IndexModel(embedder.digest, embedder.name, embedder.dim)):
        log.info("the vectors of another model are made anew")
    fresh = index.fresh(paths)
    tally.before = len(fresh)
    todo = []
    for path in paths:
        check()
        found = None
        if path not in fresh and tables is not None:
            found = tables.read(path, embedder)
        if found is not None:
            index.add(found)
            tally.read += 1
        elif path not in fresh:
            todo.append(path)
    if todo:
        _embed(index, embedder, todo, tally, check)
    return tally


def _embed(
    index: IndexFile,
    embedder: Embedder,
    paths: Sequence[Path],
    tally: Tally,
    check: Callable[[], None],
) -> None:
    progress = SoundProgress()
    progress.start(paths)
    try:
        for found in embedder.of_recordings(paths, progress.add, check):
            _keep(index, found, tally)
            progress.recording(failed=bool(found.reason))
    finally:
        progress.close()


def _keep(index: IndexFile, found: RecordingVectors, tally: Tally) -> None:
    if found.reason:
        tally.failed[found.path] = found.reason
        log.warning("%s: %s", found.path, found.reason)
    else:
        index.add(found)
        tally.embedded += 1
