"""Two pictures of each photo: the crop of the print, and the whole photo."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footprints.cropping import crop_pool
from footprints.pictures.scales import mean_over_scales
from footprints.places.taken import TAKEN_COLUMNS
from footprints.preparation.manifest import MANIFEST_COLUMNS
from footprints.prepare import main
from tests.helpers.detector import photo_with_square, red_square_detector, save_rotated
from tests.helpers.photo_sets import crops_of, make_oat, make_real, rows_of, soft_photo, write_photo

SIZE = 64
BOTH = ("--scales", "crop", "photo")


def prepare(output: Path, real: Path, *flags: object, detector: object = "none") -> int:
    fixed = ["--real_dir", real, "--output_dir", output, "--detector", detector, "--processes", 0]
    return main([str(flag) for flag in (*fixed, "--image_size", SIZE, *flags)])


def folders_of(out: Path) -> dict[str, bytes]:
    """Return all tables and pictures of the real set."""
    files = (path for path in (out / "real").rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return make_real(tmp_path / "real", {"chat": 5, "loup": 5})


@pytest.fixture
def jobs(monkeypatch) -> list[tuple]:
    """What the pool is asked for: file, mode, whether the whole photo too."""
    asked = []
    original = crop_pool.CropPool.map

    def spy(self, given):
        given = list(given)
        asked.extend((job.source.name, job.mode, job.with_photo) for job in given)
        return original(self, given)

    monkeypatch.setattr(crop_pool.CropPool, "map", spy)
    return asked


def mirrored(photo: np.ndarray) -> np.ndarray:
    """Return a wide photo as a square, filled by mirroring, resized by Pillow."""
    missing = photo.shape[1] - photo.shape[0]
    edges = (missing // 2, missing - missing // 2)
    square = Image.fromarray(np.pad(photo, (edges, (0, 0), (0, 0)), mode="symmetric"))
    return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BICUBIC), float)


def test_each_photo_has_its_crop_and_its_whole_in_one_part(tmp_path: Path, jobs) -> None:
    """No leak: the pictures of a photo, and of its look-alikes, are never on two sides."""
    real = make_real(tmp_path / "real", {"chat": 9, "loup": 9})
    for number in range(6):
        write_photo(real / "loup" / f"copy{number}.jpg", number)
        resaved = Image.fromarray(soft_photo(number + 9)).resize((96, 72))
        resaved.save(real / "chat" / f"resaved{number}.jpg", quality=70)
    out = tmp_path / "out"
    assert prepare(out, real, *BOTH, "--test_fraction", 0.2) == 0
    assert len(jobs) == 30, "each photo is decoded once"
    rows = rows_of(out / "real" / "manifest.csv")
    assert tuple(rows[0]) == (*MANIFEST_COLUMNS, "scale", *TAKEN_COLUMNS)
    assert {row["crop"] for row in rows} == set(crops_of(out / "real"))
    assert json.loads((out / "real" / "prepare.json").read_text())["scales"] == ["crop", "photo"]
    parts = defaultdict(set)
    of_photo = defaultdict(dict)
    for row in rows:
        parts[row["group"]].add(row["split"])
        of_photo[row["source"]][row["scale"]] = row
    assert all(len(splits) == 1 for splits in parts.values())
    assert len(of_photo) == 30
    for source, scales in of_photo.items():
        crop, whole = scales["crop"], scales["photo"]
        for same in ("class", "split", "group", "sha256", "width", "height"):
            assert crop[same] == whole[same]
        part, rest = crop["crop"].split("/", 1)
        assert whole["crop"] == f"{part}_photo/{rest}"
        box = [float(whole[edge]) for edge in ("x1", "y1", "x2", "y2")]
        assert box == [0, 0, int(whole["width"]), int(whole["height"])]
        assert (whole["confidence"], whole["fallback"]) == ("", "0")
        found = np.asarray(Image.open(out / "real" / whole["crop"]), float)
        photo = np.asarray(Image.open(real / source))
        assert np.abs(found - mirrored(photo)).mean() < 2


@pytest.mark.parametrize("orientation", [1, 6])
def test_with_a_detector_both_are_upright(orientation: int, tmp_path: Path) -> None:
    upright = photo_with_square((256, 320), (192, 64, 256, 128))
    for number in range(2):
        photo = upright.copy()
        photo[200:, : 60 + number * 90] = (90, 110, 140)  # not alike
        save_rotated(tmp_path / "real" / "otter" / f"{number}.jpg", photo, orientation)
    detector = red_square_detector(tmp_path / "red.onnx", image_size=320, cell=32)
    flags = (*BOTH, "--margin", 0, "--max_distance", 0, "--val_fraction", 0.5)
    assert prepare(tmp_path / "out", tmp_path / "real", *flags, detector=detector) == 0
    for row in rows_of(tmp_path / "out" / "real" / "manifest.csv"):
        picture = np.asarray(Image.open(tmp_path / "out" / "real" / row["crop"]), float)
        is_red = (picture[..., 0] - picture[..., 2] > 100).mean()
        if row["scale"] == "crop":
            assert is_red > 0.5
        else:  # a fifth of the side; its centre is at (224, 96), and 32 rows are mirrored above
            assert 0.02 < is_red < 0.06
            assert picture[128 // 5, 224 // 5, 0] - picture[128 // 5, 224 // 5, 2] > 100


def test_scales_come_and_go_without_new_crops(tmp_path: Path, real: Path, jobs) -> None:
    out, both = tmp_path / "out", tmp_path / "both"
    prepare(out, real)
    default = folders_of(out)
    prepare(both, real, *BOTH)
    jobs.clear()
    assert prepare(out, real, *BOTH) == 0
    assert [mode for _, mode, _ in jobs] == ["whole"] * 10
    assert folders_of(out) == folders_of(both)
    assert {name: text for name, text in folders_of(out).items() if "train/" in name} == {
        name: text for name, text in default.items() if "train/" in name
    }
    jobs.clear()
    assert prepare(out, real) == 0
    assert folders_of(out) == default
    assert sorted(path.name for path in (out / "real").iterdir() if path.is_dir()) == [
        "train",
        "val",
    ]
    assert prepare(out, real, *BOTH) == 0
    assert jobs == []


class Killed(BaseException):
    """Stands for a kill at a certain call."""


@pytest.mark.slow
def test_a_kill_between_the_two_pictures_is_mended(tmp_path: Path, monkeypatch) -> None:
    real = make_real(tmp_path / "real", {"chat": 2, "loup": 2})
    prepare(tmp_path / "wanted", real, *BOTH)
    wanted = folders_of(tmp_path / "wanted")
    original = os.replace
    for stop_at in range(1, 40):
        out, left = tmp_path / f"out{stop_at}", stop_at

        def replace(*args, **options):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            return original(*args, **options)

        monkeypatch.setattr(os, "replace", replace)
        try:
            prepare(out, real, *BOTH)
        except Killed:
            killed = True
        else:
            killed = False
        monkeypatch.setattr(os, "replace", original)
        # Where there is a manifest, it is true; its checksum is noted after it.
        if killed and (out / "real" / "manifest.csv").exists():
            assert folders_of(out) == wanted
        assert prepare(out, real, *BOTH) == 0
        assert folders_of(out) == wanted
        assert not list((out / "crops" / "incoming").iterdir())
        if not killed:
            break
    assert not killed
    assert stop_at > 8, "two pictures of four photos are renamed into place"


def test_oat_photos_are_crops_already(tmp_path: Path, real: Path) -> None:
    oat = make_oat(tmp_path / "oat", {"train": {"otter": 3}, "val": {"otter": 2}})
    out = tmp_path / "out"
    assert prepare(out, real, *BOTH, "--oat_dir", oat) == 0
    assert tuple(rows_of(out / "oat" / "manifest.csv")[0]) == (*MANIFEST_COLUMNS, *TAKEN_COLUMNS)
    assert not (out / "oat" / "train_photo").exists()
    assert (out / "real" / "train_photo").is_dir()
    detector = red_square_detector(tmp_path / "red.onnx")
    assert prepare(out, real, *BOTH, "--oat_dir", oat, "--detect_oat", detector=detector) == 0
    assert len(crops_of(out / "oat" / "train_photo")) == 3


def test_a_photo_that_cannot_be_read_has_neither(tmp_path: Path, real: Path) -> None:
    (real / "chat" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for _ in range(2):
        assert prepare(tmp_path / "out", real, *BOTH) == 3
        left_out = rows_of(tmp_path / "out" / "real" / "left_out.csv")
        assert [row["source"] for row in left_out] == ["chat/cut.jpg"]
        assert len(rows_of(tmp_path / "out" / "real" / "manifest.csv")) == 20


def test_the_crop_is_always_there(tmp_path: Path, real: Path, capsys) -> None:
    for scales in (["photo"], ["crop", "print"]):
        with pytest.raises(SystemExit, match="2"):
            prepare(tmp_path / "out", real, "--scales", *scales)
    assert "--scales must have crop among them" in capsys.readouterr().err


def test_mean_over_scales_by_hand() -> None:
    rows = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.4, 0.6]])  # two crops, two photos
    np.testing.assert_allclose(mean_over_scales(rows, 2), [[0.7, 0.3], [0.3, 0.7]])
    np.testing.assert_array_equal(mean_over_scales(rows, 1), rows)
    assert mean_over_scales(rows[:0], 2).shape == (0, 2)
    with pytest.raises(ValueError, match="3 pictures cannot be 2 of each photo"):
        mean_over_scales(rows[:3], 2)
