"""Names in figures are shown as they are."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from footprints.scores import plots
from footprints.scores.look import svg_text
from footprints.scores.metrics import calibration_bins
from footprints.scores.plots import confusion_figure, curves_figure, figure_files

NAMES = [r"$\frac{$", "a_b^c", "=1+1", "\x1b[31mred", "écureuil"]


def test_no_name_is_mathematics(tmp_path) -> None:
    before = matplotlib_setting()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = figure_files(
            confusion_figure(np.eye(len(NAMES), dtype=int), NAMES, r"$\bad{ title")
        )
    (tmp_path / "a.png").write_bytes(written["png"])
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
    assert matplotlib_setting() == before, "a setting of the whole process was changed"


def matplotlib_setting() -> bool:
    import matplotlib

    return matplotlib.rcParams["text.parse_math"]


@pytest.mark.parametrize("phase", [r"$\frac{$", "head"])
def test_curves(phase: str) -> None:
    row = {"phase": phase, "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0}
    row |= {"val_accuracy": 0.5, "val_macro_f1": 0.5, "is_best": True}
    files = figure_files(curves_figure([row, row], r"$\frac{$"))
    assert files["png"][:4] == b"\x89PNG"
    assert r"$\frac{$" in list(ElementTree.fromstring(files["svg"]).itertext())


def words_of(figure) -> str:
    """Return all that is written in a figure, as its SVG has it."""
    return " ".join(ElementTree.fromstring(svg_text(figure, "a figure", "x-")).itertext())


def test_each_figure_says_what_it_shows() -> None:
    names = ["bear", "$fox$"]
    for figure, words in (
        (
            plots.confusion_figure(np.array([[3, 1], [0, 0]]), names, "which is which"),
            ("which is which", "bear (4)", "$fox$ (0)", "75%", "named as", "share of the true"),
        ),
        (
            plots.shares_figure(
                *(names, [0.75, None], [(0.3, 0.95), (None, None)], [4, 0]),
                title="by class",
                whole=0.75,
            ),
            ("by class", "bear (4)", "75%", "no photos", "all 75%", "95 % interval"),
        ),
        (
            plots.probabilities_figure([0.2, 0.9], 0.5, "how sure"),
            ("how sure", "unknown below 50%", "probability of the best class", "photos"),
        ),
        (plots.answers_figure(names, [4, 0], "answers"), ("answers", "$fox$", "number of photos")),
        (plots.detector_figure([1, 2], {"mAP50": [0.1, 0.2]}), ("mAP50", "epoch")),
    ):
        shown = words_of(figure)
        assert all(word in shown for word in words), shown


def test_points_of_a_reliability_diagram_are_shares_of_right_answers() -> None:
    bins = calibration_bins(np.array([0.85, 0.9, 0.31]), np.array([True, False, True]))
    figure = plots.reliability_figure(bins, "believed?")
    points = [
        line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"
    ]
    assert points == [[[pytest.approx(0.31), 1.0]], [[pytest.approx(0.875), 0.5]]]


def test_bins_count_answers_by_their_probability() -> None:
    bins = calibration_bins(np.array([0.5, 0.51, 1.0]), np.array([True, True, False]), n_bins=2)
    assert [(one.low, one.high, one.photos, one.right) for one in bins] == [
        (0.0, 0.5, 1, 1),  # a bin has its upper end
        (0.5, 1.0, 2, 1),
    ]
    assert bins[1].mean_probability == pytest.approx(0.755)
    (empty,) = calibration_bins(np.zeros(0), np.zeros(0, bool), n_bins=1)
    assert (empty.photos, np.isnan(empty.mean_probability)) == (0, True)


def test_a_single_epoch_is_number_1_alone():
    figure = plots.detector_figure([1], {"mAP50": [0.5]})
    (axes,) = figure.axes
    assert list(axes.get_xticks()) == [1]
    assert axes.get_xlim() == (0.5, 1.5)
