"""The time that the name of a recording holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from animal_spot.metadata.moments import MomentError, offset_of

NAME, HEXADECIMAL, OWN = (
    "file name",
    "file name, AudioMoth hexadecimal",
    "file name, --time_pattern",
)

_YEAR = r"(?P<year>(?:19[89]|20\d)\d)"
_CLOCK = r"(?P<hour>\d\d){0}(?P<minute>\d\d){0}(?P<second>\d\d)"
# An offset behind a bar as of Swift recorders, or directly; the digits of an end time are more.
_OFFSET = r"(?P<offset>Z(?![A-Za-z])|_?[+-]\d\d:?\d\d(?![\d:]))?"
_PATTERNS = tuple(
    re.compile(rf"(?<!\d){date}{clock}(?:[.,](?P<fraction>\d{{1,6}})(?!\d))?{_OFFSET}(?!\d)")
    for date, clock in (
        (rf"{_YEAR}(?P<month>\d\d)(?P<day>\d\d)[-_T ]?", _CLOCK.format("")),
        (rf"{_YEAR}(?P<month>\d\d)(?P<day>\d\d)[-_T ]", _CLOCK.format("[-:.]")),
        (rf"{_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)[-_T ]*", _CLOCK.format("[-:._]?")),
        (rf"{_YEAR}_(?P<month>\d\d)_(?P<day>\d\d)[-_T ]", _CLOCK.format("[-:._]?")),
        (rf"{_YEAR}-?(?P<month>\d\d)-?(?P<day>\d\d)T", r"(?P<hour>\d\d)[-:._]?(?P<minute>\d\d)"),
    )
)
# Serial number, year without century and so on, as SoundTraps name their files.
_SOUNDTRAP = re.compile(
    r"(?<![\d.])\d{3,10}\.(?P<short_year>\d\d)(?P<month>\d\d)(?P<day>\d\d)"
    rf"{_CLOCK.format('')}(?!\d)"
)
# Seconds since 1970, as the first AudioMoths name their files. Digits alone are no such name:
# they are numbers of something else more often.
_HEX = re.compile(r"(?=.*[A-F])[0-9A-F]{8}")
_HEX_YEARS = range(2015, 2036)

_DIRECTIVES = {
    **{"Y": r"(?P<year>\d{4})", "y": r"(?P<short_year>\d\d)", "m": r"(?P<month>\d\d)"},
    **{"d": r"(?P<day>\d\d)", "j": r"(?P<day_of_year>\d{3})", "H": r"(?P<hour>\d\d)"},
    **{"M": r"(?P<minute>\d\d)", "S": r"(?P<second>\d\d)", "f": r"(?P<fraction>\d{1,6})"},
    **{"z": r"(?P<offset>Z|[+-]\d\d:?\d\d)", "%": "%"},
}
_GROUPS = frozenset(
    [
        "year",
        "short_year",
        "month",
        "day",
        "day_of_year",
        "hour",
        "minute",
        "second",
        "fraction",
        "offset",
    ]
)


@dataclass(frozen=True)
class TimePattern:
    """How a person says that time stands in names; made by ``time_pattern``.

    Attributes:
        text: As it was given.
        search: What to look for.
        n_folders: How many folders above a file belong to what is searched.
    """

    text: str
    search: re.Pattern[str]
    n_folders: int


def time_pattern(text: str) -> TimePattern:
    """Understand ``--time_pattern``: codes of ``strptime``, or a regular expression.

    Codes are ``%Y %y %m %d %j %H %M %S %f %z``; what stands between them is taken as it is. A
    regular expression has named groups such as ``(?P<year>...)``. The pattern may stand anywhere in
    the name; with ``/`` in it, in the names of as many folders too.

    Raises:
        MomentError: If it cannot be understood, or gives no date.
    """
    is_expression = "(?P<" in text
    try:
        search = re.compile(text if is_expression else _expression(text))
    except re.error as error:
        raise MomentError(f"--time_pattern {text!r} is no regular expression: {error}") from error
    groups = set(search.groupindex)
    if unknown := groups - _GROUPS:
        raise MomentError(
            f"--time_pattern has the group {sorted(unknown)[0]!r}; there are "
            f"{', '.join(sorted(_GROUPS))}"
        )
    has_day = {"month", "day"} <= groups or "day_of_year" in groups
    if not (groups & {"year", "short_year"} and has_day and "hour" in groups):
        raise MomentError(
            f"--time_pattern {text!r} gives no year, month, day and hour; write it as %Y%m%d_%H%M%S"
        )
    return TimePattern(text, search, text.count("/"))


def _expression(text: str) -> str:
    parts, used = [], set()
    for piece in re.findall(r"%.?|[^%]+", text):
        if not piece.startswith("%"):
            parts.append(re.escape(piece))
            continue
        code = piece[1:]
        if code not in _DIRECTIVES or (code in used and code != "%"):
            raise MomentError(
                f"--time_pattern {text!r}: {piece} is not understood, or stands there twice; there "
                "are %Y %y %m %d %j %H %M %S %f %z"
            )
        used.add(code)
        parts.append(_DIRECTIVES[code])
    return "".join(parts)


def time_in_name(path: Path, pattern: TimePattern | None = None) -> tuple[str, datetime] | None:
    """Return the time in the name of a recording, and how it was found; None: there is none.

    Args:
        path: Of the recording.
        pattern: Where to look; None: what recorders write.

    Returns:
        Source and time; without ``tzinfo`` where the name says no zone.
    """
    if pattern is not None:
        place = "/".join(path.parts[-1 - pattern.n_folders :])
        moment = _first(pattern.search, place)
        return None if moment is None else (OWN, moment)
    stem = path.stem
    if _HEX.fullmatch(stem):
        moment = datetime.fromtimestamp(int(stem, 16), timezone.utc)
        return (HEXADECIMAL, moment) if moment.year in _HEX_YEARS else None
    for search in (*_PATTERNS, _SOUNDTRAP):
        moment = _first(search, stem)
        if moment is not None:
            return NAME, moment
    return None


def _first(search: re.Pattern[str], text: str) -> datetime | None:
    """Return the first match that is a time."""
    moments = (_moment(match.groupdict()) for match in search.finditer(text))
    return next((moment for moment in moments if moment is not None), None)


def _moment(parts: dict[str, str | None]) -> datetime | None:
    def number(name: str) -> int:
        return int(parts.get(name) or 0)

    offset = parts.get("offset")
    zone = offset_of(offset.lstrip("_")) if offset else None
    fraction = int((parts.get("fraction") or "").ljust(6, "0")[:6])
    try:
        year = number("year") if parts.get("year") else 2000 + number("short_year")
        month, day = (1, 1) if parts.get("day_of_year") else (number("month"), number("day"))
        clock = (number("hour"), number("minute"), number("second"), fraction)
        moment = datetime(year, month, day, *clock, tzinfo=zone)
        if parts.get("day_of_year"):
            moment += timedelta(days=number("day_of_year") - 1)
    except (ValueError, OverflowError):
        return None
    return moment
