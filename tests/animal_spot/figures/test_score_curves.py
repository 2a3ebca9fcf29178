from __future__ import annotations

import numpy as np
import pytest

from animal_spot.figures.score_curves import ScoreCurvePanel, score_curves_figure

NO_CURVE, NO_BINS = np.empty((0, 4)), np.empty((0, 6))
CURVE = np.array([[0.2, 0.1, 0.05, 0.3], [0.8, 0.9, 0.7, 0.95]])
BINS = np.array([[0.2, 0.4, 0.25, 0.1, 0.5, 8], [0.6, 0.8, 1.0, 0.7, 1.0, 9]])


def lines_of(axes) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]


def test_a_panel_shows_curve_bins_and_thresholds():
    panel = ScoreCurvePanel("owl", CURVE, BINS, [(0.9, 0.8), (0.95, 0.85)])
    axes = score_curves_figure([panel], title="Owls").axes[0]
    lines = lines_of(axes)
    assert ([0.2, 0.8], [0.1, 0.9]) in lines
    assert ([0.2, 0.4], [0.25, 0.25]) in lines  # from the lowest to the highest score of the bin
    assert any(x == pytest.approx([0.3, 0.3]) and y == [0.1, 0.5] for x, y in lines)
    assert [x[0] for x, y in lines if y == [0, 1]] == [0.8, 0.85]
    assert {text.get_text() for text in axes.texts} == {"90%", "95%"}
    assert axes.get_title("left") == "owl"


def test_every_class_has_a_panel_also_without_anything_known():
    names = ["owl", "fox", "a\x1bb", "newt"]
    panels = [ScoreCurvePanel(name, NO_CURVE, NO_BINS) for name in names]
    figure = score_curves_figure(panels, title="")
    titles = [axes.get_title("left") for axes in figure.axes if axes.axison]
    assert titles == ["owl", "fox", "a\\x1bb", "newt"]
    assert all(not axes.lines for axes in figure.axes)
