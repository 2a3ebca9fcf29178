"""When a recording was made, and where: found once, with the source of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from animal_spot.metadata.deployments import Deployment, Deployments, read_deployments
from animal_spot.metadata.file_name_time import OWN, TimePattern, time_in_name, time_pattern
from animal_spot.metadata.moments import in_zone, iso_text, later, zone_named
from animal_spot.metadata.wav_metadata import read_metadata
from animal_spot.remote.addresses import shown

FLAG = "--timezone"
_N_SHOWN = 10  # recordings with something odd, of a run
_SAME = timedelta(seconds=2)  # recorders open the file a little before or after they name it
_QUARTER = timedelta(minutes=15)  # what clocks of different zones differ by, or multiples of it


@dataclass(frozen=True, slots=True)
class RecordingTime:
    """When and where a recording was made.

    Attributes:
        start: Its begin; without ``tzinfo`` where no zone is known; None: not known.
        source: What says so, such as ``GUANO``; empty if nothing does.
        zone_source: What says its zone; empty if nothing does.
        site: Name of the place.
        latitude: Degrees, north is positive.
        longitude: Degrees, east is positive.
        notes: What is odd, each in one line, such as two sources that disagree.
        changes: Seconds after the begin from which the clock goes by another zone, and that zone,
            where ``start`` has an offset alone and tables say so.
    """

    start: datetime | None = None
    source: str = ""
    zone_source: str = ""
    site: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    notes: tuple[str, ...] = ()
    changes: tuple[tuple[float, tzinfo], ...] = ()

    def at(self, seconds: float) -> str:
        """Return the time so many seconds after the begin in ISO 8601; empty if it is not known."""
        return "" if self.start is None else iso_text(self.clock_at(seconds))

    def clock_at(self, seconds: float) -> datetime:
        """Return what the clock shows so many seconds after the begin, which is known."""
        moment = later(self.start, seconds)
        for since, zone in reversed(self.changes):
            if seconds >= since:
                return moment.astimezone(zone)
        return moment


NO_TIME = RecordingTime()


@dataclass(frozen=True)
class TimeFinder:
    """Finds when recordings were made; see ``time_finder``.

    Attributes:
        zone: Of times that say none.
        pattern: Where names hold the time.
        deployments: Which recorder stood where.
    """

    zone: tzinfo | None = None
    pattern: TimePattern | None = None
    deployments: Deployments | None = None

    def of(self, path: Path) -> RecordingTime:
        """Find when and where a recording was made."""
        return recording_time(
            path, zone=self.zone, pattern=self.pattern, deployments=self.deployments
        )


def time_finder(
    timezone: str | None, pattern: str | None, deployments: str | Path | None
) -> TimeFinder:
    """Make what finds times of the values of flags.

    Raises:
        ValueError: If one cannot be used.
        OSError: If the table of deployments cannot be read.
    """
    return TimeFinder(
        None if timezone is None else zone_named(timezone),
        None if pattern is None else time_pattern(pattern),
        None if deployments is None else read_deployments(Path(deployments)),
    )


def recording_time(
    path: Path,
    *,
    zone: tzinfo | None = None,
    pattern: TimePattern | None = None,
    deployments: Deployments | None = None,
) -> RecordingTime:
    """Find when and where a recording was made.

    An own pattern of names wins over GUANO, that over comments of AudioMoths, metadata of Wildlife
    Acoustics, of broadcast-wave and WAVE, and those over names as recorders write them. A time
    without zone is one of the deployment's clock, or else of ``zone``; without either it stays so.
    A time with a zone is shown in that of the deployment, or else in ``zone``.

    Args:
        path: Of the recording; need not be there, then only its name counts.
        zone: Of times that say none.
        pattern: Where names hold the time; None: what recorders write.
        deployments: Which recorder stood where.
    """
    metadata = read_metadata(path)
    named = time_in_name(path, pattern)
    said = list(metadata.times)
    if named is not None:
        said.insert(0 if named[0] == OWN else len(said), named)
    notes: list[str] = []
    deployment = None
    if deployments is not None:
        time = said[0][1] if said else None
        found = deployments.matching(path, metadata.device, time)
        deployment = found[0] if len(found) == 1 else None
        if len(found) > 1:
            sites = ", ".join(dict.fromkeys(row.site for row in found))
            notes.append(f"{deployments.path.name} has several deployments of it ({sites})")
        elif not found:
            notes.append(f"{deployments.path.name} has no deployment of it")
    place = _place(deployment, metadata.latitude, metadata.longitude)
    if not said:
        return RecordingTime(**place, notes=tuple(notes))
    clock, zone_source = zone, FLAG
    if deployment is not None and (deployment.zone or deployment.clock_zone):
        clock, zone_source = deployment.clock_zone or deployment.zone, deployments.path.name
        zone = deployment.zone or zone or deployment.clock_zone
    source, moment = said[0]
    for other, its in said[1:]:
        if not _agree(moment, its, clock):
            notes.append(
                f"{source} says {iso_text(moment)}, {other} says {iso_text(its)}: the first counts"
            )
    if moment.tzinfo is not None:
        zone_source = source
    else:
        exact = [
            (other, its)
            for other, its in said
            if its.tzinfo and abs(its.replace(tzinfo=None) - moment) <= _SAME
        ]
        if exact:  # the same reading of the clock, with its zone
            zone_source, moment = exact[0][0], moment.replace(tzinfo=exact[0][1].tzinfo)
        elif clock is not None:
            moment, note = in_zone(moment, clock)
            notes += [note] if note else []
        else:
            zone_source = ""
    if moment.tzinfo is not None and zone is not None:
        moment, _ = in_zone(moment, zone)
    return RecordingTime(moment, source, zone_source, **place, notes=tuple(notes))


def _place(
    deployment: Deployment | None, latitude: float | None, longitude: float | None
) -> dict[str, str | float | None]:
    if deployment is not None and deployment.latitude is not None:
        latitude, longitude = deployment.latitude, deployment.longitude
    site = None if deployment is None else deployment.site
    return {"site": site, "latitude": latitude, "longitude": longitude}


def _agree(first: datetime, second: datetime, clock: tzinfo | None) -> bool:
    """Tell whether two sources can mean the same time."""
    if first.tzinfo and second.tzinfo:
        return abs(first - second) <= _SAME
    apart = abs(first.replace(tzinfo=None) - second.replace(tzinfo=None))
    if apart <= _SAME:
        return True
    if first.tzinfo is None and second.tzinfo is None:
        return False
    if clock is not None:
        return abs(in_zone(first, clock)[0] - in_zone(second, clock)[0]) <= _SAME
    beyond = apart % _QUARTER  # one of them may be of another zone
    return apart <= timedelta(hours=14) and min(beyond, _QUARTER - beyond) <= _SAME


def lines_about(times: Iterable[tuple[Path, RecordingTime]]) -> Iterator[tuple[bool, str]]:
    """Say what was found of a run's recordings: whether it is a warning, and a line each.

    Nothing is said where no recording has a time, a place or anything odd.
    """
    sources: Counter[str] = Counter()
    n = n_local = n_notes = 0
    local: Path | None = None
    notes: list[str] = []
    for path, time in times:
        n += 1
        if time.start is not None:
            sources[time.source] += 1
            if time.start.tzinfo is None:
                n_local += 1
                local = local or path
        n_notes += len(time.notes)
        if len(notes) < _N_SHOWN:
            notes += [f"{shown(path)}: {note}" for note in time.notes]
    if sources:
        n_without = n - sum(sources.values())
        by_source = ", ".join(f"{n} by {source}" for source, n in sources.most_common())
        without = f"; {n_without} have none" if n_without else ""
        yield False, f"recording times: {by_source}{without}"
    if local is not None:
        yield (
            True,
            f"local time, zone unknown, of {n_local} recordings, such as {local.name}; name "
            f"it with {FLAG}, such as {FLAG} Europe/Berlin or {FLAG} UTC",
        )
    for note in notes[:_N_SHOWN]:
        yield True, note
    if n_notes > _N_SHOWN:
        yield True, f"{n_notes - _N_SHOWN} more such lines about times are left out"
