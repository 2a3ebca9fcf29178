"""The files that predict leaves behind."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from footprints.cluster.answer_journal import journals_in
from footprints.network.trail_answers import TRAILS_FILE, Trail, lines_of, trails_csv
from footprints.pictures.answer_pictures import AnswerPictures
from footprints.places.map_files import GEOJSON, KML, geojson, kml
from footprints.prediction.file_names import MAPS, PICTURES, RESULTS
from footprints.prediction.request import Request
from footprints.scores.answer_points import points_of
from footprints.scores.answers import Answer, Failure, answers_csv, failures_csv
from footprints.scores.calibration import WEAK, weakness
from footprints.system.errors import UserError
from footprints.system.progress import warn
from footprints.system.results import Results
from footprints.system.text import printable


def check_output(output_dir: Path) -> None:
    """Refuse to draw pictures among files that are not ours."""
    drawn = output_dir / PICTURES
    ours = (output_dir / RESULTS).is_file() or (drawn.is_dir() and journals_in(output_dir))
    if not ours and not drawn.is_symlink() and drawn.is_dir() and any(drawn.iterdir()):
        raise UserError(f"{drawn}: holds files of yours; choose another --output_dir")


@contextlib.contextmanager
def pictures_of(request: Request, *, draw: bool = True) -> Iterator[AnswerPictures | None]:
    """Give what draws answers, if they are to be drawn."""
    args = request.args
    if not args.annotate or not draw:
        yield None
        return
    pictures = AnswerPictures(
        args.output_dir / PICTURES,
        request.root,
        with_place=request.privacy.keeps_position,
        warning=short_warning(request.metadata),
    )
    with contextlib.closing(pictures):
        yield pictures


def write_answers(
    results: Results,
    header: dict[str, Any],
    answers: list[Answer],
    failures: list[Failure],
    others: list[Failure],
    top_k: int,
    trails: list[Trail] | None,
) -> None:
    """Write tables, trails and maps.

    Args:
        results: Where to.
        header: Of ``predictions.json``.
        answers: To photos.
        failures: Photos that could not be used.
        others: Files that are no photos.
        top_k: How many classes the tables name.
        trails: None: there are to be none.
    """
    failed = [failure.record() for failure in failures]
    records = [answer.record() for answer in answers]
    content = {"photos": records, "failed": failed}
    content["unused"] = [{"file": one.name, "reason": one.reason} for one in others]
    note = WEAK if header["note"] else ""
    if trails is not None:
        content["trails"] = [trail.record() for trail in trails]
        results.write_text(TRAILS_FILE, trails_csv(trails, top_k, note))
    else:
        results.remove((TRAILS_FILE,))
    results.write_json(RESULTS, header | content)
    results.write_text("predictions.csv", answers_csv(answers, top_k, note))
    results.write_text("failed_photos.csv", failures_csv([*failures, *others]))
    _write_maps(results, answers, trails or [], header["note"])


def _write_maps(
    results: Results, answers: list[Answer], trails: list[Trail], note: str | None
) -> None:
    """Write where the answers are; without a place, an earlier run's files go."""
    points = points_of(answers, note)
    if points:
        from footprints.scores.maps import colours_of  # Matplotlib: not for help

        lines = lines_of(trails)
        colours = colours_of(sorted({one.answer for one in (*points, *lines)}))
        results.write_text(GEOJSON, geojson(points, lines))
        results.write_text(KML, kml(points, "Answers to photos of footprints", colours, lines))
    else:
        results.remove(MAPS)


def short_warning(metadata: dict[str, Any]) -> str:
    """Return what pictures say of the model; empty if there is nothing to warn of."""
    return WEAK if weakness(metadata) else ""


def warn_of_positions(args: argparse.Namespace, journals: list[str]) -> None:
    """Say which files of an earlier run, not written anew by this one, may still tell places.

    Args:
        args: Of this run.
        journals: Of earlier ones.
    """
    old = {PICTURES: args.annotate, "report.html": not args.no_report}
    left = [
        name for name, is_new in old.items() if not is_new and (args.output_dir / name).exists()
    ]
    left += sorted(path.name for path in args.output_dir.glob("*.bak*"))
    left += journals
    if left:
        warn(
            f"{printable(args.output_dir)}: {', '.join(left)} of an earlier run may say where "
            "photos were taken; remove them before you share the folder"
        )
