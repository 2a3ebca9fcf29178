"""YoloInference on detectors of known behaviour, which need no training."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from footprints import YoloInference
from footprints.cropping import crop_pool
from footprints.detect import main
from footprints.pictures.photos import PhotoError
from footprints.system.errors import UserError
from footprints.system.files import output_folder
from footprints.system.settings import Settings
from tests.helpers.detector import (
    BLUE,
    GREEN,
    RED,
    fixed_detector,
    listing_of,
    photo_with_square,
    red_square_detector,
    save_rotated,
)
from tests.helpers.field_photos import field_exif, write_field_photo
from tests.helpers.photos import noisy
from tests.helpers.programs import run_code, run_step

# A red square of one cell of the detector in a photo of its input size, a green marker in its
# upper left corner: 128 x 128, the square at (80, 32, 96, 48).
SQUARE = (80, 32, 96, 48)


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    return red_square_detector(tmp_path_factory.mktemp("red") / "red.onnx")


# --- results -------------------------------------------------------------------------------------


def test_the_result_is_typed_and_in_pixels_of_the_photo(red) -> None:
    photo = photo_with_square((128, 128), SQUARE)
    (one,) = YoloInference(red).detect(photo)
    assert one.box_xyxy == pytest.approx(SQUARE, abs=1e-4)
    assert one.confidence == pytest.approx((230 - 20) / 255, abs=1e-5)
    assert one.area == pytest.approx(256, abs=1e-2)
    assert one.score == one.confidence
    assert one.class_name == "red"
    with pytest.raises(AttributeError):
        one.confidence = 1.0  # frozen


def test_boxes_of_a_photo_of_another_size_are_scaled_back(red) -> None:
    """256 x 512 shrinks to 64 x 128 between borders of 32 rows."""
    photo = photo_with_square((256, 512), (320, 64, 384, 128))
    (one,) = YoloInference(red).detect(photo)
    assert one.box_xyxy == pytest.approx((320, 64, 384, 128), abs=1e-3)


def test_boxes_of_a_small_photo_are_scaled_back(red) -> None:
    photo = photo_with_square((64, 48), (24, 8, 32, 16))  # twice as large in the input
    (one,) = YoloInference(red).detect(photo)
    assert one.box_xyxy == pytest.approx((24, 8, 32, 16), abs=1e-3)


def test_thresholds_are_kept(tmp_path) -> None:
    rows = [[100, 100, 200, 200, 0.9], [110, 100, 210, 200, 0.8], [400, 400, 500, 500, 0.3]]
    path = fixed_detector(tmp_path / "fixed.onnx", rows)
    photo = np.zeros((640, 640, 3), np.uint8)

    def confidences(**thresholds: float) -> list[float]:
        found = YoloInference(path, **thresholds).detect(photo)
        return [round(one.confidence, 4) for one in found]

    # The first two overlap by 9000 / 11000.
    assert confidences() == [0.9, 0.3]
    assert confidences(iou_threshold=0.85) == [0.9, 0.8, 0.3]
    assert confidences(conf_threshold=0.5) == [0.9]
    assert confidences(conf_threshold=0.95) == []


def test_a_sharp_print_beats_a_huge_vague_box(tmp_path) -> None:
    """Defect 12: area times confidence took the box of the whole photo."""
    rows = [[0, 0, 640, 640, 0.2501], [245, 245, 395, 395, 0.95]]
    path = fixed_detector(tmp_path / "fixed.onnx", rows)
    photo = np.zeros((640, 640, 3), np.uint8)
    best, _ = YoloInference(path).best_crop(photo)
    assert best.box_xyxy == pytest.approx((245, 245, 395, 395), abs=1e-3)
    best, _ = YoloInference(path, ranking="area_confidence").best_crop(photo)
    assert best.box_xyxy == pytest.approx((0, 0, 640, 640), abs=1e-3)
    assert best.score == pytest.approx(640 * 640 * 0.2501, rel=1e-5)


def test_all_crops_come_best_first_and_none_means_none(tmp_path, red) -> None:
    rows = [[0, 0, 100, 100, 0.4], [300, 300, 400, 400, 0.9]]
    path = fixed_detector(tmp_path / "fixed.onnx", rows)
    photo = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    before = photo.copy()
    detector = YoloInference(path, settings=Settings(image_size=100, margin=0.0))
    crops = detector.all_crops(photo)
    assert [round(one.confidence, 3) for one, _ in crops] == [0.9, 0.4]
    np.testing.assert_array_equal(crops[0][1], photo[300:400, 300:400])
    np.testing.assert_array_equal(crops[1][1], photo[:100, :100])
    np.testing.assert_array_equal(photo, before)
    nothing = photo_with_square((128, 128), SQUARE, BLUE)
    assert YoloInference(red).best_crop(nothing) is None
    assert YoloInference(red).all_crops(nothing) == []


def test_class_names_are_the_detectors(tmp_path) -> None:
    rows = [[0, 0, 50, 50, 0.1, 0.7], [0, 0, 50, 50, 0.6, 0.2]]  # one place, two classes
    path = fixed_detector(tmp_path / "two.onnx", rows, names=("hare", "roe deer"))
    found = YoloInference(path).detect(np.zeros((640, 640, 3), np.uint8))
    assert [one.class_name for one in found] == ["roe deer", "hare"]


# --- colours and the EXIF marker -----------------------------------------------------------------


def test_colours_keep_their_order(red, tmp_path) -> None:
    """A detector of red finds the red square, from an array and from a file, and not the blue."""
    detector = YoloInference(red)
    for colour, n in ((RED, 1), (BLUE, 0)):
        photo = photo_with_square((128, 128), SQUARE, colour)
        path = tmp_path / f"{n}.png"
        Image.fromarray(photo).save(path)
        assert len(detector.detect(photo)) == n
        assert len(detector.detect(path)) == len(detector.detect(str(path))) == n
    _, crop = detector.best_crop(tmp_path / "1.png")
    np.testing.assert_array_equal(crop[112, 112], RED)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_photo_is_cut_where_the_print_is(red, tmp_path, orientation, suffix) -> None:
    """Defect 6: the box meant the upright photo, the crop was cut from the stored one."""
    upright = photo_with_square((128, 96), (48, 32, 64, 48), RED, marker=(48, 32, 52, 36))
    path = save_rotated(tmp_path / f"turned{suffix}", upright, orientation)
    detector = YoloInference(red, settings=Settings(margin=0.0, min_crop_side=1))
    best, crop = detector.best_crop(path)
    assert best.box_xyxy == pytest.approx((48, 32, 64, 48), abs=1e-3)
    tolerance = 30 if suffix == ".jpg" else 0
    np.testing.assert_allclose(crop[20, 20], GREEN, atol=tolerance)  # the marker, still up left
    for corner in (crop[20, -20], crop[-20, 20], crop[-20, -20]):
        np.testing.assert_allclose(corner, RED, atol=tolerance)


# --- what cannot be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "error"),
    [
        pytest.param(np.zeros((64, 64), np.uint8), ValueError, id="grey"),
        pytest.param(np.zeros((64, 64, 4), np.uint8), ValueError, id="alpha"),
        pytest.param(np.zeros((64, 64, 3), np.float32), TypeError, id="float"),
        pytest.param(np.zeros((4, 64, 3), np.uint8), ValueError, id="tiny"),
    ],
)
def test_arrays_that_are_no_photos_are_refused(red, array, error) -> None:
    with pytest.raises(error):
        YoloInference(red).detect(array)


def test_a_photo_that_cannot_be_read_is_no_black_picture(red, tmp_path) -> None:
    """Defect 3: whatever went wrong became a black picture with its label kept."""
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    with pytest.raises(PhotoError):
        YoloInference(red).best_crop(tmp_path / "broken.jpg")
    with pytest.raises(PhotoError):
        YoloInference(red).detect(tmp_path / "absent.jpg")


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("absent.onnx", None, "no such detector"),
        ("absent.pt", None, "no such detector"),
        ("detector.h5", b"x", r"a detector is a \.pt or an \.onnx file"),
        ("empty.onnx", b"", "not a usable ONNX file"),
        ("noise.onnx", bytes(range(256)) * 9, "not a usable ONNX file"),
    ],
)
def test_unusable_detectors_are_named_in_one_line(tmp_path, name, content, match) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=match) as caught:
        YoloInference(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_onnx_file_that_is_no_detector_is_refused(tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    for shape in ([1, 10], [1, 3, 32, 32]):
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "g",
            [value("x", shape)],
            [value("y", shape)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(UserError, match="not a YOLO detector"):
            YoloInference(tmp_path / "other.onnx").detect(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("thresholds", [{"conf_threshold": 1.5}, {"iou_threshold": -1}])
def test_numbers_out_of_range_are_refused(red, thresholds) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        YoloInference(red, **thresholds)
    with pytest.raises(ValueError, match="ranking"):
        YoloInference(red, ranking="size")


def test_an_onnx_detector_needs_neither_torch_nor_ultralytics(red, tmp_path) -> None:
    photo = tmp_path / "a.png"
    Image.fromarray(photo_with_square((128, 128), SQUARE)).save(photo)
    code = """
import sys
from footprints import YoloInference
assert len(YoloInference(sys.argv[1]).detect(sys.argv[2])) == 1
loaded = {"torch", "ultralytics", "tensorflow", "torchvision"} & set(sys.modules)
print(sorted(loaded))
"""
    assert run_code(code, red, photo).strip() == "[]"


# --- the step ------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "day 1").mkdir(parents=True)
    two = photo_with_square((128, 128), SQUARE)
    two[96:112, 16:32] = (200, 20, 20)
    Image.fromarray(two).save(folder / "day 1" / "two.png")
    upright = photo_with_square((128, 96), (48, 32, 64, 48))
    save_rotated(folder / "turned.jpg", upright, 6)
    Image.fromarray(photo_with_square((80, 128), SQUARE, BLUE)).save(folder / "none.png")
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_the_step_writes_crops_and_tables(red, photos, tmp_path) -> None:
    before = listing_of(photos)
    out = tmp_path / "out"
    done = run_step("detect", photos, "--detector", red, "--output_dir", out)
    assert done.returncode == 3, done.stderr
    assert listing_of(photos) == before
    content = {
        entry["photo"]: entry
        for entry in json.loads((out / "detections.json").read_text())["photos"]
    }
    assert set(content) == {"broken.jpg", "day 1/two.png", "none.png", "turned.jpg"}
    assert content["broken.jpg"]["reason"]
    assert [round(d["confidence"], 3) for d in content["day 1/two.png"]["detections"]] == [
        0.824,
        0.706,
    ]
    assert content["turned.jpg"]["detections"][0]["box_xyxy"] == pytest.approx(
        (48, 32, 64, 48), abs=0.01
    )
    assert (content["turned.jpg"]["width"], content["turned.jpg"]["height"]) == (96, 128)
    assert content["none.png"]["crops"] == [
        {"file": "crops/none.png.1.png", "crop_xyxy": [24, 0, 104, 80], "fallback": True}
    ]
    crops = sorted(p.relative_to(out / "crops").as_posix() for p in out.rglob("*.png"))
    assert crops == ["day 1/two.png.1.png", "none.png.1.png", "turned.jpg.1.png"]
    with Image.open(out / "crops" / "day 1" / "two.png.1.png") as crop:
        assert (crop.size, crop.mode) == ((224, 224), "RGB")
        assert crop.getpixel((112, 112)) == RED
    with open(out / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["rank"], row["fallback"]) for row in rows] == [
        ("broken.jpg", "", ""),
        ("day 1/two.png", "1", "0"),
        ("day 1/two.png", "2", ""),
        ("none.png", "", "1"),
        ("turned.jpg", "1", "0"),
    ]
    assert "3 photos: prints found in 2, none in 1; 1 could not be read" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
def test_a_photo_that_kills_the_detectors_process_is_listed_and_the_others_are_done(
    red, photos, tmp_path, monkeypatch
) -> None:
    dies = (
        "import os, sys; from footprints.cropping import crop_worker as it; "
        "read = it.read_file; it.read_file = lambda path: "
        "os.kill(os.getpid(), 9) if path.name == 'none.png' else read(path); sys.exit(it.main())"
    )
    monkeypatch.setattr(crop_pool, "_WORK", ("-c", dies))
    out = tmp_path / "out"
    assert main([str(photos), "--detector", str(red), "--output_dir", str(out)]) == 3
    content = json.loads((out / "detections.json").read_text())["photos"]
    reasons = {one["photo"]: one.get("reason") for one in content}
    assert set(reasons) == {"broken.jpg", "day 1/two.png", "none.png", "turned.jpg"}
    assert reasons["none.png"] == "its worker process was killed, probably for want of memory"
    assert reasons["day 1/two.png"] is reasons["turned.jpg"] is None


def test_what_ends_before_the_first_photo_leaves_earlier_tables(red, photos, tmp_path) -> None:
    out = tmp_path / "out"
    assert main([str(photos), "--detector", str(red), "--output_dir", str(out)]) == 3
    before = listing_of(out)
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(UserError, match="not a usable ONNX file"):
        main([str(photos), "--detector", str(tmp_path / "noise.onnx"), "--output_dir", str(out)])
    assert listing_of(out) == before


def test_crops_of_an_earlier_run_are_no_photos(red, photos) -> None:
    for _ in range(2):
        done = run_step("detect", photos, "--detector", red, "--output_dir", photos)
        assert done.returncode == 3, done.stderr
        assert "3 photos: prints found in 2" in done.stdout
    assert len(list((photos / "crops").rglob("*.png"))) == 3


def test_an_output_folder_is_nobody_elses(red, photos, tmp_path, capsys) -> None:
    """Neither another process's, nor at the end of a link, nor are tables that were edited."""
    out, outside = tmp_path / "out", tmp_path / "outside"
    given = [str(photos), "--detector", str(red), "--output_dir", str(out)]
    outside.mkdir()
    with output_folder(out), pytest.raises(UserError, match="another process is at work"):
        main(given)
    (out / "crops").symlink_to(outside)
    with pytest.raises(UserError, match="crops: is a link"):
        main(given)
    assert list(outside.iterdir()) == []
    (out / "crops").unlink()
    (photos / "notes.docx").write_text("")
    assert main(given) == 3
    facts = json.loads((out / "detections.json").read_text())
    assert {"file": "notes.docx", "reason": "no photo by its name"} in facts["unused"]
    table = out / "detections.csv"
    table.write_text("mine")
    assert main(given) == 3
    assert "detections.csv: was edited after it was written and is left" in capsys.readouterr().err
    assert table.read_text() == "mine"
    assert main([*given, "--replace_edited"]) == 3
    assert (out / "detections.csv.bak").read_text() == "mine"


def test_the_step_cuts_out_every_print_on_request(red, photos, tmp_path) -> None:
    out = tmp_path / "out"
    source = photos / "day 1" / "two.png"
    done = run_step("detect", source, "--detector", red, "--output_dir", out, "--all_crops")
    assert done.returncode == 0, done.stderr
    assert len(list(out.rglob("*.png"))) == 2


def test_without_an_output_folder_the_step_only_lists(red, photos, tmp_path) -> None:
    done = run_step("detect", photos / "turned.jpg", "--detector", red)
    assert done.returncode == 0, done.stderr
    assert "turned.jpg: red 0.8" in done.stdout
    assert "at (48, 32, 64, 48)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["absent", "--detector", "RED"], 1, "absent: no such photo or folder"),
        (["PHOTOS", "--detector", "absent.onnx"], 1, "absent.onnx: no such detector"),
        (["PHOTOS"], 2, "--detector"),
        (["PHOTOS", "--detector", "RED", "--conf_threshold", "2"], 2, "between 0 and 1"),
    ],
)
def test_mistakes_are_named_in_one_line(red, photos, tmp_path, arguments, status, message) -> None:
    given = [{"RED": red, "PHOTOS": photos}.get(word, word) for word in arguments]
    done = run_step("detect", *given)
    assert done.returncode == status
    assert message in done.stderr
    if status == 1:
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("step", ["detect", "train_detector"])
def test_help_tells_the_exit_statuses(step) -> None:
    done = run_step(step, "--help")
    assert done.returncode == 0
    assert "Exit status" in done.stdout


# --- when and where -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stripped", [False, True])
def test_tables_say_when_and_where(is_stripped, red, tmp_path) -> None:
    write_field_photo(tmp_path / "p" / "a.jpg", photo_with_square((128, 128), SQUARE), field_exif())
    broken = write_field_photo(tmp_path / "p" / "b.jpg", noisy(), field_exif())
    os.truncate(broken, broken.stat().st_size // 2)
    argv = [str(tmp_path / "p"), "--detector", str(red), "--output_dir", str(tmp_path / "out")]
    assert main([*argv, *["--strip_location"] * is_stripped]) == 3
    with (tmp_path / "out" / "detections.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    place = ("", "") if is_stripped else ("47.2345", "-8.5")
    assert [row["photo"] for row in rows] == ["a.jpg", "b.jpg"]
    for row in rows:
        assert (row["latitude"], row["longitude"]) == place
        assert row["taken_at"] == "2026-03-01T07:15:00+01:00"
    content = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {one["camera"] for one in content["photos"]} == {"Canon EOS R7"}
    assert content["photos"][0]["longitude"] == (None if is_stripped else -8.5)
