"""``deployments.csv``: which recorder stood where, and when."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from pathlib import Path

from animal_spot.metadata.moments import in_zone, is_date, parse_moment, zone_named
from animal_spot.remote.addresses import is_remote
from animal_spot.utils.names import composed

_NAMES = {
    "site": ("site", "location", "station"),
    "device": ("device", "serial", "recorder"),
    "folder": ("folder", "pattern", "path"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "long"),
    "zone": ("zone", "timezone", "time_zone"),
    "clock_zone": ("clock_zone",),
    "start": ("start",),
    "end": ("end",),
}
_LARGEST = 2**24  # bytes


class DeploymentError(ValueError):
    """A table of deployments that cannot be used; one line says which, where and why."""


@dataclass(frozen=True)
class Deployment:
    """A recorder at a place for a while; what is empty in the table is None and means any.

    Attributes:
        site: Name of the place.
        device: Serial number, as metadata or a part of the file's or a folder's name has it.
        folder: Pattern such as ``site_a``, ``2024/A*`` or ``SM4-0387_*`` of folders or file.
        latitude: Degrees, north is positive.
        longitude: Degrees, east is positive.
        zone: Of the place, in which its times are told.
        clock_zone: That the recorder's clock was set to, if another one, such as UTC.
        start: Begin; without ``tzinfo`` as clocks at the place show it.
        end: What is later is no more part of it.
    """

    site: str
    device: str | None = None
    folder: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    zone: tzinfo | None = None
    clock_zone: tzinfo | None = None
    start: datetime | None = None
    end: datetime | None = None

    def is_of(self, path: Path, device: str | None) -> bool:
        """Tell whether a recording is of this device and in this folder."""
        if self.device is not None and not _is_device(self.device, path, device):
            return False
        return self.folder is None or _is_in(self.folder, path)

    def holds(self, time: datetime | None) -> bool:
        """Tell whether a time is between start and end; one that is not known may be."""
        if time is None:
            return True
        return (self.start is None or self._is_before(self.start, time, or_same=True)) and (
            self.end is None or self._is_before(time, self.end)
        )

    def _is_before(self, first: datetime, second: datetime, *, or_same: bool = False) -> bool:
        """Compare, by the clock of the place if a zone is missing."""
        if (first.tzinfo is None) != (second.tzinfo is None) and self.zone is not None:
            first, second = (in_zone(moment, self.zone)[0] for moment in (first, second))
        elif first.tzinfo is None or second.tzinfo is None:
            first, second = first.replace(tzinfo=None), second.replace(tzinfo=None)
        return first <= second if or_same else first < second


@dataclass(frozen=True)
class Deployments:
    """All deployments of a table.

    Attributes:
        path: The table.
        rows: In its order.
    """

    path: Path
    rows: tuple[Deployment, ...]

    def matching(self, path: Path, device: str | None, time: datetime | None) -> list[Deployment]:
        """Return every deployment that a recording can be of.

        Args:
            path: Of the recording.
            device: Serial number in its metadata.
            time: Its begin; None: any time will do.
        """
        found = [row for row in self.rows if row.is_of(path, device) and row.holds(time)]
        return list(dict.fromkeys(found))

    def of(self, path: Path, device: str | None, time: datetime | None) -> Deployment | None:
        """Return the deployment that a recording is of; None if there is none, or several."""
        found = self.matching(path, device, time)
        return found[0] if len(found) == 1 else None


def read_deployments(path: Path) -> Deployments:
    """Read a table of deployments: comma, semicolon or tab between cells, names above.

    Columns are ``site``, and of ``device``, ``folder``, ``latitude``, ``longitude``, ``zone``,
    ``clock_zone``, ``start`` and ``end`` those that are known. Others do not count.

    Raises:
        DeploymentError: If something in it cannot be used.
        OSError: If it cannot be read.
    """
    lines = _lines(path)
    marks = {mark: lines[0].count(mark) for mark in (",", ";", "\t")} if lines else {",": 0}
    table = csv.reader(lines, delimiter=max(marks, key=marks.__getitem__))
    try:
        rows = [(table.line_num, [composed(cell.strip()) for cell in row]) for row in table]
    except csv.Error as error:
        raise DeploymentError(f"{path}, line {table.line_num}: {error}") from error
    if not rows:
        raise DeploymentError(f"{path} is empty; its first line names the columns, such as site")
    header = [cell.lower().replace(" ", "_") for cell in rows[0][1]]
    columns = {
        field: next((header.index(name) for name in names if name in header), None)
        for field, names in _NAMES.items()
    }
    if columns["site"] is None:
        raise DeploymentError(f"{path} has no column 'site' (columns: {', '.join(header)})")
    found = []
    for line, row in rows[1:]:
        cells = {
            field: row[i]
            for field, i in columns.items()
            if i is not None and i < len(row) and row[i]
        }
        if cells:
            try:
                found.append(_deployment(cells))
            except ValueError as error:
                raise DeploymentError(f"{path}, line {line}: {error}") from error
    if not found:
        raise DeploymentError(f"{path} holds no deployment; each line below the first is one")
    return Deployments(path, tuple(found))


def _deployment(cells: dict[str, str]) -> Deployment:
    if "site" not in cells:
        raise ValueError("has no site; give it a name")
    place = {
        name: _degrees(name, cells[name]) for name in ("latitude", "longitude") if name in cells
    }
    if len(place) == 1:
        raise ValueError(f"has a {next(iter(place))} only; a place needs both")
    zones = {name: zone_named(cells[name]) for name in ("zone", "clock_zone") if name in cells}
    times = {name: parse_moment(cells[name]) for name in ("start", "end") if name in cells}
    if "end" in cells and is_date(cells["end"]):
        times["end"] += timedelta(days=1)  # a last day belongs to it as a whole
    deployment = Deployment(
        cells["site"], cells.get("device"), cells.get("folder"), **place, **zones, **times
    )
    if deployment.start is not None and not deployment.holds(deployment.start):
        raise ValueError(f"ends before it starts, {cells['start']} to {cells['end']}")
    return deployment


def _degrees(name: str, text: str) -> float:
    most = 90 if name == "latitude" else 180
    try:
        value = float(text.replace(",", ".").replace("−", "-"))
    except ValueError:
        value = math.nan
    if not abs(value) <= most:
        raise ValueError(f"{name} must be degrees from -{most} to {most}, got {text!r}")
    return value


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DeploymentError(f"{path} is not a regular file")
    if path.stat().st_size > _LARGEST:
        raise DeploymentError(f"{path} is larger than {_LARGEST >> 20} MB: no table of deployments")
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace").splitlines()
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace").splitlines()


def _is_device(wanted: str, path: Path, device: str | None) -> bool:
    """Tell whether a serial number is that of the metadata, or stands in the name or a folder's."""
    number = wanted.casefold().split()[-1]  # "AudioMoth 24F3…" or the number alone
    if device is not None and number in (device.casefold(), device.casefold().split()[-1]):
        return True
    names = (path.stem, *path.parent.parts)
    words = {word for name in names for word in re.split(r"[_\s.]+", composed(name).casefold())}
    return number in words


def _is_in(pattern: str, path: Path) -> bool:
    """Tell whether folders and names that follow each other in a path fit those of a pattern."""
    wanted = [part for part in pattern.replace("\\", "/").split("/") if part not in ("", ".")]
    parts = [composed(part) for part in (path if is_remote(path) else path.absolute()).parts]
    runs = (parts[i : i + len(wanted)] for i in range(len(parts) - len(wanted) + 1))
    return any(all(map(fnmatchcase, run, wanted)) for run in runs)
