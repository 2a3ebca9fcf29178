"""What is to be looked at: the answers of ``footprints predict``, or photos alone."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footprints.pictures.finding import photos_at
from footprints.places.taken import TAKEN_COLUMNS, Taken
from footprints.reviewing.project import Box
from footprints.reviewing.written_files import RECORD
from footprints.system.errors import UserError
from footprints.system.files import path_inside, read_text
from footprints.system.text import printable
from footprints.system.typed import as_flag, as_number, as_numbers, as_text, as_whole, json_object

RESULTS = "predictions.json"
_DECIMALS = 5  # of a box, parts of the photo: a tenth of a pixel of the largest photos
_MOST_PIXELS = 10**9  # a side


@dataclass(frozen=True)
class FoundRow:
    """A box, or a whole photo.

    Attributes:
        box: Parts of the upright photo; None: none was found.
        class_name: The answer; None: there is no prediction.
        score: Probability of the answer; of the best class where that is unknown.
        said: What else the prediction says of it: ``top``, ``print_found``, ``confidence``,
            and where there is one ``level``, ``trail_answer`` with ``trail_probability``,
            ``without_region``, ``why``.
        is_further: Whether it is another print of a photo than that of its answer.
    """

    box: Box | None = None
    class_name: str | None = None
    score: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    is_further: bool = False

    @property
    def key(self) -> tuple[Box | None, str | None]:
        """What makes it the same row in another prediction."""
        return self.box, self.class_name


@dataclass
class FoundPhoto:
    """A photo with what is to be looked at on it.

    Attributes:
        path: The file.
        name: Its path from the folder of the photos on.
        rows: What is on it.
        taken: When and where; None: to be read from the photo.
        trail: Of which trail it is.
    """

    path: Path
    name: str
    rows: list[FoundRow]
    taken: Taken | None = None
    trail: str | None = None


@dataclass(frozen=True)
class Found:
    """All that is to be looked at.

    Attributes:
        photos: In order of their names.
        facts: What the page shows of the prediction: ``threshold``, ``note``, ``settings``,
            ``classes``, ``model``, and whether it is ``complete``; empty without one.
    """

    photos: list[FoundPhoto]
    facts: dict[str, Any] = field(default_factory=dict)


def read_photos(folder: Path) -> Found:
    """Return the photos of a folder, each without a box.

    Raises:
        UserError: If there are none.
    """
    root, paths, _ = photos_at(folder, None, ())
    parents = {parent for path in paths for parent in path.parents if parent.is_relative_to(root)}
    exports = {parent for parent in parents if (parent / RECORD).is_file()}
    paths = [path for path in paths if exports.isdisjoint(path.parents)]  # copies of ours
    return Found([FoundPhoto(path, _name(path, root), [FoundRow()]) for path in paths])


def read_predictions(folder: Path, photos: Path | None) -> Found:
    """Return what a prediction says of photos.

    Args:
        folder: ``--output_dir`` of ``footprints predict``.
        photos: Where the photos are, if not where they were.

    Raises:
        UserError: If there is no prediction, it cannot be read, or none of its photos is there.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise UserError(
            f"{printable(folder)}: no {RESULTS} is here; name the --output_dir of "
            "footprints predict"
        )
    try:
        content = json_object(read_text(path))
        records = content.get("photos")
        if not isinstance(records, list):
            raise ValueError("its photos are no list")
        places = _Places(photos or Path(as_text(content.get("photos_dir"))))
        found = [_photo(record, places) for record in records]
        facts = _facts(content)
    except ValueError as error:
        raise UserError(
            f"{printable(path)}: is not as footprints predict wrote it: {printable(str(error))}"
        ) from None
    if found and not any(one.path.is_file() for one in found):
        raise UserError(
            f"{printable(places.root)}: none of the {len(found)} photos of the prediction is here, "
            f"such as {found[0].name}; name their folder with --photos"
        )
    return Found(found, facts)


class _Places:
    """Finds photos by the names that a prediction gives them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, Path] | None = None

    def of(self, name: str) -> Path:
        try:
            path = path_inside(self.root, name)
        except ValueError:
            path = self.root / Path(name).name
        return path if path.is_file() else self._escaped().get(name, path)

    def _escaped(self) -> dict[str, Path]:
        """Return the photos whose names a table cannot have as they are."""
        if self._by_name is None:
            self._by_name = {}
            if self.root.is_dir():
                paths = photos_at(self.root, None, ())[1]
                self._by_name = {_name(path, self.root): path for path in paths}
        return self._by_name


def _name(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


def _photo(record: Any, places: _Places) -> FoundPhoto:
    if not isinstance(record, dict):
        raise ValueError("one of its photos is no object")
    name = as_text(record.get("photo"))
    trail = record.get("trail")
    taken = Taken(**{key: record.get(key) for key in TAKEN_COLUMNS})
    return FoundPhoto(
        places.of(name),
        name,
        [_row(record), *_further(record)],
        _checked(taken),
        None if trail in (None, "") else as_text(str(trail), longest=200),
    )


def _row(record: Mapping[str, Any]) -> FoundRow:
    top = record.get("top")
    if not isinstance(top, list) or not top:
        raise ValueError("one of its photos has no probabilities")
    ranking = [
        {"class": as_text(one.get("class")), "probability": as_number(one.get("probability"), 0, 1)}
        for one in top
        if isinstance(one, dict)
    ]
    print_found = as_flag(record.get("print_found"))
    confidence = record.get("detection_confidence")
    said = {
        "top": ranking,
        "print_found": print_found,
        "confidence": None if confidence is None else as_number(confidence, 0, 1),
    }
    level, trail_answer = record.get("answer_level"), record.get("trail_answer")
    if level is not None:
        said["level"] = as_text(level)
    if trail_answer:
        said["trail_answer"] = as_text(trail_answer)
        said["trail_probability"] = as_number(record.get("trail_probability"), 0, 1)
    if record.get("why"):
        said["why"] = as_text(record["why"])
    if record.get("name_without_region"):
        said["without_region"] = as_text(record["name_without_region"])
    probability = record.get("answer_probability")
    return FoundRow(
        _box(record, record),
        as_text(record.get("answer"), longest=200),
        ranking[0]["probability"] if probability is None else as_number(probability, 0, 1),
        said,
    )


def _further(record: Mapping[str, Any]) -> list[FoundRow]:
    """Return the prints besides that of the answer, each with what it says by itself."""
    found = []
    for one in record.get("boxes") or ():
        if not isinstance(one, dict):
            raise ValueError("one of its boxes is no object")
        box = _box(one, record)
        if box is None or box == _box(record, record):
            continue
        name, share = as_text(one.get("best_class")), as_number(one.get("probability"), 0, 1)
        confidence = one.get("confidence")
        said = {
            "top": [{"class": name, "probability": share}],
            "print_found": True,
            "confidence": None if confidence is None else as_number(confidence, 0, 1),
            "together": as_text(record.get("answer")),
        }
        found.append(FoundRow(box, name, share, said, is_further=True))
    return found


def _box(one: Mapping[str, Any], record: Mapping[str, Any]) -> Box | None:
    """Return a box in parts of its photo, or None if it is empty there."""
    width = as_whole(record.get("width"), 1, _MOST_PIXELS)
    height = as_whole(record.get("height"), 1, _MOST_PIXELS)
    edges = as_numbers(one.get("box_xyxy"), 4, -_MOST_PIXELS, _MOST_PIXELS)
    x1, y1, x2, y2 = (
        round(min(max(edge / side, 0.0), 1.0), _DECIMALS)
        for edge, side in zip(edges, (width, height) * 2, strict=True)
    )
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _checked(taken: Taken) -> Taken:
    if taken.taken_at is not None:
        as_text(taken.taken_at, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d)?")
        datetime.datetime.fromisoformat(taken.taken_at)
    for value, most in ((taken.latitude, 90), (taken.longitude, 180), (taken.altitude_m, 1e5)):
        if value is not None:
            as_number(value, -most, most)
    if taken.camera is not None:
        as_text(taken.camera)
    return taken


def _facts(content: Mapping[str, Any]) -> dict[str, Any]:
    classes = content.get("classes")
    settings = content.get("settings")
    threshold = content.get("threshold")
    return {
        "threshold": None if threshold is None else as_number(threshold, 0, 1),
        "note": None if content.get("note") is None else as_text(content["note"]),
        "classes": [as_text(one) for one in classes] if isinstance(classes, list) else [],
        "settings": settings if isinstance(settings, dict) else {},
        "model": None if content.get("model") is None else as_text(content["model"]),
        "complete": content.get("complete") is not False,
    }
