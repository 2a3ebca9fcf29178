"""Real YOLO networks: Ultralytics' own results, and files that mean harm. Random weights."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from footprints import YoloInference, train_detector
from footprints.detector.onnx_detector import letterbox_of, network_input, read_output
from footprints.detector.yolo import load_ultralytics
from footprints.pictures.boxes import suppress_overlaps
from footprints.system.errors import UserError
from tests.helpers.detector import (
    Watched,
    malicious_checkpoints,
    photo_with_square,
    random_network,
    save_rotated,
    write_detector_data,
)
from tests.helpers.programs import run_code, run_step

CONFIDENCE = 0.15  # of the random network


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A yolo11n of random weights as .pt and .onnx, input 128 x 128."""
    return random_network(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def ultralytics():
    return load_ultralytics()


def coloured_photo(shape, seed=0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.array(picture)


def rows_of(detections) -> np.ndarray:
    """Return x1, y1, x2, y2, confidence, class of detections in a fixed order."""
    rows = np.array(
        [[*d.box_xyxy, d.confidence, d.class_name == "other"] for d in detections]
    ).reshape(-1, 6)
    return rows[np.lexsort(rows.T)]


def rows_of_ultralytics(result) -> np.ndarray:
    rows = result.boxes.data.cpu().numpy().astype(float)
    return rows[np.lexsort(rows.T)]


def closest(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return, for each row, the largest difference to the most similar other row."""
    return np.abs(rows[:, None] - others[None]).max(axis=2).min(axis=1)


SHAPES = [(128, 128), (96, 160), (300, 200), (50, 70), (640, 480)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pt_gives_what_ultralytics_gives(networks, ultralytics, shape) -> None:
    photo = coloured_photo(shape)
    found = rows_of(YoloInference(networks[0], CONFIDENCE).detect(photo))
    own = ultralytics.YOLO(str(networks[0])).predict(
        np.ascontiguousarray(photo[:, :, ::-1]), conf=CONFIDENCE, iou=0.45, verbose=False
    )
    expected = rows_of_ultralytics(own[0])
    assert len(found) == len(expected) > 2
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_onnx_gives_what_ultralytics_gives(networks, ultralytics, shape) -> None:
    """Ultralytics runs the same ONNX file: its letterbox, its NMS against ours."""
    photo = coloured_photo(shape)
    found = rows_of(YoloInference(networks[1], CONFIDENCE).detect(photo))
    own = ultralytics.YOLO(str(networks[1]), task="detect").predict(
        np.ascontiguousarray(photo[:, :, ::-1]), conf=CONFIDENCE, iou=0.45, verbose=False
    )
    expected = rows_of_ultralytics(own[0])
    assert len(found) == len(expected) > 2
    # float32 sums in another order: 1e-2 pixels in photos of up to 640, 1e-4 in confidence
    np.testing.assert_allclose(found[:, :4], expected[:, :4], atol=1e-2)
    np.testing.assert_allclose(found[:, 4:], expected[:, 4:], atol=1e-4)


def test_pt_and_onnx_agree(networks) -> None:
    """On a square photo; others get a smaller border from Ultralytics with a .pt file."""
    photo = coloured_photo((256, 256), seed=1)
    from_pt = rows_of(YoloInference(networks[0], CONFIDENCE).detect(photo))
    from_onnx = rows_of(YoloInference(networks[1], CONFIDENCE).detect(photo))
    assert len(from_pt) == len(from_onnx) > 2
    np.testing.assert_allclose(from_pt[:, :4], from_onnx[:, :4], atol=0.05)
    np.testing.assert_allclose(from_pt[:, 4:], from_onnx[:, 4:], atol=1e-3)


@pytest.mark.parametrize("which", [0, 1], ids=["pt", "onnx"])
def test_arrays_files_and_ultralytics_reading_agree(networks, ultralytics, tmp_path, which) -> None:
    """Defect 5: red and blue swapped. An array, its file, and Ultralytics reading that file."""
    photo = coloured_photo((128, 128), seed=2)
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    detector = YoloInference(networks[which], CONFIDENCE)
    from_array = rows_of(detector.detect(photo))
    np.testing.assert_array_equal(from_array, rows_of(detector.detect(path)))
    own = ultralytics.YOLO(str(networks[which]), task="detect").predict(
        str(path), conf=CONFIDENCE, iou=0.45, verbose=False
    )
    expected = rows_of_ultralytics(own[0])
    assert len(from_array) == len(expected) > 2
    np.testing.assert_allclose(from_array, expected, atol=1e-2)
    swapped = rows_of(detector.detect(np.ascontiguousarray(photo[:, :, ::-1])))
    assert len(swapped) != len(expected) or closest(swapped, expected).max() > 0.05


@pytest.mark.parametrize("which", [0, 1], ids=["pt", "onnx"])
def test_boxes_of_a_turned_photo_are_upright(networks, tmp_path, which) -> None:
    upright = coloured_photo((160, 96), seed=3)
    detector = YoloInference(networks[which], CONFIDENCE)
    turned = save_rotated(tmp_path / "turned.png", upright, 6)
    expected = rows_of(detector.detect(upright))
    assert len(expected) > 2
    np.testing.assert_array_equal(rows_of(detector.detect(turned)), expected)


def test_the_first_call_and_later_calls_agree(networks) -> None:
    detector = YoloInference(networks[0], CONFIDENCE)
    photos = [coloured_photo((128, 128), seed) for seed in (4, 5)]
    first = [rows_of(detector.detect(photo)) for photo in photos]
    for photo, rows in zip(photos, first, strict=True):
        np.testing.assert_array_equal(rows_of(detector.detect(photo)), rows)


# --- letterbox, output, suppression: closed forms and other libraries ----------------------------


@pytest.mark.parametrize("shape", [*SHAPES, (1, 300), (37, 41), (127, 129), (1000, 333)], ids=str)
@pytest.mark.parametrize("stride", [None, 32])
def test_the_letterbox_is_that_of_ultralytics(ultralytics, shape, stride) -> None:
    from ultralytics.data.augment import LetterBox

    photo = coloured_photo(shape)
    expected = LetterBox((128, 128), auto=stride is not None, stride=32)(image=photo)
    fit = letterbox_of(photo.shape, (128, 128), stride)
    values = network_input(photo, fit)
    assert values.shape == (1, 3, *expected.shape[:2])
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[0].transpose(1, 2, 0) * 255, expected, atol=1e-4)


def test_the_border_is_grey_and_the_photo_in_the_middle() -> None:
    fit = letterbox_of((50, 100), (128, 128))
    assert (fit.shape, fit.resized, fit.top, fit.left) == ((128, 128), (64, 128), 32, 0)
    values = network_input(np.zeros((50, 100, 3), np.uint8), fit)
    np.testing.assert_allclose(values[0, :, :32], 114 / 255)
    np.testing.assert_allclose(values[0, :, 32:96], 0)
    np.testing.assert_allclose(values[0, :, 96:], 114 / 255)


def test_output_of_a_network_without_overlaps_is_read() -> None:
    """Form (1, boxes, 6): corners, confidence, class."""
    output = np.array(
        [[[1, 2, 3, 4, 0.3, 1], [5, 6, 7, 8, 0.9, 0], [0, 0, 1, 1, 0.1, 0]]], np.float32
    )
    boxes, confidences, classes = read_output(output, 0.25, 0.45)
    assert boxes.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]
    np.testing.assert_allclose(confidences, [0.9, 0.3], rtol=1e-6)
    assert classes.tolist() == [0, 1]


def test_suppression_agrees_with_torchvision() -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 100, (400, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (400, 2))], axis=1)
    confidences, classes = rng.permutation(400) / 400, rng.integers(0, 3, 400)
    for threshold in (0.3, 0.45, 0.7):
        expected = ops.batched_nms(
            torch.tensor(boxes), torch.tensor(confidences), torch.tensor(classes), threshold
        )
        kept = suppress_overlaps(boxes, confidences, classes, threshold)
        assert kept.tolist() == expected.tolist()


# --- files that mean harm, and files that are something else -------------------------------------


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """Three files that make ``it-ran`` when they are unpickled without care, and its path."""
    folder = tmp_path_factory.mktemp("evil")
    return malicious_checkpoints(folder, folder / "it-ran"), folder / "it-ran"


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_malicious_pickle_is_refused_and_does_not_run(evil, kind) -> None:
    paths, marker = evil
    with pytest.raises(UserError, match=r"\.pt: not a usable detector") as caught:
        YoloInference(paths[kind])
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_the_step_refuses_a_malicious_pickle_in_one_line(evil, tmp_path) -> None:
    paths, marker = evil
    photo = tmp_path / "a.png"
    Image.fromarray(photo_with_square((64, 64), (8, 8, 24, 24))).save(photo)
    done = run_step("detect", photo, "--detector", paths["zip"])
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {paths['zip']}: not a usable detector: it asks for code that is not part of a "
        "YOLO network, and was not loaded\n"
    )
    assert not marker.exists()


def test_training_refuses_malicious_weights(evil, tmp_path) -> None:
    paths, marker = evil
    data = write_detector_data(tmp_path / "data", {"train": 2, "val": 1})
    given = ["--data", data, "--output_dir", tmp_path / "out", "--weights"]
    with pytest.raises(UserError, match="not part of a YOLO network"):
        train_detector.main([*map(str, given), str(paths["zip"])])
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_training_refuses_an_unknown_network(ultralytics, tmp_path) -> None:
    data = write_detector_data(tmp_path / "data", {"train": 2, "val": 1})
    given = ["--data", data, "--output_dir", tmp_path / "out", "--weights", "yolo99n.yaml"]
    with pytest.raises(UserError, match=r"yolo99n\.yaml: no such description"):
        train_detector.main(list(map(str, given)))


@pytest.mark.slow
def test_a_package_loaded_carelessly_before_is_held_to_safe_loading(evil, tmp_path) -> None:
    paths, marker = evil
    code = """
import os, sys
os.environ["YOLO_CONFIG_DIR"] = sys.argv[2]
os.environ["YOLO_OFFLINE"] = "1"
import ultralytics
from footprints import YoloInference
from footprints.system.errors import UserError
try:
    YoloInference(sys.argv[1])
except UserError as error:
    print("refused", error)
"""
    printed = run_code(code, paths["zip"], tmp_path / "settings").rstrip().splitlines()
    assert printed[-1].startswith("refused")
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint at all", b"PK\x03\x04 torn off", b"\x89PNG\r\n\x1a\n"],
    ids=["empty", "text", "zip-head", "png"],
)
def test_other_files_named_pt_are_refused(tmp_path, content) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.pt: not a usable detector") as caught:
        YoloInference(path)
    assert "\n" not in str(caught.value)


def test_weights_without_a_network_are_refused(tmp_path, ultralytics) -> None:
    import torch

    for content in ({"weight": torch.zeros(3)}, [1, 2, 3], {"model": None}):
        torch.save(content, tmp_path / "weights.pt")
        with pytest.raises(UserError, match="not a usable detector"):
            YoloInference(tmp_path / "weights.pt")


def test_a_network_of_another_task_is_refused(tmp_path, ultralytics) -> None:
    import torch

    model = ultralytics.YOLO("yolo11n-cls.yaml").model
    torch.save({"model": model, "train_args": {"task": "classify"}}, tmp_path / "cls.pt")
    with pytest.raises(UserError, match="a detector is needed"):
        YoloInference(tmp_path / "cls.pt")


@pytest.mark.parametrize("name", ["Zoé's [best] detector.pt", "yolov5n.pt", "https:detector.pt"])
def test_any_file_name_will_do(networks, tmp_path, name) -> None:
    """Ultralytics drops quotes, renames yolov5n, takes addresses for downloads."""
    path = tmp_path / name
    os.link(networks[0], path)
    photo = coloured_photo((128, 128))
    found = rows_of(YoloInference(path, CONFIDENCE).detect(photo))
    np.testing.assert_array_equal(
        found, rows_of(YoloInference(networks[0], CONFIDENCE).detect(photo))
    )
    assert [p.name for p in tmp_path.iterdir()] == [name]


# --- the process around it -----------------------------------------------------------------------


@pytest.mark.slow
def test_detection_asks_no_network_and_leaves_nothing_in_the_home(networks, tmp_path) -> None:
    watched = Watched(tmp_path / "watched")
    photo = tmp_path / "a.png"
    Image.fromarray(coloured_photo((128, 128))).save(photo)
    for network in networks:
        done = run_step("detect", photo, "--detector", network, **watched.environment)
        assert done.returncode == 0, done.stderr
        assert "a.png:" in done.stdout
        assert all(line.startswith("detect: ") for line in done.stderr.splitlines())
    watched.check()


def test_pillow_stays_as_it_was(ultralytics) -> None:
    """Ultralytics puts an ``Image.open`` in place that wants to install packages."""
    assert Image.open.__module__ == "PIL.Image"


def test_a_process_with_tensorflow_is_refused(networks) -> None:
    code = """
import sys, types
sys.modules["tensorflow"] = types.ModuleType("tensorflow")
from footprints import YoloInference
try:
    YoloInference(sys.argv[1])
except RuntimeError as error:
    print(error)
print("torch" in sys.modules)
"""
    out = run_code(code, networks[0]).splitlines()
    assert "TensorFlow is loaded in this process" in out[0]
    assert out[1] == "False"


def test_importing_the_package_is_light() -> None:
    code = """
import sys
import footprints, footprints.detect, footprints.train_detector, footprints.cropping.crop_pool
heavy = {"torch", "ultralytics", "tensorflow", "cv2", "onnxruntime", "scipy", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    assert run_code(code).strip() == "[]"


@pytest.mark.slow
def test_a_pool_of_processes_finds_the_same(networks, tmp_path) -> None:
    from footprints.cropping.crop_pool import CropPool, Job
    from footprints.system.settings import Settings

    paths = []
    for n in range(4):
        paths.append(tmp_path / f"{n}.png")
        Image.fromarray(coloured_photo((128, 160), seed=n)).save(paths[-1])
    settings = Settings(conf_threshold=CONFIDENCE)
    detector = YoloInference.from_settings(networks[0], settings)
    with CropPool(networks[0], settings, 1) as pool:
        results = list(pool.map(Job(path) for path in paths))
    for path, result in zip(paths, results, strict=True):
        best, crop = detector.best_crop(path)
        assert result.box_xyxy == pytest.approx(best.box_xyxy, abs=1e-2)
        assert result.confidence == pytest.approx(best.confidence, abs=1e-4)
        assert np.abs(result.rgb.astype(int) - crop).max() <= 2
