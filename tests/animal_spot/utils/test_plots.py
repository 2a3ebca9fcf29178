from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from animal_spot.utils.plots import caption, confusion_figure, roc_figure, spectrogram_image


def test_area_under_the_curve_is_that_of_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(2, size=200))
    scores = torch.from_numpy(rng.integers(10, size=200) / 10)
    figure, area = roc_figure(labels, scores)
    assert area == pytest.approx(roc_auc_score(labels, scores))
    legend = figure.axes[0].get_legend().get_texts()[0].get_text()
    assert legend == f"AUC {area:.3f}"


def test_area_is_undefined_when_a_class_is_absent():
    figure, area = roc_figure(torch.ones(4, dtype=torch.long), torch.rand(4))
    assert math.isnan(area)
    assert "undefined" in figure.axes[0].get_legend().get_texts()[0].get_text()


@pytest.mark.parametrize(
    ("number_format", "expected"),
    [
        pytest.param("{:.0f}", ["3", "1", "0", "4"], id="counts"),
        pytest.param(None, [], id="no-numbers"),
    ],
)
def test_confusion_figure_names_classes_and_numbers_cells(number_format, expected):
    figure = confusion_figure(torch.tensor([[3.0, 1.0], [0.0, 4.0]]), ["ape", "bat"], number_format)
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["ape", "bat"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ape", "bat"]
    assert [t.get_text() for t in axes.texts] == expected


def test_confusion_figure_of_nothing_can_be_drawn():
    confusion_figure(torch.zeros(3, 3), ["a", "b", "c"], "{:.1f}").canvas.draw()


def test_spectrogram_is_drawn_with_low_frequencies_below():
    features = torch.zeros(1, 20, 8)
    features[0, 5, 0] = 1.0  # a peak at frame 5 in the lowest band
    image = spectrogram_image(features)
    assert image.shape == (8, 20, 3)
    assert image.dtype == np.uint8
    brightest = np.unravel_index(image.astype(int).sum(-1).argmax(), image.shape[:2])
    assert tuple(map(int, brightest)) == (7, 5)


def test_constant_spectrogram_can_be_drawn():
    assert spectrogram_image(torch.full((1, 4, 3), 0.5)).shape == (3, 4, 3)


@pytest.mark.parametrize("text", ["name.wav\ntrue as false", "ключ, écho, 鲸"])
def test_caption_lies_under_the_unchanged_picture(text):
    image = np.full((16, 300, 3), 7, np.uint8)
    picture = caption(image, text)
    assert picture.shape[0] == 16 + 13 * len(text.split("\n"))
    np.testing.assert_array_equal(picture[:16, :300], image)
    assert (picture[16:] < 128).any(), "no letter was drawn"


def test_narrow_picture_is_widened_for_its_caption():
    image = np.zeros((16, 10, 3), np.uint8)
    assert caption(image, "a text wider than ten pixels").shape[1] > 100
