"""How many photos of which class there are, and in which part of the data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from footprints.pictures.folders import SPLITS
from footprints.pictures.scales import SCALES
from footprints.reporting.page import Note, Number, Table, count
from footprints.system.files import read_table

PARTS = {"train": "training", "val": "validation", "test": "test"}
_FEW = 10  # training photos of a class that teach little


@dataclass(frozen=True)
class PhotoCounts:
    """Photos of a prepared set.

    Attributes:
        photos: By class, then by part.
        groups: Groups of photos that look alike, by class, then by part; empty if not known.
        n_centre: Photos on which no print was found; None if not known.
    """

    photos: Mapping[str, Mapping[str, int]]
    groups: Mapping[str, Mapping[str, int]]
    n_centre: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Those that have photos."""
        there = {part for of_class in self.photos.values() for part, n in of_class.items() if n}
        return tuple(part for part in SPLITS if part in there)

    def total(self, part: str | None = None) -> int:
        """Return the number of photos of a part, or of all."""
        return sum(
            n for one in self.photos.values() for name, n in one.items() if part in (None, name)
        )


def counts_of_manifest(path: Path) -> PhotoCounts:
    """Count the photos of a ``manifest.csv``; a photo with pictures of two scales counts once.

    Raises:
        UserError: If it cannot be read.
    """
    photos: dict[str, Counter[str]] = defaultdict(Counter)
    groups: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    centre, knows_centre = 0, False
    for row in read_table(path):
        label, part = row.get("class", ""), row.get("split", "")
        if (row.get("scale") or SCALES[0]) != SCALES[0] or not label or part not in SPLITS:
            continue
        photos[label][part] += 1
        if row.get("group"):
            groups[label][part].add(row["group"])
        if row.get("fallback") in ("0", "1"):
            knows_centre = True
            centre += row["fallback"] == "1"
    in_order = {label: dict(photos[label]) for label in sorted(photos)}
    sizes = {
        label: {part: len(names) for part, names in of_part.items()}
        for label, of_part in sorted(groups.items())
    }
    return PhotoCounts(in_order, sizes, centre if knows_centre else None)


def photos_table(counts: PhotoCounts, name: str) -> Table:
    """Return the photos of each class in each part, with groups of look-alikes where known.

    Args:
        counts: What to show.
        name: Of the table, unique in the report.
    """
    parts, has_groups = counts.parts, bool(counts.groups)
    columns = ["class", *(PARTS[part] for part in parts), "photos"]
    if has_groups:
        columns.append("groups")
    rows = []
    for label, of_class in counts.photos.items():
        row = [label, *(count(of_class.get(part, 0)) for part in parts)]
        row.append(count(sum(of_class.values())))
        if has_groups:
            row.append(_groups(counts.groups.get(label, {})))
        rows.append(row)
    foot = ["all", *(count(counts.total(part)) for part in parts), count(counts.total())]
    if has_groups:
        foot.append(count(sum(sum(one.values()) for one in counts.groups.values())))
    note = "Groups: photos that look alike, such as several of one print, count once."
    return Table(
        name, "Photos of each class", tuple(columns), rows, [foot], note if has_groups else ""
    )


def warnings_of(counts: PhotoCounts) -> list[Note]:
    """Say what is thin in the data, in plain words."""
    notes = []
    for part in counts.parts:
        absent = [label for label, one in counts.photos.items() if not one.get(part)]
        if absent:
            text = f"No photo of {listed(absent)} in the {PARTS[part]} part: "
            text += "nothing can be said of it there." if part != "train" else "it is not learned."
            notes.append(Note(text, is_warning=True))
    few = [label for label, one in counts.photos.items() if 0 < one.get("train", 0) < _FEW]
    if few:
        text = f"Fewer than {_FEW} training photos: {listed(few)}. Collect more of these first."
        notes.append(Note(text, is_warning=True))
    return notes


def listed(names: Sequence[str], most: int = 6) -> str:
    """Return names in a row, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _groups(of_class: Mapping[str, int]) -> Number:
    return count(sum(of_class.values()))
