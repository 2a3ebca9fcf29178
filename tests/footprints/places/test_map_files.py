"""Files for maps against their specifications: RFC 7946 and KML 2.2 (OGC 07-147r2)."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from footprints.places.map_files import Line, Point, geojson, kml
from footprints.places.taken import Taken
from footprints.scores.answer_points import points_of
from footprints.scores.answers import Answer

NS = {"k": "http://www.opengis.net/kml/2.2"}
FACTS = {"probability": 0.9, "print_found": True}
POINTS = [
    Point("a/<1>&.jpg", "fox", Taken("2026-03-01T07:15:00+01:00", 47.25, -8.5, 512.5, "X"), FACTS),
    Point("b\x0b.jpg", "unknown", Taken("2026-03-01T07:15:00", -16.8, 179.9), FACTS),
    Point("c.jpg", "fox", Taken(None, 47.0, 8.0), FACTS),
]
COLOURS = {"fox": "#0072B2", "unknown": "#7A7A7A"}


def test_geojson_is_a_collection_of_features_in_the_order_of_the_standard() -> None:
    content = json.loads(geojson(POINTS))
    assert content.keys() == {"type", "features"}, "RFC 7946 knows no crs: it is WGS84"
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        assert feature.keys() == {"type", "geometry", "properties"}
        assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Point")
        longitude, latitude = feature["geometry"]["coordinates"][:2]
        assert -180 <= longitude <= 180
        assert -90 <= latitude <= 90
    first, second, third = content["features"]
    assert first["geometry"]["coordinates"] == [-8.5, 47.25, 512.5]
    assert second["geometry"]["coordinates"] == [179.9, -16.8]
    expected = {"photo": "a/<1>&.jpg", "answer": "fox", "camera": "X"}
    assert expected.items() <= first["properties"].items()
    assert third["properties"]["taken_at"] is None


def test_a_note_on_the_model_goes_to_each_point() -> None:
    of_photo = {"source": Path("a.jpg"), "name": "a.jpg", "answer": "fox", "certain": True}
    box = {"box_xyxy": (0, 0, 1, 1), "detection_confidence": None, "print_found": False}
    place = Taken(None, 47.0, 8.0)
    answer = Answer(**of_photo, **box, ranking=(("fox", 0.9),), width=2, height=2, taken=place)
    [point] = points_of([answer], "weak model: few photos")
    assert point.facts["note"] == "weak model: few photos"
    assert "note" not in points_of([answer])[0].facts


def test_kml_has_its_parts_in_the_order_of_the_schema() -> None:
    root = ElementTree.fromstring(kml(POINTS, "Answers & <more>", COLOURS).encode())
    assert root.tag == f"{{{NS['k']}}}kml"
    marks = root.findall(".//k:Placemark", NS)
    order = ["name", "TimeStamp", "styleUrl", "ExtendedData", "Point"]  # of AbstractFeatureType
    for mark in marks:
        tags = [child.tag.partition("}")[2] for child in mark]
        assert tags == [tag for tag in order if tag in tags]
        assert mark.find("k:styleUrl", NS).text[1:] in {
            style.get("id") for style in root.findall(".//k:Style", NS)
        }
    names = [mark.find("k:name", NS).text for mark in marks]
    assert names == ["fox: a/<1>&.jpg", "fox: c.jpg", "unknown: b\ufffd.jpg"]
    places = [mark.find("k:Point/k:coordinates", NS).text for mark in marks]
    assert places == ["-8.5,47.25,512.5", "8.0,47.0", "179.9,-16.8"]
    assert marks[0].find("k:Point/k:altitudeMode", NS).text == "absolute"
    assert root.find("k:Document/k:name", NS).text == "Answers & <more>"


def test_kml_colours_are_backwards_and_opaque() -> None:
    """KML writes aabbggrr."""
    root = ElementTree.fromstring(kml(POINTS, "", COLOURS).encode())
    assert [one.text for one in root.findall(".//k:color", NS)] == ["ffb27200", "ff7a7a7a"]


@pytest.mark.parametrize(("number", "when"), [(0, "2026-03-01T07:15:00+01:00"), (1, None)])
def test_kml_takes_no_time_for_utc_that_is_not(number, when) -> None:
    root = ElementTree.fromstring(kml([POINTS[number]], "", COLOURS).encode())
    found = root.find(".//k:when", NS)
    assert (None if found is None else found.text) == when
    said = {one.get("name"): one[0].text for one in root.findall(".//k:Data", NS)}
    assert said["taken_at"] == POINTS[number].taken.taken_at


def test_trails_are_lines_of_longitude_and_latitude() -> None:
    line = Line("t", "fox", [(-8.5, 47.25), (-8.4, 47.5)], {"photos": 2})
    feature = json.loads(geojson(POINTS, [line]))["features"][-1]
    expected = {"type": "LineString", "coordinates": [[-8.5, 47.25], [-8.4, 47.5]]}
    assert feature["geometry"] == expected
    assert feature["properties"] == {"trail": "t", "answer": "fox", "photos": 2}
    root = ElementTree.fromstring(kml(POINTS, "t", COLOURS, [line]))
    (found,) = root.findall(".//k:LineString", NS)
    assert found.findtext("k:coordinates", namespaces=NS) == "-8.5,47.25 -8.4,47.5"
    assert len(root.findall(".//k:LineStyle", NS)) == len(COLOURS)
    assert "LineStyle" not in kml(POINTS, "t", COLOURS)
