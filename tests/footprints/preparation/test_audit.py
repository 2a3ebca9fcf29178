"""What the audit finds, says and leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footprints.audit import audit, main
from footprints.pictures.folders import list_photos, printable
from footprints.system.errors import UserError
from tests.helpers.photo_sets import make_oat, make_real, soft_photo, state_of, write_photo
from tests.helpers.photos import BROKEN, SOUND, encoded
from tests.helpers.programs import run_step


def resaved(path: Path, seed: int) -> Path:
    """Write the photo of a seed smaller and more compressed than ``write_photo`` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(soft_photo(seed)).resize((100, 75))
    path.write_bytes(encoded(np.asarray(image), quality=60))
    return path


def test_counts_by_class_and_part(tmp_path: Path) -> None:
    make_oat(tmp_path, {"train": {"otter": 3, "lion": 2}, "val": {"otter": 1, "lion": 1}})
    report = audit(tmp_path)
    assert report["classes"] == {"lion": {"train": 2, "val": 1}, "otter": {"train": 3, "val": 1}}
    assert (report["photos"], report["usable"]) == (7, 7)
    assert report["formats"] == {"JPEG": 7}
    for kind in ("unusable", "traits", "exact_duplicates", "near_duplicates", "misplaced"):
        assert not report[kind]


def test_every_kind_of_photo_is_reported(tmp_path: Path) -> None:
    (tmp_path / "otter").mkdir()
    for kind in (*SOUND, *BROKEN):
        kind.write(tmp_path / "otter" / kind.name)
    report = audit(tmp_path, threads=2)
    assert report["photos"] == len(SOUND) + len(BROKEN)
    assert report["usable"] == len(SOUND)
    reasons = {entry["photo"]: entry["reason"] for entry in report["unusable"]}
    assert set(reasons) == {printable(f"otter/{kind.name}") for kind in BROKEN}
    assert all(reasons.values())
    for trait in {trait for kind in SOUND for trait in kind.traits}:
        wanted = {printable(f"otter/{kind.name}") for kind in SOUND if trait in kind.traits}
        assert set(report["traits"][trait]) == wanted
    json.dumps(report, ensure_ascii=False).encode()


def test_duplicates_across_classes_and_parts(tmp_path: Path) -> None:
    train, val = tmp_path / "train", tmp_path / "val"
    for part in (train, val):
        make_real(part, {"otter": 4, "lion": 4}, start=0 if part == train else 50)
    write_photo(train / "otter" / "copy.jpg", 0)  # of otter0, same class and part
    write_photo(val / "lion" / "copy.jpg", 1)  # of train/otter1
    resaved(val / "otter" / "small.jpg", 2)  # of train/otter2
    write_photo(val / "otter" / "twin.jpg", 2)  # the same again, an exact copy
    exact, near = (audit(tmp_path)[f"{kind}_duplicates"] for kind in ("exact", "near"))
    assert [group["photos"] for group in exact] == [
        ["train/otter/otter1.jpg", "val/lion/copy.jpg"],
        ["train/otter/otter2.jpg", "val/otter/twin.jpg"],
        ["train/otter/copy.jpg", "train/otter/otter0.jpg"],
    ]
    assert [group["across_classes"] for group in exact] == [True, False, False]
    assert [group["across_parts"] for group in exact] == [True, True, False]
    assert [group["photos"] for group in near] == [
        ["train/otter/otter2.jpg", "val/otter/small.jpg", "val/otter/twin.jpg"]
    ]


def test_photos_of_one_colour_are_no_near_duplicates(tmp_path: Path) -> None:
    for number, value in enumerate((0, 90, 255)):
        path = tmp_path / "otter" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(np.full((70, 70, 3), value, np.uint8), "PNG"))
    report = audit(tmp_path)
    assert report["near_duplicates"] == []
    assert len(report["traits"]["one colour"]) == 3


def test_other_and_misplaced_files_are_named(tmp_path: Path, capsys) -> None:
    make_real(tmp_path, {"otter": 2})
    write_photo(tmp_path / "stray.jpg", 99)
    (tmp_path / "notes.txt").write_text("left bank")
    (tmp_path / "otter" / "raw.NEF").write_bytes(b"x")
    (tmp_path / "otter" / "otter0.CR2").write_bytes(b"x")
    (tmp_path / "otter" / "walk.mp4").write_bytes(b"x")
    (tmp_path / ".thumbnails").mkdir()
    shutil.copy(tmp_path / "stray.jpg", tmp_path / ".thumbnails" / "1.jpg")
    report = audit(tmp_path)
    assert report["photos"] == 4
    assert report["misplaced"] == ["stray.jpg"]
    assert report["ignored"] == {".cr2": 1, ".mp4": 1, ".txt": 1}
    [unusable] = report["unusable"]
    assert unusable["photo"] == "otter/raw.NEF"
    assert "save it as JPEG with the camera's program" in unusable["reason"]
    assert {one["file"]: one["reason"] for one in report["unused"]} == {
        "notes.txt": "no photo by its name",
        "otter/otter0.CR2": "RAW photo; otter0.jpg beside it is used",
        "otter/walk.mp4": "a film; save pictures of it as photos",
    }
    assert main([str(tmp_path)]) == 3
    assert "other files, not used (1 .cr2, 1 .mp4, 1 .txt): 3" in capsys.readouterr().out


def test_class_names_to_be_put_right_are_listed(tmp_path: Path, capsys) -> None:
    make_real(tmp_path, {"Roe deer": 1, "roe deer": 1, "Unknown": 1, "fox": 1})
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "class names to be put right: 2" in said
    assert "'Roe deer' and 'roe deer' differ only in case or blanks" in said
    assert "'Unknown': 'unknown' is the answer" in said


@pytest.mark.parametrize(
    ("names", "layout", "first"),
    [
        (["otter/a.jpg"], "classes", ("otter", None)),
        (["otter/deep/er/a.jpg"], "classes", ("otter", None)),
        (["train/otter/a.jpg", "val/otter/b.jpg"], "splits", ("otter", "train")),
        (["cropped_imgs/test/x/a.jpg", "cropped_imgs/train/x/b.jpg"], "splits", ("x", "test")),
        (["train/otter/a.jpg"], "classes", ("train", None)),  # a class that is named so
        (["a.jpg"], "classes", (None, None)),
    ],
)
def test_layouts(names: list[str], layout: str, first: tuple, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = list_photos(tmp_path)
    assert listing.layout == layout
    assert [photo.source for photo in listing.photos] == names
    assert (listing.photos[0].label, listing.photos[0].split) == first


def test_as_a_process(tmp_path: Path) -> None:
    photos = make_real(tmp_path / "photos", {"otter": 3, "lion": 2})
    (photos / "lion" / "cut.jpg").write_bytes(encoded(soft_photo(7))[:900])
    (photos / "otter" / "page.jpg").write_bytes(b"<html>")
    before = state_of(tmp_path)
    done = run_step("audit", photos, "--output", tmp_path / "audit.json")
    assert done.returncode == 3, done.stderr
    assert "otter/page.jpg: a web page" in done.stdout
    assert "lion/cut.jpg: damaged or cut short" in done.stdout
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["usable"] == 5
    after = state_of(tmp_path)
    del after[str(tmp_path / "audit.json")]
    assert after == before


def test_sound_photos_end_with_status_0(tmp_path: Path) -> None:
    done = run_step("audit", make_real(tmp_path, {"otter": 2}))
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    assert "2 photos, 2 usable" in done.stdout


@pytest.mark.parametrize(
    ("prepare", "match"),
    [
        (lambda folder: None, "no photos in it"),
        (lambda folder: (folder / "a.jpg").touch(), "none of its 1 photos.*a.jpg: empty file"),
        (lambda folder: folder.rmdir(), "no such folder"),
        (lambda folder: (folder / "a.txt").touch(), "no photos in it.*1 .txt"),
    ],
    ids=["empty", "unusable", "absent", "others"],
)
def test_nothing_usable_ends_with_one_line(prepare, match: str, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(UserError, match=match) as caught:
        main([str(folder)])
    assert "\n" not in str(caught.value)


def test_report_is_not_written_among_the_photos(tmp_path: Path) -> None:
    make_real(tmp_path, {"otter": 2})
    with pytest.raises(UserError, match="nothing is written"):
        main([str(tmp_path), "--output", str(tmp_path / "audit.json")])


@pytest.mark.parametrize("flags", [["--max_distance", "65"], ["--threads", "0"], []])
def test_wrong_flags_end_with_status_2(flags: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path), *flags] if flags else [])
    assert caught.value.code == 2
