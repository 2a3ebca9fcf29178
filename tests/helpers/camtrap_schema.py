"""The fields of Camtrap DP 1.0.1 (https://camtrap-dp.tdwg.org/data) as Table Schemas.

Written from the standard: all fields in their order, which are required, and what they may hold.
The files themselves are on the net, which tests do without.
"""

from __future__ import annotations

from typing import Any

_TIME = {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z"}
_SHARE = {"type": "number", "constraints": {"minimum": 0, "maximum": 1}}
_PART = {"type": "number", "constraints": {"minimum": 1e-15, "maximum": 1}}
_LATITUDE = {"type": "number", "constraints": {"minimum": -90, "maximum": 90}}
_LONGITUDE = {"type": "number", "constraints": {"minimum": -180, "maximum": 180}}
_FEATURES = (
    "roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass",
    "roadBridge", "culvert", "burrow", "nestSite", "carcass", "waterSource", "fruitingTree",
)  # fmt: skip


def _least(value: float, kind: str = "number") -> dict[str, Any]:
    return {"type": kind, "constraints": {"minimum": value}}


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "constraints": {"enum": list(values)}}


def _like(pattern: str) -> dict[str, Any]:
    return {"type": "string", "constraints": {"pattern": pattern}}


_TEXT, _FLAG = {"type": "string"}, {"type": "boolean"}
# A star marks required fields.
_FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "deployments": {
        "deploymentID*": _TEXT,
        "locationID": _TEXT,
        "locationName": _TEXT,
        "latitude*": _LATITUDE,
        "longitude*": _LONGITUDE,
        "coordinateUncertainty": _least(1, "integer"),
        "deploymentStart*": _TIME,
        "deploymentEnd*": _TIME,
        "setupBy": _TEXT,
        "cameraID": _TEXT,
        "cameraModel": _TEXT,
        "cameraDelay": _least(0, "integer"),
        "cameraHeight": _least(0),
        "cameraDepth": _least(0),
        "cameraTilt": {"type": "integer", "constraints": {"minimum": -90, "maximum": 90}},
        "cameraHeading": {"type": "integer", "constraints": {"minimum": 0, "maximum": 360}},
        "detectionDistance": _least(0),
        "timestampIssues": _FLAG,
        "baitUse": _FLAG,
        "featureType": _one_of(*_FEATURES),
        "habitat": _TEXT,
        "deploymentGroups": _TEXT,
        "deploymentTags": _TEXT,
        "deploymentComments": _TEXT,
    },
    "media": {
        "mediaID*": _TEXT,
        "deploymentID*": _TEXT,
        "captureMethod": _one_of("activityDetection", "timeLapse"),
        "timestamp*": _TIME,
        "filePath*": _like(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$"),
        "filePublic*": _FLAG,
        "fileName": _TEXT,
        "fileMediatype*": _like("^(image|video|audio)/.*$"),
        "exifData": {"type": "object"},
        "favorite": _FLAG,
        "mediaComments": _TEXT,
    },
    "observations": {
        "observationID*": _TEXT,
        "deploymentID*": _TEXT,
        "mediaID": _TEXT,
        "eventID": _TEXT,
        "eventStart*": _TIME,
        "eventEnd*": _TIME,
        "observationLevel*": _one_of("media", "event"),
        "observationType*": _one_of(
            "animal", "human", "vehicle", "blank", "unknown", "unclassified"
        ),
        "cameraSetupType": _one_of("setup", "calibration"),
        "scientificName": _TEXT,
        "count": _least(1, "integer"),
        "lifeStage": _one_of("adult", "subadult", "juvenile"),
        "sex": _one_of("female", "male"),
        "behavior": _TEXT,
        "individualID": _TEXT,
        "individualPositionRadius": _least(0),
        "individualPositionAngle": _LATITUDE,
        "individualSpeed": _least(0),
        "bboxX": _SHARE,
        "bboxY": _SHARE,
        "bboxWidth": _PART,
        "bboxHeight": _PART,
        "classificationMethod": _one_of("human", "machine"),
        "classifiedBy": _TEXT,
        "classificationTimestamp": _TIME,
        "classificationProbability": _SHARE,
        "observationTags": _TEXT,
        "observationComments": _TEXT,
    },
}
_KEYS = {
    "media": [("deploymentID", "deployments")],
    "observations": [("deploymentID", "deployments"), ("mediaID", "media")],
}
PACKAGE_KEYS = {  # that the profile asks for
    "resources", "profile", "created", "contributors", "project", "spatial", "temporal",
    "taxonomic",
}  # fmt: skip
PROJECT_KEYS = {
    "title", "samplingDesign", "captureMethod", "individualAnimals", "observationLevel",
}  # fmt: skip


def schema_of(table: str) -> dict[str, Any]:
    """Return the Table Schema of ``deployments``, ``media`` or ``observations``."""
    fields = []
    for name, kind in _FIELDS[table].items():
        constraints = dict(kind.get("constraints", {}))
        if name.endswith("*"):
            constraints["required"] = True
        if name == next(iter(_FIELDS[table])):
            constraints["unique"] = True
        fields.append({**kind, "name": name.rstrip("*"), "constraints": constraints})
    return {
        "fields": fields,
        "missingValues": [""],
        "primaryKey": [fields[0]["name"]],
        "foreignKeys": [
            {"fields": [key], "reference": {"resource": other, "fields": [key]}}
            for key, other in _KEYS.get(table, [])
        ],
    }
