"""Tables of annotations, written as other programs write them."""

from __future__ import annotations

from pathlib import Path

from animal_spot.tables.event import EventTable

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a text to the byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def raven_text(*rows: tuple[object, ...], columns: tuple[str, ...] = ("Annotation",)) -> str:
    """Return a selection table of begin, end and cells of further columns."""
    lines = ["\t".join((RAVEN, *columns))]
    for number, (begin, end, *others) in enumerate(rows, 1):
        cells = number, "Spectrogram 1", 1, begin, end, 100.0, 200.0, *others
        lines.append("\t".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def brief(table: EventTable) -> list[tuple[str, float, float]]:
    """Return label and times of each event."""
    return [(event.label, event.start_s, event.end_s) for event in table.events]
