"""Points in time of recordings: with a zone where it is known, as clock time where it is not.

Python adds to a time with a zone as if clocks never changed; what is added here is time that
passed. Standard library only.
"""

from __future__ import annotations

import difflib
import re
from datetime import datetime, timedelta, timezone, tzinfo

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:(?:\s+|T)(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"\s*(Z|z|[+-]\d\d(?::?\d\d)?)?)?"
)


class MomentError(ValueError):
    """What is written is no time, or no time zone; one line says which and what to do."""


def zone_named(name: str) -> tzinfo:
    """Return a time zone by its IANA name, such as ``Europe/Berlin``, or an offset as ``+02:00``.

    Raises:
        MomentError: If there is none of that name.
    """
    import zoneinfo  # only where a zone is asked for: --help need not wait for it

    offset = offset_of(name.strip())
    if offset is not None:
        return offset
    try:
        return zoneinfo.ZoneInfo(name.strip())
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
    if not known:
        raise MomentError(f"time zone {name!r}: this computer has no list; pip install tzdata")
    words = {zone.rpartition("/")[2].lower(): zone for zone in sorted(known)}
    near = difflib.get_close_matches(name.strip().lower().rpartition("/")[2], words, n=1)
    hint = f"did you mean {words[near[0]]}?" if near else "write it as Europe/Berlin or +02:00"
    raise MomentError(f"there is no time zone {name!r}; {hint}")


def offset_of(text: str) -> timezone | None:
    """Return the offset that ``Z``, ``+0130``, ``-03:00`` or ``+2`` stands for; None: it is none.

    Offsets go up to 14 hours, in quarters of an hour, as clocks have them.
    """
    if text.upper() in ("Z", "UTC"):
        return timezone.utc
    match = re.fullmatch(r"(?:UTC)?([+-])(\d{1,2})(?::?(\d\d))?", text, re.IGNORECASE)
    if match is None:
        return None
    hours, minutes = int(match[2]), int(match[3] or 0)
    if minutes % 15 or minutes > 45 or hours * 60 + minutes > 14 * 60:
        return None
    shift = timedelta(hours=hours, minutes=minutes)
    return timezone(-shift if match[1] == "-" else shift)


def parse_moment(text: str) -> datetime:
    """Read a time in ISO 8601, such as ``2024-05-01T03:00:00.5+02:00``; a date means midnight.

    Raises:
        MomentError: If it is none.
    """
    match = _ISO.fullmatch(text.strip())
    offset = offset_of(match[8]) if match and match[8] else None
    if match is None or (match[8] and offset is None):
        raise MomentError(f"{text!r} is no time; write it as 2024-05-01T03:00:00, with +02:00 or Z")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    microsecond = int((match[7] or "").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=offset)
    except ValueError as error:
        raise MomentError(f"{text!r} is no time: {error}") from error


def is_date(text: str) -> bool:
    """Tell whether a text is a date alone."""
    return re.fullmatch(r"\s*\d{4}-\d\d-\d\d\s*", text) is not None


def later(moment: datetime, seconds: float) -> datetime:
    """Return what the clock says after so many seconds, also where it was changed meanwhile.

    Where no zone is known it runs on as if nobody changed it.
    """
    if moment.tzinfo is None or isinstance(moment.tzinfo, timezone):
        return moment + timedelta(seconds=seconds)
    in_utc = moment.astimezone(timezone.utc) + timedelta(seconds=seconds)
    return in_utc.astimezone(moment.tzinfo)


def in_zone(moment: datetime, zone: tzinfo) -> tuple[datetime, str]:
    """Give a clock time its zone, or show a time of another zone there.

    Returns:
        The time, and what is odd about it: on the day on which clocks change an hour is missing,
        or comes twice, which then means its first coming; nothing if all is well.
    """
    if moment.tzinfo is not None:
        return moment.astimezone(zone), ""
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first, ""
    through_utc = first.astimezone(timezone.utc).astimezone(zone)
    clock = f"{moment:%Y-%m-%d %H:%M:%S} in {zone}"
    if through_utc.replace(tzinfo=None) != moment:
        return through_utc, (
            f"there was no {clock}, since clocks were put forward; {iso_text(through_utc)} is "
            "meant if the recorder's clock was not"
        )
    return first, f"{clock} came twice, since clocks were put back; its first coming is taken"


def iso_text(moment: datetime) -> str:
    """Write a time in ISO 8601 to the millisecond, with its offset if a zone is known."""
    return moment.isoformat(timespec="milliseconds")
