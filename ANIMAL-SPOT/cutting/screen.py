"""What a run of ``clips.py`` says at its end."""

from __future__ import annotations

import logging
from collections import Counter

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


def say_what_was_done(report: CutReport, n_ignored: int, left_out_name: str) -> None:
    """Write a line for each kind of what was left out, a table of classes, and the sum."""
    for path, reason in list(report.failed.items())[:_N_SHOWN]:
        log.error("%s", reason if str(path) in reason else f"{path}: {reason}")
    if len(report.failed) > _N_SHOWN:
        log.error("and %d more files that cannot be used", len(report.failed) - _N_SHOWN)
    if n_ignored:
        log.warning("%d rows of tables cannot be used", n_ignored)
    kinds = Counter(one.kind for one in report.left_out)
    for kind, n in kinds.most_common():
        first = next(one for one in report.left_out if one.kind == kind)
        cure = _CURES.get(kind, "")
        log.warning(
            "%d events left out: %s, such as %s (%s)%s",
            *(n, kind, named_row(first.event), first.reason, f"; {cure}" if cure else ""),
        )
    if report.stale:
        file, reason = next(iter(report.stale.items()))
        log.warning(
            "%d clips of earlier runs stay, but belong to no event now, such as %s (%s): remove "
            "them if they are wrong",
            *(len(report.stale), file, reason),
        )
    if report.left_out or report.failed or report.stale or n_ignored:
        log.info("each of them is listed in %s", report.output_dir / left_out_name)
    counts = report.counts()
    print("\n".join(map(printable, summary_lines(report))))
    log.info(
        "%d clips, %d of them new, in %s",
        *(sum(c.clips for c in counts), sum(c.new for c in counts), report.output_dir),
    )
