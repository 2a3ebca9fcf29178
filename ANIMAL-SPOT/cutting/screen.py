"""What a run of ``clips.py`` says at its end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from animal_spot.cutting.plan import (
    DOUBLE,
    NOT_MAPPED,
    OVERLAPPING,
    REMOVED,
    TOO_SHORT,
    WRONG,
    named_row,
)
from animal_spot.cutting.report import CutReport
from animal_spot.cutting.stale_clips import FOLDER
from animal_spot.cutting.summary import summary_lines
from animal_spot.utils.text import printable

_N_SHOWN = 10  # files that cannot be used
_CURES = {
    NOT_MAPPED: "give them one in --label_map",
    OVERLAPPING: "--keep_overlapping takes them, a smaller --margin or --clip_length spares some",
    TOO_SHORT: "see --shortest_event",
    DOUBLE: "",
    WRONG: "--negatives with that table makes background of them",
    REMOVED: "--restore_removed cuts them again",
}

log = logging.getLogger(__name__)


def say_what_was_done(
    report: CutReport, ignored: Sequence[tuple[Path, int, str]], left_out_name: str
) -> None:
    """Write a line for each kind of what was left out, a table of classes, and the sum.

    Args:
        report: What a run did.
        ignored: Rows of tables that cannot be used: table, row, why.
        left_out_name: Of the file that lists all of it.
    """
    for path, reason in list(report.failed.items())[:_N_SHOWN]:
        log.error("%s", reason if str(path) in reason else f"{path}: {reason}")
    if len(report.failed) > _N_SHOWN:
        log.error("and %d more files that cannot be used", len(report.failed) - _N_SHOWN)
    if ignored:
        table, row, reason = ignored[0]
        log.warning(
            "%d rows of tables cannot be used, such as row %d of %s (%s)",
            *(len(ignored), row, table, reason),
        )
    kinds = Counter(one.kind for one in report.left_out)
    for kind, n in kinds.most_common():
        first = next(one for one in report.left_out if one.kind == kind)
        cure = _CURES.get(kind, "")
        log.warning(
            "%d events left out: %s, such as %s (%s)%s",
            *(n, kind, named_row(first.event), first.reason, f"; {cure}" if cure else ""),
        )
    if report.stale:
        _say_what_is_stale(report)
    if report.left_out or report.failed or report.stale or ignored:
        log.info("each of them is listed in %s", report.output_dir / left_out_name)
    counts = report.counts()
    print("\n".join(map(printable, summary_lines(report))))
    log.info(
        "%d clips, %d of them new, in %s",
        *(sum(c.clips for c in counts), sum(c.new for c in counts), report.output_dir),
    )


def _say_what_is_stale(report: CutReport) -> None:
    file, reason = next(iter(report.stale.items()))
    shown = f"{len(report.stale)} clips of earlier runs", f"such as {file} ({reason})"
    if report.is_stale_removed:
        log.info("%s belong to no event now, %s: moved into %s", *shown, report.output_dir / FOLDER)
        return
    log.warning(
        "%s stay, but belong to no event now, %s: training would still use them; --remove_stale "
        "takes them out%s",
        *(*shown, " once all files can be used" * bool(report.failed)),
    )
