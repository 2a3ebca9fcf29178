"""What was decided, as folders of classes, as boxes to train a detector on, and as tables."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from footprints.reviewing.export_boxes import write_boxes
from footprints.reviewing.export_classes import write_crops, write_photos
from footprints.reviewing.export_tables import write_tables
from footprints.reviewing.judged import Judged, judged
from footprints.reviewing.project import Project
from footprints.reviewing.written_files import WrittenFiles
from footprints.system.errors import UserError
from footprints.system.files import path_inside, refuse_links, sole_process
from footprints.system.text import printable

_LOCK = ".review.lock"
_SHOWN = 5  # names in a note

Writer = Callable[[Project, list[Judged], WrittenFiles], tuple[list[dict[str, Any]], list[str]]]
KINDS: dict[str, tuple[str, Writer]] = {  # what rows are the number of, and who writes it
    "crops": ("crops", write_crops),
    "photos": ("photos", write_photos),
    "yolo": ("photos", write_boxes),
    "csv": ("rows", write_tables),
}


def export(project: Project, kind: str, folder: str) -> dict[str, Any]:
    """Write what was decided into a folder beside the project's file.

    Files that people made or edited are left as they are. What an earlier export of this kind wrote
    and the decisions of today do not say is removed.

    Args:
        project: The review.
        kind: One of ``KINDS``.
        folder: Its path below the folder of the project.

    Returns:
        ``folder``; ``files``, each with ``name`` and ``rows``; ``unit``, of what ``rows`` are the
        number; ``notes``, lines that somebody should read.

    Raises:
        UserError: If the kind or folder cannot be used, or nothing was decided yet.
        OSError: If something cannot be written.
    """
    if kind not in KINDS:
        raise UserError(f"kind must be one of {', '.join(KINDS)}, not {printable(kind)}")
    target = _target(project, folder)
    rows = judged(project)
    if not rows:
        raise UserError("nothing was decided yet")
    unit, write = KINDS[kind]
    target.mkdir(parents=True, exist_ok=True)
    with (
        sole_process(target / _LOCK, "writing into this folder"),
        contextlib.closing(WrittenFiles(target)) as written,
    ):
        files, notes = write(project, rows, written)
    if written.left:
        names = sorted(map(printable, written.left))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        notes.append(
            f"edited, or not of this program, and left as they are: {', '.join(names[:_SHOWN])}"
            f"{more}"
        )
    n = sum(row.verdict == "unsure" for row in rows)
    if n and kind != "csv":
        notes.append(f"{n} rows are unsure, or reviewers differ: only the tables have them")
    return {"folder": str(target), "unit": unit, "files": files, "notes": notes}


def _target(project: Project, folder: str) -> Path:
    """Return the folder, which lies below that of the project.

    Raises:
        UserError: If it does not, or is not to be written into.
    """
    home = project.path.parent
    try:
        if not folder.isprintable():
            raise ValueError(f"{folder!r} is no name of a folder")
        target = path_inside(home, folder)
        refuse_links(target, home)
        is_file = target.exists() and not target.is_dir()
    except (ValueError, OSError) as error:
        raise UserError(f"folder: {error}") from error
    if is_file:
        raise UserError(f"folder: {printable(target)} is a file")
    reviewed = project.setting("predictions")
    if reviewed is not None and target.resolve().is_relative_to(reviewed):
        raise UserError(
            f"folder: {printable(target)} lies in the predictions; nothing is changed there"
        )
    photos = {one.path.parent for one in project.photos()}
    if target.resolve() in {path.resolve() for path in photos}:
        raise UserError(f"folder: {printable(target)} holds the photos; name another one")
    return target
