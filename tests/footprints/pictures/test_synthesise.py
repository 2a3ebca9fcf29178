"""The drawn data set: layout, truth of its boxes, repeatability, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps

from footprints import synthesise
from footprints.pictures import drawn_prints
from footprints.pictures.drawn_prints import MADE_UP, SHAPES, STRANGERS, Ground, draw_photo
from footprints.system.errors import UserError
from tests.helpers.programs import run_step

N = 6
FLAT = Ground((200, 200, 200), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0), 0.02, 0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "set"
    assert synthesise.make_corpus(folder, N, seed=3)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "small"
    synthesise.make_corpus(folder, 2, seed=3)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def upright_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return ImageOps.exif_transpose(picture).size


def test_layout_is_that_of_real_sets(corpus):
    train = {p.name: len(list(p.iterdir())) for p in (corpus / "oat/cropped_imgs/train").iterdir()}
    assert train == {"cat": N, "deer": N, "dog": N, "duck": N, "hare": N // 3, "heron": N}
    val = {p.name for p in (corpus / "oat/cropped_imgs/val").iterdir()}
    assert val == set(train)
    real = {p.name: len(list(p.iterdir())) for p in (corpus / "real").iterdir()}
    assert real == {"deer": N, "dog": N, "hare": N // 3, "heron": N}
    assert len({path.name for path in (corpus / "photos").rglob("*.jpg")}) < len(
        list((corpus / "photos").rglob("*.jpg"))
    ), "two folders should have photos of one name"


def test_other_animals_are_neither_classes_nor_the_stranger(corpus):
    names = {path.stem.rsplit("_", 1)[0] for path in (corpus / "others").iterdir()}
    assert len(names) == 9
    assert names <= set(MADE_UP)
    assert not names & {*SHAPES, *STRANGERS}


def test_every_picture_opens_and_has_its_size(corpus):
    for path in corpus.rglob("*.jpg"):
        with Image.open(path) as picture:
            picture.load()
            assert picture.mode == "RGB"
            longest = max(picture.size)
        assert longest <= (224 + 32 if "oat" in path.parts else 448)
        assert np.asarray(Image.open(path)).std() > 3, f"{path} shows nothing"


def test_some_photos_are_kept_sideways(corpus):
    notes = [Image.open(path).getexif().get(0x0112, 1) for path in corpus.rglob("real/*/*.jpg")]
    assert set(notes) == {1, 6}


def test_detector_set_is_in_yolo_format(corpus):
    facts = yaml.safe_load((corpus / "detector/data.yaml").read_text())
    assert facts["names"] == {0: "footprint"}
    assert not Path(facts["path"]).is_absolute()
    counts = {}
    for part in ("train", "val", "test"):
        photos = sorted((corpus / "detector" / facts[part]).iterdir())
        for photo in photos:
            label = corpus / "detector" / "labels" / part / f"{photo.stem}.txt"
            rows = [[float(v) for v in line.split()] for line in label.read_text().splitlines()]
            counts.setdefault(len(rows), 0)
            counts[len(rows)] += 1
            for number, x, y, width, height in rows:
                assert number == 0
                assert 0 <= x - width / 2 < x + width / 2 <= 1
                assert 0 <= y - height / 2 < y + height / 2 <= 1
    assert set(counts) >= {0, 1}, "photos with and without a print are needed"


def test_box_tables_name_existing_photos(corpus):
    rows = list(csv.DictReader((corpus / "real_boxes.csv").open()))
    assert {row["file"] for row in rows} == {
        path.relative_to(corpus / "real").as_posix() for path in (corpus / "real").rglob("*.jpg")
    }
    for row in rows:
        x, y, width, height = (float(row[k]) for k in ("x", "y", "width", "height"))
        assert 0 <= x < x + width <= 1
        assert 0 <= y < y + height <= 1
    for row in csv.DictReader((corpus / "photos_truth.csv").open()):
        width, height = upright_size(corpus / "photos" / row["photo"])
        assert 0 <= float(row["x1"]) < float(row["x2"]) <= width
        assert 0 <= float(row["y1"]) < float(row["y2"]) <= height


def test_five_new_photos_show_an_animal_of_no_class(corpus):
    truth = [row["class"] for row in csv.DictReader((corpus / "photos_truth.csv").open())]
    classes = {path.name for path in (corpus / "real").iterdir()}
    assert len([name for name in truth if name not in classes]) == 5
    assert not {name for name in truth if name in STRANGERS} & set(SHAPES)
    assert {
        path.relative_to(corpus / "photos").as_posix() for path in corpus.rglob("IMG*.jpg")
    } == {row["photo"] for row in csv.DictReader((corpus / "photos_truth.csv").open())}


@pytest.mark.parametrize("animal", sorted(SHAPES | STRANGERS))
def test_box_fits_the_print(animal, monkeypatch):
    """On flat grey ground without stones all that differs from grey is the print and its rim."""
    monkeypatch.setitem(drawn_prints.GROUNDS, "flat", FLAT)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rgb, [box] = draw_photo([animal], (300, 260), rng, ground="flat")
        grey = np.median(rgb, axis=(0, 1))
        rows, columns = np.nonzero(np.abs(rgb.astype(float) - grey).max(axis=2) > 45)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        side = max(box[2] - box[0], box[3] - box[1])
        # The rim and the blur stick out a little; pads end before their outlines' blurred edge.
        np.testing.assert_allclose(found, box, rtol=0, atol=0.1 * side)


def test_prints_of_a_photo_do_not_overlap():
    for seed in range(10):
        _, boxes = draw_photo(["dog", "deer", "hare"], (448, 336), np.random.default_rng(seed))
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_sideways_photo_looks_upright_to_pillow():
    rgb, _ = draw_photo(["cat"], (200, 120), np.random.default_rng(0))
    with Image.open(io.BytesIO(synthesise.jpeg_of(rgb, turned=True))) as picture:
        assert picture.size == (120, 200)
        upright = np.asarray(ImageOps.exif_transpose(picture), dtype=float)
    assert upright.shape == rgb.shape
    assert np.abs(upright - rgb).mean() < 6  # what JPEG costs


def test_other_seeds_give_other_pictures():
    def picture(seed: int) -> np.ndarray:
        return synthesise.draw(synthesise.plan(2, seed)[0])[0]

    assert picture(0).shape != picture(1).shape or (picture(0) != picture(1)).any()


def test_smaller_set_is_part_of_a_larger_one():
    larger = {photo.path: photo for photo in synthesise.plan(9, 0) if photo.path.startswith("oat")}
    for photo in synthesise.plan(4, 0):
        if photo.path.startswith("oat"):
            assert larger[photo.path] == photo


def test_second_run_leaves_everything_as_it_is(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert not synthesise.make_corpus(corpus, N, seed=3)
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_unfinished_set_is_completed_to_equal_files(small, tmp_path):
    folder = tmp_path / "set"
    whole = contents(small)
    shutil.copytree(small, folder)
    record = json.loads((folder / synthesise.RECORD).read_text())
    (folder / synthesise.RECORD).write_text(json.dumps(record | {"complete": False}))
    (folder / "detector/data.yaml").unlink()
    (folder / "real/.unfinished-abc").write_bytes(b"killed here")
    assert synthesise.make_corpus(folder, 2, seed=3)
    assert contents(folder) == whole


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param(lambda f: f.mkdir() or (f / "mine.jpg").touch(), "not an empty", id="user's"),
        pytest.param(lambda f: f.touch(), "not an empty", id="file"),
        pytest.param(
            lambda f: f.mkdir() or (f / synthesise.RECORD).write_text('{"seed": 7}'),
            "another set",
            id="another-set",
        ),
        pytest.param(
            lambda f: f.mkdir() or (f / synthesise.RECORD).write_text("{"),
            "another set",
            id="broken-record",
        ),
    ],
)
def test_folder_with_other_things_is_refused(prepare, message, tmp_path):
    folder = tmp_path / "folder"
    prepare(folder)
    before = contents(tmp_path)
    with pytest.raises(UserError, match=message):
        synthesise.make_corpus(folder, 2)
    assert contents(tmp_path) == before


def test_as_a_process(small, tmp_path):
    started = time.monotonic()
    assert "--n_per_class" in run_step("synthesise", "--help").stdout
    assert time.monotonic() - started < 5, "help should take less than 2 s on a free machine"
    same = ("synthesise", "--output_dir", tmp_path / "set", "--n_per_class", 2, "--seed", 3)
    done = run_step(*same)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "set") in done.stdout
    assert contents(tmp_path / "set") == contents(small)
    again = run_step(
        "synthesise", "--output_dir", tmp_path / "set", "--n_per_class", 2, "--seed", 3
    )
    assert again.returncode == 0
    assert "already there" in again.stdout
    other = run_step("synthesise", "--output_dir", tmp_path / "set", "--n_per_class", 3)
    assert other.returncode == 1
    assert other.stderr.startswith("error: ")
    assert len(other.stderr.splitlines()) == 1


@pytest.mark.parametrize("flags", [["--n_per_class", "1"], ["--seed", "-1"], []])
def test_wrong_flags_are_usage_errors(flags, tmp_path):
    target = ["--output_dir", str(tmp_path / "set")] if flags else []
    with pytest.raises(SystemExit) as ended:
        synthesise.main([*target, *flags])
    assert ended.value.code == 2
