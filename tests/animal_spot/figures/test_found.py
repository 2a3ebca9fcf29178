import math

import numpy as np
import pytest

from animal_spot.figures.found import Places, rates_over, score_histograms, some_ticks
from animal_spot.figures.look import png_bytes


def grey_spans(panel) -> list[tuple[float, float]]:
    return [(p.get_x(), p.get_x() + p.get_width()) for p in panel.patches if hasattr(p, "get_x")]


def test_bars_are_the_rates_and_grey_is_where_nothing_was_recorded():
    rates = {
        "owl": np.array([math.nan, 2.0, 0.0, math.nan, math.nan, 5.0]),
        "cost $1_000$": np.array([math.nan, 0.0, 0.0, math.nan, math.nan, 0.0]),
    }
    hours = np.array([0, 1.0, 1.0, 0, 0, 0.5])
    figure = rates_over(rates, hours, Places("hour", [(0, "0"), (3, "3")]), "calls an hour")
    owl, cost, recorded = figure.axes
    stairs = next(p for p in owl.patches if not hasattr(p, "get_x"))
    assert stairs.get_data().values.tolist() == [0, 2, 0, 0, 0, 5]
    assert grey_spans(owl) == grey_spans(cost) == [(-0.5, 0.5), (2.5, 4.5)]
    assert grey_spans(recorded) == []
    assert owl.get_title("left") == "owl"
    assert [text.get_text() for text in recorded.get_xticklabels()] == ["0", "3"]
    assert len(png_bytes(figure)) > 5000  # a dollar sign is no formula


@pytest.mark.parametrize("n", [1, 3, 5])
def test_histograms_count_all_scores_and_show_the_threshold(n):
    scores = {f"K{i}": np.linspace(0.5, 1, 10 + i) for i in range(n)}
    figure = score_histograms(scores, {"K0": 0.625})
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert len(panels) == n
    for i, panel in enumerate(panels):
        bars = panel.containers[0]
        assert sum(bar.get_height() for bar in bars) == 10 + i
        assert all(bar.get_height() == 0 for bar in bars if bar.get_x() < 0.49)
    (line,) = panels[0].lines
    assert set(line.get_xdata()) == {0.625}
    assert "0.625" in panels[0].get_title("right")
    assert not panels[-1].lines or n == 1


def test_ticks_are_few():
    assert some_ticks(["a", "b", "c", "d", "e"], 2) == [(0, "a"), (3, "d")]
    assert len(some_ticks([str(i) for i in range(1000)], 9)) <= 9
