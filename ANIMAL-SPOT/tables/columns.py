"""Columns of tables, named by a person or found by their names."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_spot.tables.event import TableError
from animal_spot.utils.text import printable

_LONGEST = 60  # characters of a name that are kept
_N_SHOWN = 30  # names in a message
SECONDS, SAMPLES = "s", "samples"
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), (SECONDS, 1.0)),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), (SECONDS, 1e-3)),
    **dict.fromkeys(("minute", "minutes"), (SECONDS, 60.0)),
    **dict.fromkeys(("sample", "samples", "frame", "frames"), (SAMPLES, 1.0)),
    **dict.fromkeys(("hz", "hertz"), ("Hz", 1.0)),
    **dict.fromkeys(("khz", "kilohertz"), ("Hz", 1e3)),
}
# Names without unit, the likeliest first; words apart, in small letters.
NAMES: Mapping[str, tuple[str, ...]] = {
    "begin": (
        *("begin time", "start time", "time begin", "time start", "begin", "start", "onset"),
        *("start offset", "min time", "time min", "from", "tmin", "t0", "xmin", "x1"),
    ),
    "end": (
        *("end time", "stop time", "time end", "time stop", "end", "stop", "offset", "finish"),
        *("end offset", "max time", "time max", "until", "to", "tmax", "t1", "xmax", "x2"),
    ),
    "duration": ("duration", "dur", "length", "delta time", "event duration", "call length"),
    "label": (
        *("annotation", "species", "sound type", "label", "call type", "call", "class", "type"),
        *("common name", "tags", "tag", "labels", "species name", "scientific name", "taxon"),
        *("species code", "manual id", "category", "class name", "behavior", "behaviour"),
        *("event label", "event", "name"),
    ),
    "recording": (
        *("begin path", "begin file", "file path", "filepath", "audio path", "notated path"),
        *("path", "file name", "filename", "file", "recording", "sound file", "audio file"),
        *("source file", "wav file", "in file", "media file name", "soundfile"),
    ),
    "low": (
        *("low freq", "low frequency", "freq low", "frequency low", "lower frequency"),
        *("min freq", "min frequency", "freq min", "frequency min", "f min", "fmin", "f low"),
        *("low", "flow", "low f", "y1"),
    ),
    "high": (
        *("high freq", "high frequency", "freq high", "frequency high", "upper frequency"),
        *("max freq", "max frequency", "freq max", "frequency max", "f max", "fmax", "f high"),
        *("high", "fhigh", "high f", "y2"),
    ),
    "channel": ("channel", "chan", "ch"),
    "table": ("table", "annotation table", "selection table", "annotations", "selections"),
    "review": (
        *("review", "review result", "correct", "is correct", "verdict", "valid", "is valid"),
        *("true positive",),
    ),
    # In these, no means that nobody has looked yet.
    "check": ("reviewed", "validated", "validation", "verified", "verification"),
    "refusal": ("wrong", "is wrong", "false alarm", "false positive", "incorrect"),
}
# Columns of words that are no label; with all of Raven's own, which start in one of these ways.
_NO_LABEL = frozenset(
    (
        *("selection", "view", "channel", "score", "confidence", "probability", "id", "index"),
        *("comment", "comments", "note", "notes", "remark", "remarks", "annotator", "observer"),
        *("analyst", "author", "user", "date", "time", "quality", "site", "station", "location"),
        *("time format", "description", "occupancy", "detector", "annot path", "sequence"),
    )
)
# Columns of crowsetta's format generic-seq, in which an annotation is a number.
_GENERIC_SEQ = frozenset(("label", "annotation", "sequence", "annot path", "notated path"))
_RAVENS_OWN = re.compile(
    r"(begin|end|file|delta|low|high|peak|center|avg|max|min|rms|snr|bw|dur|freq|time|entropy|agg"
    r"|energy|inband|length|leq|sel|selection|view|channel|q[13]|iqr|pulse|sample|source|pfc)\b"
)


@dataclass(frozen=True)
class Columns:
    """Names of columns that a person gave; None: found by itself. Case does not matter.

    Attributes:
        label: What was heard; of a TextGrid its tier.
        begin: Begin of the event.
        end: Its end.
        duration: How long it lasts, in place of its end.
        recording: Path or name of the recording.
        low: Lower end of its box.
        high: Upper end of its box.
        channel: Number of the channel, from 1.
        review: Whether it was found right.
    """

    label: str | None = None
    begin: str | None = None
    end: str | None = None
    duration: str | None = None
    recording: str | None = None
    low: str | None = None
    high: str | None = None
    channel: str | None = None
    review: str | None = None

    @property
    def given(self) -> dict[str, str]:
        """Role and name of each column that was named."""
        every = dataclasses.asdict(self)
        return {role: name for role, name in every.items() if name is not None}


@dataclass(frozen=True)
class Column:
    """A column that was found.

    Attributes:
        index: Its place from 0.
        name: What the table calls it.
        scale: What its numbers are multiplied with, to be seconds or Hz.
        in_samples: Its numbers count samples.
    """

    index: int
    name: str
    scale: float = 1.0
    in_samples: bool = False


class Header:
    """The first line of a table.

    Args:
        path: The table, for messages.
        names: Names of the columns.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = [printable(name.strip()[:_LONGEST]) for name in names]
        self._split = [split_unit(name) for name in self.names]

    @functools.cached_property
    def _offset_is_begin(self) -> bool:
        """Kaleidoscope calls so where an event begins; elsewhere it is where one ends."""
        words = {words for words, _, _ in self._split}
        others = words - {"offset"}
        has_times = others & {*NAMES["begin"], *NAMES["end"]}
        return len(others) < len(words) and not has_times and bool(others & {*NAMES["duration"]})

    def find(self, role: str) -> Column | None:
        """Return the likeliest column of a role, by its name; one in seconds before others."""
        if role in ("begin", "end") and self._offset_is_begin:
            words = [words for words, _, _ in self._split]
            return self._column(words.index("offset")) if role == "begin" else None
        in_order = sorted(range(len(self.names)), key=lambda i: self._split[i][1] == SAMPLES)
        for name in NAMES[role]:
            for index in in_order:
                if self._split[index][0] == name:
                    return self._column(index)
        return None

    def all_of(self, role: str) -> list[Column]:
        """Return every column whose name is one of a role, the likeliest first."""
        words = [words for words, _, _ in self._split]
        if role == "label" and _GENERIC_SEQ.issubset(words):
            words[words.index("annotation")] = ""
        return [self._column(words.index(name)) for name in NAMES[role] if name in words]

    def named(self, name: str) -> Column:
        """Return the column that a person named.

        Raises:
            TableError: If there is none.
        """
        wanted = name.strip().casefold()
        for index, present in enumerate(self.names):
            if present.casefold() == wanted:
                return self._column(index)
        raise TableError(f"{self.path} has no column {name.strip()!r} ({self.present})")

    def could_be_labels(self) -> list[Column]:
        """Return the columns that may hold words which say what was heard."""
        return [
            self._column(index)
            for index, (words, unit, _) in enumerate(self._split)
            if words and not unit and words not in _NO_LABEL and not _RAVENS_OWN.match(words)
        ]

    @property
    def present(self) -> str:
        """What there is, for a message."""
        more = ", ..." if len(self.names) > _N_SHOWN else ""
        return f"columns: {', '.join(self.names[:_N_SHOWN]) or 'none'}{more}"

    def _column(self, index: int) -> Column:
        _, unit, scale = self._split[index]
        return Column(index, self.names[index], scale, unit == SAMPLES)


@functools.lru_cache(maxsize=1024)
def split_unit(name: str) -> tuple[str, str, float]:
    """Take apart the name of a column: ``Begin Time (s)``, ``startTime_ms``, ``onset_sample``.

    Returns:
        Its words in small letters, its unit ("" without one), and the factor to seconds or Hz.
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[^\W_]+", apart.casefold())
    if len(words) > 1 and words[-1] in _UNITS:
        unit, scale = _UNITS[words.pop()]
        if words[-1] in ("in", "nr"):
            words.pop()
        return " ".join(words), unit, scale
    return " ".join(words), "", 1.0


def holds_words(cells: Iterable[str]) -> bool:
    """Tell whether cells are rather words than numbers, dates or nothing."""
    filled = [cell for cell in cells if cell]
    n_words = sum(1 for cell in filled if re.search(r"[^\W\d_]", cell) and not is_number(cell))
    return bool(filled) and 2 * n_words > len(filled)


def is_number(text: str) -> bool:
    """Tell whether a cell is a number, also one with a decimal comma; NaN is one too."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
