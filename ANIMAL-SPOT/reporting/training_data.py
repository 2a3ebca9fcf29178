"""What clips a network was trained and judged on, as blocks."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from animal_spot.data.labels_csv import LABELS_FILE
from animal_spot.reporting.page import Block, Cell, Facts, Note, Table, Text, count
from animal_spot.reporting.training_results import PARTS, JudgedClip, Results
from animal_spot.tables.delimited import split_table
from animal_spot.tables.table_text import read_text
from animal_spot.utils.text import printable

EXCLUDED = "excluded_files.csv"  # in the folder of the log
_MOST_REASONS = 12


def data_blocks(results: Results) -> list[Block]:
    """Return what is known of the clips of a run.

    Args:
        results: Of the run.
    """
    blocks: list[Block] = [Text((in_words(results),))]
    blocks.append(Facts(tuple(_facts(results))))
    if results.folds:
        blocks.append(_pooled_table(results))
    else:
        blocks.append(_parts_table(results))
    if (sites := _sites(results)) is not None:
        blocks.append(_sites_table(sites))
    return [*blocks, *_excluded(results)]


def in_words(results: Results) -> str:
    """Say how many clips, classes and recordings there are, and how they were divided."""
    classes = f"{len(results.classes)} classes"
    if results.noise_class is not None:
        classes += f", one of them background ({results.noise_class})"
    if results.folds:
        scores = results.scores["all"]
        tapes = f" from {scores.tapes:,} recordings" if scores.tapes is not None else ""
        return (
            f"{scores.clips:,} clips of {classes}{tapes}, divided into {len(results.folds)} parts "
            "of whole recordings: each part was judged by a network that never heard it."
        )
    parts = [f"{n:,} for {PARTS.get(part, part)}" for part, n in results.clips.items() if n]
    total = sum(results.clips.values())
    return f"{total:,} clips of {classes}: {', '.join(parts)}. {_division(results)}"


def _division(results: Results) -> str:
    if results.settings.get("split_by_time") is True:
        return (
            "Recordings were divided into blocks of time where there were too few of them, so the "
            "figures flatter: other recordings will differ more."
        )
    return "Clips of one recording are in one part, unless somebody divided them otherwise."


def tapes_of(results: Results) -> Mapping[str, int | None]:
    """Return how many recordings each part has, at least; None where it is not known."""
    counts = results.part("tapes")
    return {p: n if isinstance(n, int) else None for p, n in counts.items()}


def _facts(results: Results) -> list[tuple[str, Cell]]:
    rows: list[tuple[str, Cell]] = []
    for key, title in (("data_dir", "Folder of the clips"), ("labels", "Table of the clips")):
        if isinstance(path := results.settings.get(key), str):
            rows.append((title, printable(path)))
    tapes = tapes_of(results)
    for part, n in tapes.items():
        rows.append((f"Recordings for {PARTS.get(part, part)}", count(n)))
    if (split := results.text("split")) is not None:
        rows.append(("Split (hash of the clips for validation and test)", split))
    if (data := results.text("data")) is not None:
        rows.append(("Clips (hash of all, with their labels and parts)", data))
    if results.excluded is not None:
        rows.append(("Files left out", count(results.excluded)))
    return rows


def _pooled_table(results: Results) -> Table:
    scores = results.scores["all"]
    return Table(
        "clips",
        "Clips of each class",
        ("class", "clips", "recordings"),
        [[row.name, count(row.clips), count(row.tapes)] for row in scores.classes],
        foot=[["all", count(scores.clips), count(scores.tapes)]],
    )


def _parts_table(results: Results) -> Table:
    """Return clips of each class in each part; of old runs what the scores say of them."""
    counts = {
        part: {row.name: (row.clips, row.tapes) for row in rows}
        for part, rows in results.counts.items()
    } or {
        part: {row.name: (row.clips, None) for row in scores.classes}
        for part, scores in results.scores.items()
    }
    has_tapes = bool(results.counts)
    columns = ["class"]
    for part in counts:
        word = PARTS.get(part, part)
        columns += [f"{word}: clips", *([f"{word}: recordings"] if has_tapes else [])]
    rows: list[list[Cell]] = []
    for label in results.classes:
        row: list[Cell] = [label]
        for of_class in counts.values():
            clips, tapes = of_class.get(label, (None, None))
            row += [count(clips), *([count(tapes)] if has_tapes else [])]
        rows.append(row)
    foot: list[Cell] = ["all"]
    for part, of_class in counts.items():
        foot.append(count(sum(clips for clips, _ in of_class.values())))
        if has_tapes:
            foot.append(count(tapes_of(results).get(part)))
    note = (
        ""
        if has_tapes
        else "This run does not say how many training clips each class has, or of what recordings."
    )
    return Table("clips", "Clips of each class", columns, rows, [foot], note)


def _sites(results: Results) -> Counter[str] | None:
    """Count the rows of each site in the table of the clips; None if it is not there or has none.

    The table is as it is today.
    """
    given, data = results.settings.get("labels"), results.settings.get("data_dir")
    if isinstance(given, str):
        table = Path(given)
    elif isinstance(data, str):
        table = Path(data) / LABELS_FILE
    else:
        return None
    try:
        if not table.is_file():
            return None
        header, cells, _ = split_table(table, read_text(table)[0])
    except (OSError, ValueError):
        return None
    names = ["_".join(column.casefold().split()) for column in header.names]
    if "site" not in names:
        return None
    place = names.index("site")
    sites = Counter(row[place].strip() if place < len(row) else "" for row in cells)
    return sites if any(sites) else None


def _sites_table(sites: Counter[str]) -> Table:
    rows = sorted(sites.items(), key=lambda row: (not row[0], row[0]))  # what is not known, last
    return Table(
        "sites",
        "Clips of each site",
        ("site", "clips"),
        [[site or "not known", count(n)] for site, n in rows],
        note="As the table of the clips says today, for all of its rows.",
    )


def _excluded(results: Results) -> list[Block]:
    """Say why files were left out, if the log's folder still has the table of them."""
    if not results.excluded:
        return []
    folder = results.settings.get("log_dir")
    reasons: Counter[str] = Counter()
    if isinstance(folder, str):
        try:
            with open(
                Path(folder) / EXCLUDED, encoding="utf-8", errors="replace", newline=""
            ) as file:
                rows = csv.reader(file)
                next(rows, None)
                reasons.update(row[1] for row in rows if len(row) > 1)
        except (OSError, csv.Error):
            pass
    if not reasons:
        return [Note(f"{results.excluded:,} files were left out. The log of the run says why.")]
    return [
        Table(
            "left_out",
            "Why files were left out",
            ("reason", "files"),
            [[printable(reason), count(n)] for reason, n in reasons.most_common(_MOST_REASONS)],
            note=f"All of them: {printable(str(Path(folder) / EXCLUDED))}",
        )
    ]


def clip_file(clip: JudgedClip, folder: Path) -> tuple[Path, tuple[float, float] | None]:
    """Return the file of a clip, and its part of it in seconds; None: all of it."""
    file, mark, span = clip.file.rpartition("#")
    if mark:
        begin, _, end = span.partition("-")
        try:
            return folder / file, (float(begin), float(end))
        except ValueError:
            pass
    return folder / clip.file, None
