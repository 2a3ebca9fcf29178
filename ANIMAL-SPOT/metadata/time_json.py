"""Times of recordings as JSON, for files that another process goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from animal_spot.metadata.moments import zone_named
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime

Zone = str | float | None  # an IANA name, seconds east of UTC, or not known


@dataclass(frozen=True, kw_only=True)
class NotedTime:
    """What tables say of a ``RecordingTime``, in types that JSON has.

    Attributes:
        start: Its begin as the clock shows it, ISO 8601 without a zone; empty: not known.
        zone: Of ``start``.
        fold: 1 for the second coming of an hour that clocks show twice.
        site: Name of the place.
        changes: Seconds after the begin from which the clock goes by another zone, and that zone.
    """

    start: str = ""
    zone: str | float | None = None
    fold: int = 0
    site: str | None = None
    changes: list[tuple[str | float, ...]] | None = None


def noted_time(time: RecordingTime) -> NotedTime | None:
    """Return what is to be kept of a time; None if nothing is known."""
    if time.start is None and time.site is None:
        return None
    if time.start is None:
        return NotedTime(site=time.site)
    return NotedTime(
        start=time.start.replace(tzinfo=None).isoformat(),
        zone=_zone_text(time.start.tzinfo, time.start),
        fold=time.start.fold,
        site=time.site,
        changes=[(since, _zone_text(zone, time.start)) for since, zone in time.changes] or None,
    )


def time_of(noted: NotedTime | None) -> RecordingTime:
    """Return the time that was noted.

    Raises:
        ValueError: If it is none, or there is no such zone here.
    """
    if noted is None:
        return NO_TIME
    if not noted.start:
        return RecordingTime(site=noted.site)
    start = datetime.fromisoformat(noted.start)
    if start.tzinfo is not None or noted.fold not in (0, 1):
        raise ValueError(f"{noted.start} is no time of a clock")
    start = start.replace(tzinfo=_zone(noted.zone), fold=noted.fold)
    changes = tuple((float(since), _zone(zone)) for since, zone in noted.changes or ())
    return RecordingTime(start=start, site=noted.site, changes=changes)


def _zone_text(zone: tzinfo | None, moment: datetime) -> Zone:
    if zone is None:
        return None
    if isinstance(zone, timezone):
        return zone.utcoffset(moment).total_seconds()
    return str(zone)


def _zone(text: Zone) -> tzinfo | None:
    if text is None:
        return None
    if isinstance(text, str):
        return zone_named(text)
    return timezone(timedelta(seconds=text))
