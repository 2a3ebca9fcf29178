"""Answers to photos as a Camera Trap Data Package: Camtrap DP 1.0.1 (Bubnicki et al. 2024, TDWG).

Four files: ``deployments.csv``, ``media.csv``, ``observations.csv`` and ``datapackage.json``. The
standard is made for cameras on trees. Here a deployment is a place at which somebody photographed
tracks, from its first to its last photo.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

from footprints.places.distance import distance_m
from footprints.places.taken import Taken

VERSION = "1.0.1"
FILES = ("deployments.csv", "media.csv", "observations.csv", "datapackage.json")
DEPLOYMENT_COLUMNS = (
    "deploymentID", "locationName", "latitude", "longitude", "coordinateUncertainty",
    "deploymentStart", "deploymentEnd", "cameraModel", "deploymentComments",
)  # fmt: skip
MEDIA_COLUMNS = (
    "mediaID", "deploymentID", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype",
)  # fmt: skip
OBSERVATION_COLUMNS = (
    "observationID", "deploymentID", "mediaID", "eventStart", "eventEnd", "observationLevel",
    "observationType", "scientificName", "bboxX", "bboxY", "bboxWidth", "bboxHeight",
    "classificationMethod", "classifiedBy", "classificationProbability", "observationTags",
    "observationComments",
)  # fmt: skip
_SOURCE = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
_FILE_PATH = re.compile(r"(?=^[^./~])(^((?!\.{2}).)*$)")  # as the standard has it
_COMMENT = "a place at which tracks were photographed by hand, from its first to its last photo"
_TYPES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "image/jpeg"),
    **dict.fromkeys((".tif", ".tiff"), "image/tiff"),
    **dict.fromkeys((".heic", ".hif"), "image/heic"),
    **dict.fromkeys((".bmp", ".dib"), "image/bmp"),
}
_FORMAT_SUFFIXES = (".png", ".gif", ".webp", ".avif", ".heif")


@dataclass(frozen=True)
class Sighting:
    """A photo and what was said of it.

    Attributes:
        photo: Its path from the folder of photos on, with ``/``.
        taken: When and where.
        label: The class; None: unknown.
        best_class: The most probable one, also where the answer is unknown.
        probability: Of the best class, 0 to 1.
        box_xyxy: The print, in pixels of the upright photo; empty where none was found.
        size: Width and height of the upright photo.
    """

    photo: str
    taken: Taken
    label: str | None
    best_class: str
    probability: float
    box_xyxy: tuple[float, ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class Study:
    """What the photos themselves do not say.

    Attributes:
        title: Of the project.
        contributors: Names; the first is the contact.
        model: What named the animals.
        species: Scientific name of each class.
        zone: Of photos that do not say theirs; None: these are left out.
        metres: Photos of a folder so near to each other are of one deployment.
        uncertainty_m: Of all positions, where they were rounded.
        warning: Of the model as a whole; it goes to each observation.
    """

    title: str
    contributors: tuple[str, ...]
    model: str
    species: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo | None = None
    metres: float = 100.0
    uncertainty_m: int | None = None
    warning: str = ""


@dataclass
class _Deployment:
    """A place, its photos and their times."""

    number: int
    folder: str
    first: Taken
    times: list[datetime.datetime] = field(default_factory=list)
    farthest_m: float = 0.0

    @property
    def name(self) -> str:
        return f"d{self.number:04}"


@dataclass(frozen=True)
class Export:
    """The tables, each with its head, and the description of the package.

    Attributes:
        tables: By file name.
        package: Content of ``datapackage.json``.
        left_out: Photos that the standard has no room for, and why.
    """

    tables: Mapping[str, list[Sequence[Any]]]
    package: Mapping[str, Any]
    left_out: list[tuple[str, str]]


def camtrap_dp(sightings: Sequence[Sighting], study: Study, now: datetime.datetime) -> Export:
    """Return answers in the form of the standard.

    Args:
        sightings: At least one that says when, with its zone, and where.
        study: What they are of.
        now: Time of the export, with its zone.

    Raises:
        ValueError: If there is none.
    """
    usable, left_out = [], []
    for one in sightings:
        time, reason = _time_of(one, study)
        if time is None:
            left_out.append((one.photo, reason))
        else:
            usable.append((time, one))
    if not usable:
        raise ValueError(left_out[0][1] if left_out else "there are no photos")
    usable.sort(key=lambda pair: (pair[0], pair[1].photo))
    deployments: list[_Deployment] = []
    media, observations = [], []
    for time, one in usable:
        place = _deployment_of(one, time, deployments, study.metres)
        medium = "m" + hashlib.sha256(one.photo.encode()).hexdigest()[:16]
        media.append(_medium(medium, place.name, time, one))
        observations.append(_observation(medium, place.name, time, one, study))
    tables = {
        "deployments.csv": [DEPLOYMENT_COLUMNS, *(_row(one, study) for one in deployments)],
        "media.csv": [MEDIA_COLUMNS, *media],
        "observations.csv": [OBSERVATION_COLUMNS, *observations],
    }
    labels = sorted({one.label for _, one in usable if one.label in study.species})
    return Export(tables, _package(deployments, labels, study, now), left_out)


def _time_of(one: Sighting, study: Study) -> tuple[datetime.datetime | None, str]:
    """Return when a photo was taken, or why it has no room in the standard."""
    if not one.taken.has_place:
        return None, "does not say where it was taken"
    if one.taken.taken_at is None:
        return None, "does not say when it was taken"
    if not _FILE_PATH.search(one.photo):
        return None, "its name begins with . or ~, or holds .., which Camtrap DP does not allow"
    time = datetime.datetime.fromisoformat(one.taken.taken_at)
    if time.tzinfo is None:
        if study.zone is None:
            return None, "does not say the zone of its time; give it as --time_zone"
        time = time.replace(tzinfo=study.zone)
    return time, ""


def _deployment_of(
    one: Sighting, time: datetime.datetime, there: list[_Deployment], metres: float
) -> _Deployment:
    """Return the deployment of a photo, a new one if none of its folder and camera is near."""
    folder = str(PurePosixPath(one.photo).parent)
    for place in there:
        if (place.folder, place.first.camera) == (folder, one.taken.camera):
            away_m = distance_m(place.first, one.taken)
            if away_m <= metres:
                break
    else:
        place, away_m = _Deployment(len(there) + 1, folder, one.taken), 0.0
        there.append(place)
    place.times.append(time)
    place.farthest_m = max(place.farthest_m, away_m)
    return place


def _row(place: _Deployment, study: Study) -> Sequence[Any]:
    uncertainty: int | str = math.ceil(place.farthest_m) or ""
    if study.uncertainty_m is not None:
        uncertainty = study.uncertainty_m
    return (
        place.name,
        "" if place.folder == "." else place.folder,
        place.first.latitude,
        place.first.longitude,
        uncertainty,
        place.times[0].isoformat(),
        place.times[-1].isoformat(),
        place.first.camera or "",
        _COMMENT,
    )


def _medium(name: str, deployment: str, time: datetime.datetime, one: Sighting) -> Sequence[Any]:
    file = PurePosixPath(one.photo)
    suffix = file.suffix.lower()
    media_type = _TYPES.get(suffix)
    if media_type is None:
        media_type = f"image/{suffix[1:]}" if suffix in _FORMAT_SUFFIXES else "image/x-raw"
    return name, deployment, time.isoformat(), one.photo, "false", file.name, media_type


def _observation(
    medium: str, deployment: str, time: datetime.datetime, one: Sighting, study: Study
) -> Sequence[Any]:
    is_known = one.label is not None
    box: Sequence[Any] = _box(one) or ("", "", "", "")
    comments = [] if is_known else [f"perhaps {one.best_class} ({one.probability:.2f})"]
    comments += [study.warning] if study.warning else []
    return (
        f"{medium}-1",
        deployment,
        medium,
        time.isoformat(),
        time.isoformat(),
        "media",
        "animal" if is_known else "unknown",
        study.species.get(one.label, "") if is_known else "",
        *box,
        "machine",
        study.model,
        round(one.probability, 4) if is_known else "",
        f"sign:track | class:{one.label}" if is_known else "sign:track",
        "; ".join(comments),
    )


def _box(one: Sighting) -> tuple[float, float, float, float] | None:
    """Return left, top, width and height as shares of the photo; None without a box in it."""
    width, height = one.size
    if len(one.box_xyxy) != 4 or not width or not height:
        return None
    x1, x2 = (min(max(value / width, 0.0), 1.0) for value in one.box_xyxy[::2])
    y1, y2 = (min(max(value / height, 0.0), 1.0) for value in one.box_xyxy[1::2])
    left, top = round(x1, 6), round(y1, 6)
    wide, high = round(x2 - x1, 6), round(y2 - y1, 6)
    return (left, top, wide, high) if wide > 0 and high > 0 else None


def _package(
    places: Sequence[_Deployment], labels: Sequence[str], study: Study, now: datetime.datetime
) -> dict[str, Any]:
    tables = [
        {
            "name": name,
            "path": f"{name}.csv",
            "profile": "tabular-data-resource",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "schema": f"{_SOURCE}/{name}-table-schema.json",
        }
        for name in ("deployments", "media", "observations")
    ]
    times = [time for place in places for time in place.times]
    people = [
        {"title": name, "role": "contributor" if number else "contact"}
        for number, name in enumerate(study.contributors)
    ]
    return {
        "profile": f"{_SOURCE}/camtrap-dp-profile.json",
        "name": re.sub("[^a-z0-9._-]+", "-", study.title.lower()).strip("-") or "footprints",
        "title": study.title,
        "created": now.isoformat(timespec="seconds"),
        "contributors": people,
        "sources": [{"title": study.model}],
        "project": {
            "title": study.title,
            "description": "Photos of tracks, taken by hand and named by a program. Camtrap DP has "
            "no capture method for these; activityDetection stands for it."
            + (f" {study.warning[:1].upper()}{study.warning[1:]}." if study.warning else ""),
            "samplingDesign": "opportunistic",
            "captureMethod": ["activityDetection"],
            "individualAnimals": False,
            "observationLevel": ["media"],
        },
        "spatial": {
            "type": "MultiPoint",
            "coordinates": [[place.first.longitude, place.first.latitude] for place in places],
        },
        "temporal": {
            "start": min(times).date().isoformat(),
            "end": max(times).date().isoformat(),
        },
        "taxonomic": [
            {"scientificName": study.species[label], "vernacularNames": {"eng": label}}
            for label in labels
        ],
        "resources": tables,
    }
