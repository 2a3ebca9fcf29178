from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprints.pictures.boxes import (
    Detection,
    make_detections,
    overlaps,
    ranked,
    suppress_overlaps,
)
from footprints.pictures.crops import (
    best_crop_of,
    centre_box,
    crop_of,
    cut,
    square_box,
    whole,
    whole_box,
)
from footprints.system.settings import Settings
from tests.helpers.detector import GREEN, RED, photo_with_square


def found(box, confidence: float) -> Detection:
    area = (box[2] - box[0]) * (box[3] - box[1])
    return Detection(tuple(map(float, box)), confidence, float(area), confidence, "footprint")


# --- which one is best ---------------------------------------------------------------------------

VAGUE = ((0, 0, 640, 640), 0.25)
SHARP = ((245, 245, 395, 395), 0.95)


def best(ranking: str, *pairs) -> Detection:
    boxes, confidences = zip(*pairs, strict=True)
    return make_detections(boxes, confidences, ["print"] * len(boxes), (640, 640), ranking)[0]


@pytest.mark.parametrize("pairs", [(VAGUE, SHARP), (SHARP, VAGUE)], ids=["vague-first", "last"])
def test_a_sharp_print_beats_a_huge_vague_box(pairs) -> None:
    first = best("confidence", *pairs)
    assert first.box_xyxy == (245, 245, 395, 395)
    assert first.score == first.confidence == 0.95
    assert first.area == 150 * 150


def test_area_times_confidence_prefers_the_huge_vague_box() -> None:
    first = best("area_confidence", SHARP, VAGUE)
    assert first.box_xyxy == (0, 0, 640, 640)
    assert first.score == 640 * 640 * 0.25  # 102400, the sharp one has 21375


def test_ties_go_to_the_larger_then_to_the_one_in_the_middle() -> None:
    small, large = ((300, 300, 340, 340), 0.803), ((0, 0, 50, 50), 0.798)  # both 0.80
    assert best("confidence", small, large).box_xyxy == (0, 0, 50, 50)
    corner, middle = ((0, 0, 40, 40), 0.8), ((300, 300, 340, 340), 0.8)
    assert best("confidence", corner, middle).box_xyxy == (300, 300, 340, 340)


def test_the_order_does_not_depend_on_the_order_given() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 300, (30, 2))
    sizes = rng.choice([20, 40], (30, 2))
    many = [
        found((*corner, *(corner + size)), float(sure))
        for corner, size, sure in zip(
            corners, sizes, rng.choice([0.5, 0.504, 0.9], 30), strict=True
        )
    ]
    once = ranked(many, (400, 400))
    assert ranked(many[::-1], (400, 400)) == once


def test_boxes_are_clipped_and_empty_ones_dropped() -> None:
    boxes = [(-10, -5, 50, 40), (700, 10, 800, 40), (10, 10, 10, 30), (np.nan, 0, 5, 5)]
    kept = make_detections(boxes, [0.5] * 4, ["a"] * 4, (100, 200))
    assert [one.box_xyxy for one in kept] == [(0, 0, 50, 40)]


def test_an_unknown_ranking_is_refused() -> None:
    with pytest.raises(ValueError, match="area_confidence"):
        make_detections([], [], [], (10, 10), "size")


# --- overlap and suppression ---------------------------------------------------------------------


def test_overlaps_agree_with_hand_values() -> None:
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [5, 5, 15, 15]])
    # 50 / 150, touching only, 25 / 175
    np.testing.assert_allclose(overlaps(box, others), [1, 1 / 3, 0, 1 / 7])


def test_suppression_keeps_the_surest_of_each_heap_and_class() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    confidences = np.array([0.6, 0.9, 0.8, 0.3])
    classes = np.array([0, 0, 1, 0])
    # Boxes 0 and 1 overlap by 90 / 110; box 2 is of another class.
    assert suppress_overlaps(boxes, confidences, classes, 0.45).tolist() == [1, 2, 3]
    assert suppress_overlaps(boxes, confidences, classes, 0.85).tolist() == [1, 2, 0, 3]


def test_suppression_of_nothing_is_nothing() -> None:
    assert suppress_overlaps(np.zeros((0, 4)), np.zeros(0), np.zeros(0), 0.5).tolist() == []


# --- squares -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "shape", "margin", "min_side", "expected"),
    [
        pytest.param((40, 40, 60, 60), (100, 100), 0, 1, (40, 40, 60, 60), id="as-it-is"),
        pytest.param((40, 30, 60, 70), (100, 100), 0, 1, (30, 30, 70, 70), id="wider"),
        pytest.param((40, 40, 60, 60), (100, 100), 0.1, 1, (38, 38, 62, 62), id="margin"),
        pytest.param((40, 30, 60, 70), (100, 100), 0.25, 1, (20, 20, 80, 80), id="of-longer-side"),
        pytest.param((45, 45, 55, 55), (100, 100), 0.1, 64, (18, 18, 82, 82), id="least-side"),
        pytest.param((0, 0, 20, 20), (100, 100), 0.5, 1, (0, 0, 40, 40), id="moved-in-top-left"),
        pytest.param((90, 80, 100, 100), (100, 100), 0, 1, (80, 80, 100, 100), id="moved-in-right"),
        pytest.param((10, 10, 90, 90), (100, 100), 0.5, 1, (0, 0, 100, 100), id="less-margin"),
        pytest.param((40, 5, 60, 25), (30, 100), 0, 64, (35, 0, 65, 30), id="no-room-for-least"),
        pytest.param((0, 0, 100, 40), (40, 100), 0.1, 1, (0, -30, 100, 70), id="sticks-out-evenly"),
        pytest.param((10, 0, 90, 40), (41, 100), 0, 1, (10, -19, 90, 61), id="odd-by-one-more"),
        pytest.param((-50, 40, 20, 60), (100, 100), 0, 1, (0, 40, 20, 60), id="clipped-first"),
    ],
)
def test_square_box_agrees_with_hand_values(box, shape, margin, min_side, expected) -> None:
    assert square_box(box, shape, margin, min_side) == expected


lengths = st.integers(16, 400)
parts = st.floats(0, 1)


@given(lengths, lengths, parts, parts, parts, parts, st.floats(0, 2), st.integers(1, 200))
def test_squares_are_square_and_hold_the_print(h, w, a, b, c, d, margin, min_side) -> None:
    x1, x2 = sorted((a * w, b * w))
    y1, y2 = sorted((c * h, d * h))
    if x2 - x1 < 1 or y2 - y1 < 1:
        return
    square = square_box((x1, y1, x2, y2), (h, w), margin, min_side)
    side = square[2] - square[0]
    assert side == square[3] - square[1]
    assert all(edge == int(edge) for edge in square)
    longer, shorter_side = max(x2 - x1, y2 - y1), min(h, w)
    # The print is inside, to within the rounding to whole pixels.
    assert square[0] <= x1 + 1
    assert square[1] <= y1 + 1
    assert square[2] >= x2 - 1
    assert square[3] >= y2 - 1
    if longer <= shorter_side:
        assert square[0] >= 0
        assert square[1] >= 0
        assert square[2] <= w
        assert square[3] <= h
        assert side >= round(min(longer * (1 + 2 * margin), shorter_side)) - 1
        assert side >= min(min_side, shorter_side)
    else:
        assert side == round(longer)
    crop = cut(np.zeros((h, w, 3), np.uint8), square, 32)
    assert crop.shape == (32, 32, 3)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (200, 0, 300, 50), (9, 9, 5, 5)])
def test_a_box_without_area_in_the_photo_is_refused(box) -> None:
    with pytest.raises(ValueError, match="no area"):
        square_box(box, (100, 100), 0.1, 32)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((100, 100), (0, 0, 100, 100)), ((60, 100), (20, 0, 80, 60)), ((101, 50), (0, 25, 50, 75))],
)
def test_centre_box(shape, expected) -> None:
    assert centre_box(shape) == expected


# --- cutting -------------------------------------------------------------------------------------


def test_a_crop_of_the_size_asked_for_is_the_pixels_themselves() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    before = photo.copy()
    crop = cut(photo, (30.0, 20.0, 94.0, 84.0), 64)
    np.testing.assert_array_equal(crop, photo[20:84, 30:94])
    crop[:] = 0
    np.testing.assert_array_equal(photo, before)


def test_what_sticks_out_is_mirrored() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    crop = cut(photo, (0.0, -10.0, 40.0, 30.0), 40)
    np.testing.assert_array_equal(crop[10:30], photo)
    np.testing.assert_array_equal(crop[:10], photo[:10][::-1])
    np.testing.assert_array_equal(crop[30:], photo[10:][::-1])


def test_a_very_long_photo_is_mirrored_more_than_once() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (16, 320, 3), dtype=np.uint8)
    crop = cut(photo, whole_box(photo.shape), 320)
    assert crop.shape == (320, 320, 3)
    np.testing.assert_array_equal(crop[152:168], photo)
    np.testing.assert_array_equal(crop[168:184], photo[::-1])
    np.testing.assert_array_equal(crop[184:200], photo)


@pytest.mark.parametrize("shape", [(120, 200), (200, 120), (64, 64), (300, 40)])
def test_nothing_is_stretched(shape) -> None:
    """A circle stays a circle, in a crop and in a whole photo."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    radius = min(shape) / 4
    disc = (y + 0.5 - height / 2) ** 2 + (x + 0.5 - width / 2) ** 2 < radius**2
    photo = np.where(disc[..., None], 0, 255).astype(np.uint8).repeat(3, axis=2)
    for crop in (whole(photo, 224), cut(photo, centre_box(shape), 224)):
        dark = crop[:, :, 0] < 128
        # From the middle to the first light pixel: mirrored discs may follow.
        reach = [np.argmin(ray) for ray in (dark[112:, 112], dark[112, 112:], dark[111::-1, 112])]
        assert max(reach) - min(reach) <= 1
        assert min(reach) > 5


def test_resizing_does_not_alias() -> None:
    """A fine chequerboard becomes even grey, not a pattern: its mean is 127.5."""
    y, x = np.mgrid[:900, :900]
    photo = (((x + y) % 2) * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    crop = cut(photo, (0, 0, 900, 900), 100)
    assert np.abs(crop[2:-2, 2:-2].astype(int) - 127.5).max() <= 2


def test_a_box_beside_the_photo_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        cut(np.zeros((50, 50, 3), np.uint8), (60.0, 0.0, 80.0, 20.0), 32)


# --- the best crop -------------------------------------------------------------------------------


def test_the_best_crop_is_where_the_print_is() -> None:
    photo = photo_with_square((300, 400), (200, 100, 280, 180), RED, marker=(200, 100, 210, 110))
    crop = best_crop_of(photo, [found((200, 100, 280, 180), 0.9)], Settings(margin=0.0))
    assert (crop.fallback, crop.confidence) == (False, 0.9)
    assert crop.box_xyxy == crop.crop_xyxy == (200, 100, 280, 180)
    assert crop.rgb.shape == (224, 224, 3)
    assert crop.rgb.dtype == np.uint8
    np.testing.assert_array_equal(crop.rgb[8, 8], GREEN)  # the upper left corner
    np.testing.assert_array_equal(crop.rgb[-8, -8], RED)


def test_without_a_print_the_centre_is_taken_and_flagged() -> None:
    photo = photo_with_square((100, 300), (100, 0, 200, 100), RED)
    for detections in ([], [found((0, 0, 20, 20), 0.1)]):  # below conf_threshold
        crop = best_crop_of(photo, detections, Settings())
        assert (crop.fallback, crop.confidence) == (True, None)
        assert crop.box_xyxy == (100, 0, 200, 100)
        np.testing.assert_array_equal(crop.rgb, np.broadcast_to(RED, (224, 224, 3)))


def test_a_tiny_print_is_not_blown_up() -> None:
    """The original used crops down to 30 pixels; here at least min_crop_side are taken."""
    photo = np.zeros((400, 400, 3), np.uint8)
    crop = crop_of(photo, found((100, 100, 110, 110), 0.9), Settings(min_crop_side=64))
    assert crop.crop_xyxy == (73, 73, 137, 137)


def test_size_and_ranking_follow_the_settings() -> None:
    photo = np.zeros((640, 640, 3), np.uint8)
    both = [found(*VAGUE), found(*SHARP)]
    assert best_crop_of(photo, both, Settings(image_size=96)).rgb.shape == (96, 96, 3)
    assert best_crop_of(photo, both, Settings()).confidence == 0.95
    by_area = Settings(ranking="area_confidence")
    assert best_crop_of(photo, both, by_area).confidence == 0.25


def test_an_even_photo_is_rounded_alike_everywhere() -> None:
    whole_square = whole_box((100, 60))
    assert whole_square == (-20, 0, 80, 100)
