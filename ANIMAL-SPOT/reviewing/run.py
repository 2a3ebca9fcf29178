"""A run of ``review.py``: the project opened, the server started, until Ctrl-C."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from animal_spot.data.noise_class import NOISE
from animal_spot.reviewing.answers import Review
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Project
from animal_spot.reviewing.retrain_job import RetrainJob
from animal_spot.reviewing.server import make_app
from animal_spot.reviewing.serving import Place, serve, user
from animal_spot.reviewing.similar import build_index
from animal_spot.utils.files import require_writable_folder
from animal_spot.utils.names import composed
from animal_spot.utils.status import OK

_OPEN = "the page is open until Ctrl-C; decisions are kept in %s"

log = logging.getLogger("REVIEW")


def run(config: ReviewConfig) -> int:
    """Serve the page until the program is asked to stop; return the exit status.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written, or the port is taken.
    """
    path = Path(config.project).absolute()
    _require_outside(path, config)
    require_writable_folder(path.parent, "the folder of --project")
    is_new = not path.exists()
    with Project(path) as project:
        with _removed_if_empty(project) if is_new else contextlib.nullcontext():
            if config.predictions is not None or config.recordings:
                bring_in(project, config)
        _look_for_recordings(project)
        review = Review(
            project,
            composed(config.reviewer or user()).strip(),
            tuple(composed(name).strip() for name in config.classes),
            composed(config.noise_class or NOISE),
            config.model is not None,
            config.window,
            _job(path, config),
        )
        if config.index is not None:
            model = config.index or config.model
            return build_index(project, model, config.embedding_model, config.predictions)
        if config.statistics:
            print("\n".join(_statistics(review, config)))
        else:
            place = Place(config.host, config.port, not config.no_browser)
            serve(make_app(review), project, place, lambda: log.info(_OPEN, config.project))
    return OK


@contextlib.contextmanager
def _removed_if_empty(project: Project) -> Iterator[None]:
    """Leave no file of a review behind that could not begin."""
    try:
        yield
    except BaseException:
        if not project.recordings():
            project.close()
            project.path.unlink()
        raise


def _look_for_recordings(project: Project) -> None:
    """Say which recordings are not there any more.

    Raises:
        ValueError: If the project has none at all.
    """
    gone = project.look_for_recordings()
    every = len(project.recordings())
    if not every:
        raise ValueError(
            f"there is nothing to review in {project.path}: give --predictions or --recordings"
        )
    if gone:
        log.warning(
            "%d of %d recordings of %s are not there, such as %s: put them back where they were; "
            "till then they can be neither seen nor heard, and no clips are cut of them",
            *(len(gone), every, project.path, gone[0].path),
        )


def _job(project: Path, config: ReviewConfig) -> RetrainJob | None:
    if config.model is None:
        return None
    return RetrainJob(
        project,
        Path(config.model).absolute(),
        None if config.data_dir is None else Path(config.data_dir).absolute(),
        config.noise_class,
        next(iter(config.embedding_model), None),
    )


def _statistics(review: Review, config: ReviewConfig) -> list[str]:
    from animal_spot.trust.summary import summary, summary_lines  # takes a second

    rows = review.queue.answers()
    if not rows:
        return ["the project has no detection of a model"]
    found = summary(
        rows,
        wanted=(config.precision,),
        thresholds=review.thresholds({row[0] for row in rows}),
        seed=review.project.setting("seed", 0),
    )
    return summary_lines(found)


def _require_outside(path: Path, config: ReviewConfig) -> None:
    """Make sure that the project does not lie in the predictions, where nothing is changed."""
    if config.predictions is not None:
        folder = Path(config.predictions).resolve()
        if path.resolve().is_relative_to(folder):
            raise ValueError(
                f"--project {path} lies in {folder}, in which nothing is changed: name a file "
                "elsewhere"
            )
