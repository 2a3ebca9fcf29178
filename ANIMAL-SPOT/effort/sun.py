"""Sunrise and sunset, by the clock of a place."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone


def sun_hours(
    latitude: float, longitude: float, day: date, clock: datetime
) -> tuple[float | None, float | None]:
    """Return when the sun rises and sets on a day, in hours of the clock; None: it does not.

    Args:
        latitude: Degrees, north is positive.
        longitude: Degrees, east is positive.
        day: By the clock.
        clock: Any time with the zone by which the clock goes.
    """
    from astral import Observer
    from astral.sun import sunrise, sunset

    observer = Observer(latitude, longitude)
    return tuple(_on_day(event, observer, day, clock) for event in (sunrise, sunset))


def _on_day(event, observer, day: date, clock: datetime) -> float | None:
    """Ask for the days around too: by the clock of a place that of UTC may be another one."""
    for shift in (0, -1, 1):
        try:
            moment = event(observer, date=day + timedelta(days=shift), tzinfo=timezone.utc)
        except ValueError:  # polar day or night
            continue
        local = moment.astimezone(clock.tzinfo)
        if local.date() == day:
            return local.hour + local.minute / 60 + local.second / 3600
    return None
