"""The files of a report: the page, and its figures for papers beside it."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from animal_spot.reporting.page import Picture, Report, blocks_of, html_of
from animal_spot.utils.files import require_writable_folder, sole_process
from animal_spot.utils.own_files import JsonLines, OwnFiles

LARGEST = 10_000_000  # bytes of a page that opens at once and can be sent by mail
RECORD, LOCK = ".report.jsonl", ".report.lock"
_OF = "report"

log = logging.getLogger(__name__)


def write_report(target: Path, report: Report, *, replace_edited: bool = False) -> bool:
    """Write a page and the figures in it; those that were edited are left, which is said.

    Args:
        target: The page, such as ``found/report.html``; figures go to ``found/report_figures``.
        report: What stands in it.
        replace_edited: Replace edited files too, and keep a copy of each.

    Returns:
        Whether the page is there: False if an edited one was left.

    Raises:
        OSError: If something cannot be written.
    """
    try:
        is_written = _write(target, report, replace_edited)
    except OSError as error:
        said = error.strerror or ""
        if error.filename is None and said and str(target.parent) not in said:  # a full disk
            raise OSError(error.errno, said, str(target)) from error
        raise
    if is_written:
        log.info("report: %s", target)
    return is_written


def _write(target: Path, report: Report, replace_edited: bool) -> bool:
    figures = target.with_name(f"{target.stem}_figures")
    require_writable_folder(target.parent, "the folder of the report")
    require_writable_folder(figures, "the folder of the figures")
    text = html_of(report)
    pictures = [block for block in blocks_of(report) if isinstance(block, Picture)]
    with (
        sole_process(figures / LOCK, f"writing into {figures}"),
        contextlib.closing(JsonLines(figures / RECORD)) as lines,
    ):
        page = OwnFiles(target.parent, lines, replace_edited=replace_edited)
        own = OwnFiles(figures, lines, replace_edited=replace_edited)
        lines.read(lambda content: (page if content.get("of") != _OF else own).read(content))
        written = set()
        for picture in pictures:
            for ending, content in picture.files.items():
                name = f"{picture.name}{ending}"
                written.add(name)
                if own.may_write(name):
                    with own.writing(name, of=_OF) as temporary:
                        temporary.write_bytes(content)
        for name in own.names_of(_OF):
            if name not in written:
                own.remove(name)
        if not page.has_text(target.name, text) and not page.may_write(target.name):
            return False
        page.write_text(target.name, text)
    if len(text.encode()) > LARGEST:
        log.warning("%s is larger than %d MB: fewer --examples", target, LARGEST // 1_000_000)
    return True
