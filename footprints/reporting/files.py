"""The files of a report: the page, its figures for papers beside it, model cards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from footprints.reporting.page import Picture, Report, blocks_of, html_of
from footprints.system.files import remove_leftovers, sole_process
from footprints.system.progress import say, warn
from footprints.system.results import Results
from footprints.system.text import printable

LARGEST = 10_000_000  # bytes of a page that opens at once and can be sent by mail
RECORD, LOCK = ".report.json", ".report.lock"


def write_report(target: Path, report: Report, *, replace_edited: bool = False) -> bool:
    """Write a page and the figures in it; those that were edited are left, which is said.

    Args:
        target: The page, such as ``models/report.html``; figures go to ``models/report_figures``.
        report: What stands in it.
        replace_edited: Replace edited files too, and keep a copy of each.

    Returns:
        Whether the page is there: False if an edited one was left.

    Raises:
        UserError: If another process is at it.
        OSError: If something cannot be written.
    """
    text = html_of(report)
    figures = {
        f"{block.name}{ending}": content
        for block in blocks_of(report)
        if isinstance(block, Picture)
        for ending, content in block.files.items()
    }
    folder = target.with_name(f"{target.stem}_figures")
    _write(folder, figures, replace_edited, is_ours=True)
    if target.name in _write(target.parent, {target.name: text.encode()}, replace_edited):
        return False
    if len(text.encode()) > LARGEST:
        warn(f"{target}: larger than {LARGEST // 1_000_000} MB; give fewer --examples")
    say(f"report: {printable(target)}")
    return True


def write_card(target: Path, text: str, *, replace_edited: bool = False) -> None:
    """Write a model card, unless somebody edited the one that is there; raises as above."""
    _write(target.parent, {target.name: text.encode()}, replace_edited)


def _write(
    folder: Path, content: Mapping[str, bytes], replace_edited: bool, *, is_ours: bool = False
) -> frozenset[str]:
    """Write files, and return those that were left as somebody edited them.

    Of a folder in which there is nothing else, what is of earlier runs is removed.
    """
    if not content and not folder.is_dir():
        return frozenset()
    folder.mkdir(parents=True, exist_ok=True)
    with sole_process(folder / LOCK, "writing a report here"):
        results = Results(folder, content, replace_edited, record=RECORD)
        for name, one in content.items():
            results.write(name, one)
        if is_ours:
            remove_leftovers(folder)
            results.remove_others(content)
    return frozenset(results.left)
