"""From labels, as people wrote them, to classes: a CSV with two columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from animal_spot.tables.delimited import split_table
from animal_spot.tables.event import TableError
from animal_spot.tables.table_text import read_text
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.names import composed, look_alikes

LABEL, CLASS, EVENTS = "label", "class", "events"


@dataclass(frozen=True)
class LabelMap:
    """Class of each label.

    Attributes:
        classes: By label in Unicode form NFC; an empty text: left out.
    """

    classes: Mapping[str, str]

    def class_of(self, label: str) -> str | None:
        """Return the class of a label; None: left out, as are labels that the map does not have."""
        return self.classes.get(composed(label)) or None

    def unknown(self, labels: Iterable[str]) -> list[str]:
        """Return the labels that the map does not have, each once, sorted."""
        return sorted({composed(label) for label in labels} - set(self.classes))


def read_label_map(path: Path) -> LabelMap:
    """Read a map: a CSV with the columns label and class; others do not count.

    Raises:
        TableError: If a column is missing, a label stands twice with two classes, or two classes
            differ only in case or blanks.
        OSError: If it cannot be read.
    """
    header, rows, _ = split_table(path, read_text(path)[0])
    label, to_class = header.named(LABEL).index, header.named(CLASS).index
    classes: dict[str, str] = {}
    for cells in rows:
        name = composed(cells[label]) if label < len(cells) else ""
        if not name:
            continue
        wanted = composed(cells[to_class]) if to_class < len(cells) else ""
        if classes.setdefault(name, wanted) != wanted:
            raise TableError(
                f"{path}: the label {name!r} has two classes, {classes[name]!r} and {wanted!r}: "
                "leave one"
            )
    for group in look_alikes(filter(None, classes.values())):
        raise TableError(
            f"{path}: the classes {' and '.join(map(repr, group))} differ only in case or blanks: "
            "write one of them"
        )
    return LabelMap(classes)


def draft_text(counts: Mapping[str, int]) -> str:
    """Return the text of a map to edit, in which each label is its own class.

    Labels that differ only in case, blanks or Unicode form get one class: that of the most events.

    Args:
        counts: Number of events of each label.
    """
    usual = {
        label: max(sorted(group), key=counts.__getitem__)
        for group in look_alikes(counts)
        for label in group
    }
    rows = [(label, usual.get(label, label), n) for label, n in counts.items()]
    rows.sort(key=lambda row: (row[1], -row[2], row[0]))
    return csv_text([(LABEL, CLASS, EVENTS), *rows])


def alike(labels: Iterable[str]) -> list[str]:
    """Return a line for each group of labels that differ only in case or blanks."""
    return [
        f"labels {' and '.join(map(repr, group))} differ only in case or blanks: give them one "
        "class in a label map"
        for group in look_alikes(labels)
    ]
