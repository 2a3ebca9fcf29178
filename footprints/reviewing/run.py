"""A run of ``footprints review``: the project opened, the server started, until Ctrl-C."""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from footprints.reviewing.answers import Review
from footprints.reviewing.importing import ExifReader, bring_in
from footprints.reviewing.project import Project
from footprints.reviewing.server import make_app
from footprints.reviewing.serving import Place, serve, user
from footprints.system.errors import UserError
from footprints.system.files import naming
from footprints.system.progress import warn
from footprints.system.text import printable, printable_lines


@dataclass(frozen=True)
class Wanted:
    """What a review is to be of.

    Attributes:
        project: Its file.
        predictions: Output folder of ``footprints predict``; None: none.
        photos: Folder of the photos; None: where the prediction found them.
        reviewer: Who decides; None: the user of this computer.
        class_names: Classes to choose from besides those that are known.
        statistics: Print how far the answers can be trusted, and end.
        precision: For which ``statistics`` looks for a threshold.
        place: Where the page can be opened.
    """

    project: Path
    predictions: Path | None = None
    photos: Path | None = None
    reviewer: str | None = None
    class_names: tuple[str, ...] = ()
    statistics: bool = False
    precision: float = 0.9
    place: Place = field(default_factory=Place)


def run(wanted: Wanted) -> int:
    """Serve the page until the program is asked to stop; return the exit status.

    Raises:
        UserError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    path = wanted.project.absolute()
    _require_outside(path, wanted)
    with naming(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    try:
        with Project(path) as project:
            with _removed_if_empty(project) if is_new else contextlib.nullcontext():
                if wanted.predictions is not None or wanted.photos is not None:
                    bring_in(project, wanted.predictions, wanted.photos)
                _look_for_photos(project)
            _review(project, wanted)
    except ValueError as error:  # of the files that are those of the sound half too
        raise UserError(printable(str(error))) from error
    return 0


def _review(project: Project, wanted: Wanted) -> None:
    names = tuple(_composed(name) for name in wanted.class_names)
    review = Review(project, _composed(wanted.reviewer or user()), names)
    if wanted.statistics:
        print(printable_lines("\n".join(_statistics(review, wanted.precision))))
        return
    reader = ExifReader(project)
    reader.start()
    try:
        serve(make_app(review), project, wanted.place, lambda: _say_open(wanted.project))
    finally:
        reader.end()


def _say_open(project: Path) -> None:
    line = f"the page is open until Ctrl-C; decisions are kept in {printable(project)}"
    print(line, file=sys.stderr, flush=True)


def _statistics(review: Review, precision: float) -> list[str]:
    from footprints.trust.summary import summary_lines  # takes a second

    found = review.statistics(precision)
    if not found["classes"]:
        return ["the project has no answer of a model"]
    return summary_lines(found, "prints")


@contextlib.contextmanager
def _removed_if_empty(project: Project) -> Iterator[None]:
    """Leave no file of a review behind that could not begin."""
    try:
        yield
    except BaseException:
        if not project.photos():
            project.close()
            project.path.unlink()
        raise


def _look_for_photos(project: Project) -> None:
    """Say which photos are not there any more.

    Raises:
        UserError: If the project has none at all.
    """
    gone = project.look_for_photos()
    every = len(project.photos())
    if not every:
        raise UserError(
            f"{printable(project.path)}: there is nothing to review; give --predictions or --photos"
        )
    if gone:
        warn(
            f"{len(gone)} of {every} photos of {project.path} are not there, such as {gone[0]}: "
            "put them back where they were, or name their folder with --photos"
        )


def _require_outside(path: Path, wanted: Wanted) -> None:
    """Make sure that the project does not lie in the predictions, where nothing is changed."""
    if wanted.predictions is not None:
        folder = wanted.predictions.resolve()
        if path.resolve().is_relative_to(folder):
            raise UserError(
                f"--project {printable(path)}: lies in {printable(folder)}, in which nothing is "
                "changed; name a file elsewhere"
            )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
