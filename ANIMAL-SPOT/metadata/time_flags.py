"""The flags that say when and where recordings were made, for the settings of several programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from animal_spot.settings.flags import option

if TYPE_CHECKING:
    from animal_spot.metadata.recording_time import TimeFinder


TIME_FIELDS = ("timezone", "time_pattern", "deployments")


def timezone_option() -> Any:
    """Declare the field ``timezone``."""
    return option(
        None,
        "time zone of recorders whose files do not say it, such as Europe/Berlin or +02:00",
        metavar="ZONE",
    )


def time_pattern_option() -> Any:
    """Declare the field ``time_pattern``."""
    return option(
        None,
        "where names of recordings hold the time, such as %%Y%%m%%d_%%H%%M%%S, or a regular "
        "expression with groups (?P<year>...); none: as recorders write it",
        metavar="PATTERN",
    )


def deployments_option() -> Any:
    """Declare the field ``deployments``."""
    return option(
        None,
        "CSV of recorders: site, and device or folder, latitude, longitude, zone, start, end "
        "where known",
        metavar="FILE",
    )


def refuse_time_flags(settings: Any) -> None:
    """Check zone and pattern.

    Raises:
        ValueError: If one of them cannot be used.
    """
    from animal_spot.metadata.file_name_time import time_pattern
    from animal_spot.metadata.moments import zone_named

    if settings.timezone is not None:
        zone_named(settings.timezone)
    if settings.time_pattern is not None:
        time_pattern(settings.time_pattern)


def time_finder_of(settings: Any) -> TimeFinder:
    """Make what finds times as the three fields say.

    Raises:
        ValueError: If one of them cannot be used.
        OSError: If the table of deployments cannot be read.
    """
    from animal_spot.metadata.recording_time import time_finder

    return time_finder(settings.timezone, settings.time_pattern, settings.deployments)
