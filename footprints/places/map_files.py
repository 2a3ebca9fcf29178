"""Answers to photos as files for maps: GeoJSON (RFC 7946) and KML 2.2 (OGC 07-147r2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from footprints.places.taken import Taken

GEOJSON, KML = "answers.geojson", "answers.kml"
_KML = "http://www.opengis.net/kml/2.2"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Point:
    """A photo on a map.

    Attributes:
        name: The photo.
        answer: The animal.
        taken: When and where; the place is known.
        facts: What else is said of it, for JSON.
    """

    name: str
    answer: str
    taken: Taken
    facts: Mapping[str, Any]

    @property
    def position(self) -> list[float]:
        """Longitude, latitude and, if known, altitude: the order of both formats."""
        altitude = self.taken.altitude_m
        place = [self.taken.longitude, self.taken.latitude]
        return place if altitude is None else [*place, altitude]


@dataclass(frozen=True)
class Line:
    """A trail on a map.

    Attributes:
        name: Of the trail.
        answer: The animal.
        positions: Longitude and latitude along it; two at least.
        facts: What else is said of it, for JSON.
    """

    name: str
    answer: str
    positions: Sequence[tuple[float, float]]
    facts: Mapping[str, Any]


def geojson(points: Sequence[Point], lines: Sequence[Line] = ()) -> str:
    """Return points, then lines as a collection of features; WGS84, as RFC 7946 has it for all."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": point.position},
            "properties": {"photo": point.name, "answer": point.answer, **_said(point)},
        }
        for point in points
    ]
    features += [
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[*one] for one in line.positions]},
            "properties": {"trail": line.name, "answer": line.answer, **line.facts},
        }
        for line in lines
    ]
    content = {"type": "FeatureCollection", "features": features}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def kml(
    points: Sequence[Point], title: str, colours: Mapping[str, str], lines: Sequence[Line] = ()
) -> str:
    """Return points and lines as placemarks in a folder for each answer.

    A time without its zone is among the facts alone: the format would take it for one in UTC.

    Args:
        points: What to show.
        title: Of the document.
        colours: Of each answer, ``#RRGGBB``.
        lines: Trails to show.
    """
    ElementTree.register_namespace("", _KML)
    root = ElementTree.Element(f"{{{_KML}}}kml")
    document = _add(root, "Document")
    _add(document, "name", title)
    styles = {answer: f"answer{number}" for number, answer in enumerate(colours)}
    for answer, colour in colours.items():
        style = _add(document, "Style", id=styles[answer])
        red, green, blue = colour[1:3], colour[3:5], colour[5:7]
        for kind in ("IconStyle", *(("LineStyle",) if lines else ())):
            # Opacity first, then backwards.
            _add(_add(style, kind), "color", f"ff{blue}{green}{red}".lower())
    for answer in colours:
        folder = _add(document, "Folder")
        _add(folder, "name", answer)
        for point in points:
            if point.answer == answer:
                _placemark(folder, point, styles[answer])
        for line in lines:
            if line.answer == answer:
                _line(folder, line, styles[answer])
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _placemark(folder: ElementTree.Element, point: Point, style: str) -> None:
    """Add a placemark, its parts in the order that the schema asks for."""
    mark = _add(folder, "Placemark")
    _add(mark, "name", f"{point.answer}: {point.name}")
    if point.taken.taken_at is not None and len(point.taken.taken_at) > len("2026-03-01T07:15:00"):
        _add(_add(mark, "TimeStamp"), "when", point.taken.taken_at)
    _add(mark, "styleUrl", f"#{style}")
    data = _add(mark, "ExtendedData")
    for name, value in {"photo": point.name, **_said(point)}.items():
        if value is not None:
            _add(_add(data, "Data", name=name), "value", str(value))
    place = _add(mark, "Point")
    if point.taken.altitude_m is not None:
        _add(place, "altitudeMode", "absolute")
    _add(place, "coordinates", ",".join(str(value) for value in point.position))


def _line(folder: ElementTree.Element, line: Line, style: str) -> None:
    mark = _add(folder, "Placemark")
    _add(mark, "name", f"{line.answer}: {line.name}")
    _add(mark, "styleUrl", f"#{style}")
    data = _add(mark, "ExtendedData")
    for name, value in {"trail": line.name, **line.facts}.items():
        _add(_add(data, "Data", name=name), "value", str(value))
    place = _add(mark, "LineString")
    _add(place, "coordinates", " ".join(f"{east},{north}" for east, north in line.positions))


def _said(point: Point) -> dict[str, Any]:
    taken = {"taken_at": point.taken.taken_at, "camera": point.taken.camera}
    return {**point.facts, **taken}


def _add(
    parent: ElementTree.Element, tag: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{_KML}}}{tag}", attributes)
    if text is not None:
        element.text = _NOT_XML.sub("\ufffd", text)
    return element
