"""What was decided goes into files that others read; what people edited there stays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footprints.detector.data_yaml import read_data_yaml
from footprints.pictures.photos import load_photo
from footprints.reviewing.export import export
from footprints.reviewing.export_names import class_folders
from footprints.reviewing.found_rows import read_photos
from footprints.reviewing.project import NO_PRINT, Decision
from footprints.system.errors import UserError
from tests.footprints.reviewing.conftest import N
from tests.helpers.photo_review import HEIGHT, WIDTH, drawn_photos

BOX = (0.25, 0.25, 0.5, 0.75)


@pytest.fixture
def decided(project):
    """A project in which the first six boxes are decided, one on a photo with another print."""
    project.decide([(1, Decision("right"))], "Ann")
    project.decide([(2, Decision("other", "wolf", BOX))], "Ann")
    project.decide([(3, Decision("wrong")), (4, Decision("unsure"))], "Ann")
    project.decide([(5, Decision("other", NO_PRINT)), (6, Decision("other", "unknown"))], "Ann")
    project.add(1, BOX, "owl", "Ann", Decision("right"))
    return project


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def of_kind(found: dict) -> dict[str, int]:
    return {one["name"]: one["rows"] for one in found["files"]}


def test_crops_of_classes(decided, folder):
    first = drawn_photos(N)[0]
    found = export(decided, "crops", "export")
    assert of_kind(found) == {first.answer: 1, "wolf": 1, "other": 1, "owl": 1}
    assert any("1 rows are wrong" in note for note in found["notes"])
    (path,) = (folder / "export/crops" / first.answer).iterdir()
    crop = load_photo(path)
    side = first.box[2] - first.box[0]
    assert crop.shape[0] == crop.shape[1] == round(side * 1.2)  # a margin of 0.1 on each side
    assert crop[crop.shape[0] // 2, crop.shape[1] // 2].max() < 60
    (path,) = (folder / "export/crops/wolf").iterdir()
    assert Image.open(path).size == (round(HEIGHT / 2 * 1.2),) * 2, "as the reviewer corrected it"


def test_whole_photos_of_classes(decided, folder):
    found = export(decided, "photos", "export")
    first = drawn_photos(N)[0]
    assert of_kind(found) == {first.answer: 1, "wolf": 1, "other": 1, "owl": 1}
    original = (folder / "photos" / first.name).read_bytes()
    for name in (first.answer, "owl"):
        (path,) = (folder / "export/photos" / name).iterdir()
        assert path.read_bytes() == original
    assert any("several classes" in note for note in found["notes"])


def test_boxes_are_read_by_train_detector(decided, folder):
    found = export(decided, "yolo", "export")
    assert any("one part alone" in note for note in found["notes"]), "a trail is not divided"
    decided.decide([(11, Decision("right"))], "Ann")  # of the other trail
    found = export(decided, "yolo", "export")
    assert sorted(of_kind(found).values()) == [1, 4]
    data = read_data_yaml(folder / "export/yolo/data.yaml")
    photos = [photo for part in data.parts.values() for photo in part]
    # Of photo 3 and 4 it is not known where prints are.
    assert sorted(len(photo.boxes) for photo in photos) == [0, 1, 1, 1, 2]
    boxes = {box for photo in photos for box in photo.boxes}
    assert (0, 0.375, 0.5, 0.25, 0.5) in boxes
    x1, y1, x2, y2 = drawn_photos(N)[0].box
    first = (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT
    assert any(np.allclose(box[1:3], first, atol=1e-4) for box in boxes)
    assert data.n_unusable == 0


def test_tables(decided, folder):
    export(decided, "csv", "export")
    with open(folder / "export/reviewed.csv", newline="") as file:
        rows = {int(row["row"]): row for row in csv.DictReader(file)}
    assert len(rows) == 7
    assert [rows[2][key] for key in ("class", "x", "y", "width", "height")] == [
        *("wolf", "0.25", "0.25", "0.25", "0.5")
    ]
    assert rows[1]["taken_at"] == "2026-03-01T07:00:00+01:00"
    with open(folder / "export/decisions.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 7


def test_edited_files_stay_and_what_is_not_said_any_more_goes(decided, folder):
    for kind in ("crops", "yolo", "csv"):
        export(decided, kind, "export")
    before = names(folder / "export")
    for kind in ("crops", "yolo", "csv"):
        assert not any(
            "left as" in n or "gone" in n for n in export(decided, kind, "export")["notes"]
        )
    assert names(folder / "export") == before
    (edited,) = (folder / "export/crops/wolf").iterdir()
    edited.write_bytes(b"mine")
    (folder / "export/reviewed.csv").write_text("mine")
    decided.decide([(2, Decision("other", "lynx", BOX)), (6, Decision("wrong"))], "Ann")
    notes = export(decided, "crops", "export")["notes"]
    assert any(edited.name in note and "left as they are" in note for note in notes)
    assert edited.read_bytes() == b"mine"
    assert len(list((folder / "export/crops/lynx").iterdir())) == 1
    assert not (folder / "export/crops/other").exists()
    export(decided, "csv", "export")
    assert (folder / "export/reviewed.csv").read_text() == "mine"


def test_own_copies_are_no_photos_of_a_review(decided, folder):
    (folder / "photos/review").mkdir()
    decided.path.rename(folder / "photos/review/x.sqlite")
    found = read_photos(folder / "photos")
    assert len(found.photos) == N
    exported = folder / "photos/copies"
    exported.mkdir()
    (exported / "a.jpg").write_bytes((folder / "photos" / drawn_photos(N)[0].name).read_bytes())
    assert len(read_photos(folder / "photos").photos) == N + 1
    (exported / ".review.jsonl").touch()
    assert len(read_photos(folder / "photos").photos) == N


def test_nothing_decided(project):
    with pytest.raises(UserError, match="nothing was decided yet"):
        export(project, "csv", "export")


def test_folders_that_drives_take():
    folders = class_folders(["Fox", "fox", "a/b", "con", "..", "unknown", NO_PRINT])
    assert folders == {
        **{"Fox": "Fox", "fox": "fox 2", "a/b": "a_b", "con": "con_", "..": "_"},
        "unknown": "other",
    }
