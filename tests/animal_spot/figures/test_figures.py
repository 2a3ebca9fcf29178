"""Each figure says what its numbers are, shows them as given, and can be drawn of anything."""

from __future__ import annotations

import datetime
import itertools
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.metrics import confusion_matrix, roc_auc_score

from animal_spot.audio.picture_scale import picture_scale
from animal_spot.audio.signal_config import Pcen, SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.detections.calibration import before_and_after
from animal_spot.figures.activity import SiteDays, heat_map_figure
from animal_spot.figures.bars import accuracy_figure
from animal_spot.figures.confusion import confusion_figure
from animal_spot.figures.curves import (
    learning_figure,
    precision_recall_figure,
    roc_figure,
)
from animal_spot.figures.look import pixels, svg_text
from animal_spot.figures.reliability import reliability_figure
from animal_spot.figures.spectrogram import (
    Scale,
    SheetClip,
    Tile,
    grid_figure,
    sheet_figure,
    spectrogram_figure,
)

RNG = np.random.default_rng(0)
BAD = ["$x$", "<script>a(1)</script>"]
DAY = datetime.date(2024, 5, 1)
NOISE = RNG.random((30, 20))  # time, freq
SCALE = Scale(duration_s=1.3, f_min=500, f_max=10_000, level_name="level (dB)")
POINTS = [
    {"threshold": 0.2, "precision": 0.5, "recall": 1.0, "f1": 2 / 3},
    {"threshold": 0.6, "precision": 0.8, "recall": 0.8, "f1": 0.8},
    {"threshold": 0.9, "precision": None, "recall": 0.0, "f1": 0.0},
]
LOGITS = RNG.normal(size=(60, 3))
CALIBRATED = before_and_after(4 * LOGITS, RNG.integers(3, size=60), 2.0)

# Each with the words of its axes.
FIGURES = {
    "confusion": (
        lambda: confusion_figure(np.eye(2, dtype=int), BAD, title=BAD[0]),
        {"predicted class", "true class (number of clips)", "share of the true class"},
    ),
    "accuracy": (
        lambda: accuracy_figure(BAD, [0.5, None], [(0.2, 0.7), (0, 1)], [4, 0], title=BAD[0]),
        {"accuracy, with the 95 % interval", "class (clips)"},
    ),
    "precision and recall": (
        lambda: precision_recall_figure(
            {BAD[0]: POINTS, BAD[1]: []}, title=BAD[0], counts={BAD[0]: 5, BAD[1]: 0}
        ),
        {"recall: share of the events that are found"},
    ),
    "roc": (
        lambda: roc_figure(np.array([0, 1]), np.array([0.2, 0.7]), title=" ".join(BAD))[0],
        {"false positive rate: share of clips without a call"},
    ),
    "learning": (
        lambda: learning_figure(
            {"loss (nats)": {BAD[0]: [2.0, 1.0], BAD[1]: [2.0, math.nan]}},
            title="both",
            best_epoch=2,
        ),
        {"epoch", "loss (nats)", "best: 2"},
    ),
    "reliability": (
        lambda: reliability_figure({BAD[0]: CALIBRATED, BAD[1]: CALIBRATED}),
        {"probability of the answer", "share of right answers", "clips"},
    ),
    "spectrogram": (
        lambda: spectrogram_figure(NOISE, SCALE, title="\n".join(BAD)),
        {"time (s)", "frequency (kHz)", "level (dB)"},
    ),
    "grid": (
        lambda: grid_figure([Tile(name, NOISE, (0, 1)) for name in [*BAD, "c"]], SCALE, columns=2),
        {"time (s)", "frequency (kHz)"},
    ),
    "sheet": (
        lambda: sheet_figure(
            [SheetClip(title=BAD[0], seconds=1.0)], 8000, title=BAD[1], note="seconds", columns=2
        ),
        {"frequency (kHz)", "seconds"},
    ),
    "heat map": (
        lambda: heat_map_figure([SiteDays(BAD[0], np.ones((24, 1)))], [DAY], 1, title=BAD[1]),
        {"hour of the day", "detections per recorded hour"},
    ),
}


def words(figure: Figure) -> list[str]:
    root = ElementTree.fromstring(svg_text(figure, "a figure", "f-"))
    return ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]


@pytest.mark.parametrize("kind", FIGURES)
def test_axes_and_title_say_what_is_drawn_and_names_stay_text(kind):
    draw, wanted = FIGURES[kind]
    found = words(draw())
    assert wanted <= set(found)
    everything = "\n".join(found)
    for name in BAD:
        assert name in everything
    assert svg_text(draw(), "a", "f-") == svg_text(draw(), "a", "f-"), "the same bytes"


@pytest.mark.parametrize("kind", FIGURES)
def test_no_word_lies_on_another_or_is_cut(kind):
    """Titles, names of axes, ticks and notes; numbers within cells are of another test."""
    figure = FIGURES[kind][0]()
    pixels(figure)
    assert_words_are_apart(figure)


def assert_words_are_apart(figure: Figure):
    frame = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    for text, box in boxes:
        for low, high in ((frame.p0, box.p0), (box.p1, frame.p1)):
            assert (low - 2 < high).all(), f"{text!r} is cut"
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        up = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 2 or up < 2, f"{one!r} lies on {other!r}"


def drawn_texts(figure: Figure) -> list[Text]:
    titles = [figure._suptitle, figure._supxlabel, figure._supylabel]
    found = [*figure.texts, *(text for text in titles if text is not None)]
    for part in figure.subfigs:
        found += [*part.texts]
    for axes in figure.axes:
        found += axes.texts
        if not axes.axison:
            continue
        found += [axes.title, axes._left_title, axes._right_title]
        for axis in (axes.xaxis, axes.yaxis):
            found += [axis.label, axis.offsetText]
            found += [
                label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)
            ]
    return [text for text in dict.fromkeys(found) if text.get_visible() and text.get_text().strip()]


def test_confusion_shows_counts_and_shares_of_the_true_class():
    truth = [0] * 8 + [1] * 3
    counts = confusion_matrix(truth, [0] * 6 + [1] * 2 + [1] * 3)
    figure = confusion_figure(counts, ["ape", "bat"], title="a title")
    cells = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert cells == {(0, 0): "6\n75%", (1, 0): "2\n25%", (1, 1): "3\n100%"}
    assert {"ape (8)", "bat (3)", "ape", "a title"} <= set(words(figure))


@pytest.mark.parametrize("n", [1, 2, 12, 60])
def test_numbers_of_a_confusion_matrix_stay_in_their_cells(n):
    counts = RNG.integers(0, 500, (n, n))
    figure = confusion_figure(counts, [f"Species {i}" for i in range(n)], title="t")
    pixels(figure)
    axes = figure.axes[0]
    side = axes.bbox.width / n
    texts = axes.texts[:200]
    assert texts
    for text in texts:
        box = text.get_window_extent()
        assert max(box.width, box.height) <= side
    assert side / figure.dpi * 25.4 > 3, "mm"
    if n <= 12:
        assert min(text.get_fontsize() for text in texts) >= 5, "legible in print"


@pytest.mark.parametrize(
    ("numbers", "expected"), [("counts", "2"), ("shares", "25%"), ("shares", "<1%")]
)
def test_numbers_of_a_confusion_matrix_can_be_chosen(numbers, expected):
    counts = np.array([[6, 2], [1, 300]])
    figure = confusion_figure(counts, ["a", "b"], title="t", numbers=numbers)
    assert expected in [t.get_text() for t in figure.axes[0].texts]


def test_each_class_has_its_own_precision_recall_panel_with_the_best_f1():
    curves = {name: POINTS for name in "abcde"}
    figure = precision_recall_figure(curves, title="t", counts=dict.fromkeys("abcde", 5))
    pixels(figure)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title("left") for axes in panels] == [f"{name} (5)" for name in "abcde"]
    for one, other in itertools.combinations([axes.bbox for axes in panels], 2):
        assert not one.overlaps(other)
    for axes in panels:
        curve, best = axes.lines
        np.testing.assert_array_equal(curve.get_xydata(), [(1.0, 0.5), (0.8, 0.8)])
        np.testing.assert_array_equal(best.get_xydata(), [(0.8, 0.8)])
        assert "best F1 0.80\nat 0.6" in [t.get_text() for t in axes.texts]


def test_area_under_the_curve_is_that_of_scikit_learn_with_ties():
    labels, scores = RNG.integers(2, size=200), RNG.integers(10, size=200) / 10
    figure, area = roc_figure(labels, scores, title="t")
    assert area == pytest.approx(roc_auc_score(labels, scores))
    assert f"area under the curve {area:.3f}" in words(figure)


def test_area_is_undefined_when_a_class_is_absent():
    figure, area = roc_figure(np.ones(4), np.ones(4), title="t")
    assert math.isnan(area)
    assert "area undefined: a class is absent" in words(figure)


def test_classes_are_sorted_by_accuracy_and_none_is_no_accuracy():
    figure = accuracy_figure(
        ["low", "none", "high"],
        [0.25, None, 1.0],
        [(0.1, 0.5), (0, 1), (0.6, 1.0)],
        [4, 0, 7],
        title="t",
        whole=0.73,
    )
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["high (7)", "low (4)", "none (0)"]
    assert {"100%", "25%", "no clips", "all 73%"} == {t.get_text() for t in axes.texts}
    intervals = [tuple(line.get_xdata()) for line in axes.lines]
    assert {(0.6, 1.0), (0.1, 0.5)} <= set(intervals)
    assert (0, 1) not in intervals


def test_reliability_points_lie_at_confidence_and_accuracy():
    figure = reliability_figure({"val": CALIBRATED})
    above = figure.axes[0]
    after = [line for line in above.lines if line.get_marker() == "o"]
    wanted = [(b["confidence"], b["accuracy"]) for b in CALIBRATED["after"]["bins"] if b["clips"]]
    np.testing.assert_allclose(after[0].get_xydata(), wanted)
    error = CALIBRATED["before"]["expected_calibration_error"]
    assert f"before the temperature: calibration error {error:.1%}" in words(figure)


def test_a_tone_lies_at_its_second_and_kilohertz():
    """Of each spacing of frequencies: where the picture is brightest, by its own axes."""
    signal = SignalConfig(n_fft=1024, hop_length=128, n_freq_bins=64, fmin=500, fmax=8000, sr=22050)
    at = np.arange(22050) / 22050
    tone = np.where((at > 0.4) & (at < 0.6), np.sin(2 * np.pi * 3000 * at), 0) * 0.5
    import torch

    for spacing in ("linear", "mel"):
        config = SignalConfig(**{**vars(signal), "freq_compression": spacing})
        features = SpectrogramPipeline(config).features(torch.tensor(tone)[None].float())[0].numpy()
        scale = picture_scale(config, len(features))
        axes = spectrogram_figure(features, scale, title="t").axes[0]
        image = axes.images[0]
        column, row = np.unravel_index(features.argmax(), features.shape)
        left, right, bottom, top = image.get_extent()
        seconds = left + (column + 0.5) / features.shape[0] * (right - left)
        height = bottom + (row + 0.5) / features.shape[1] * (top - bottom)
        if spacing == "mel":
            ticks = [float(label.get_text()) for label in axes.get_yticklabels()]
            height = np.interp(height, axes.get_yticks(), ticks)
        assert 0.38 < seconds < 0.62
        assert height == pytest.approx(3.0, abs=0.2)
        low, high = image.get_clim()
        assert high == pytest.approx(features.max() * 100 - 80), "dB, as in the signal path"
        assert low >= -80


@pytest.mark.parametrize(
    ("changes", "unit"),
    [
        ({}, "level (dB)"),
        ({"min_max_norm": True}, "level (0 to 1 in the clip)"),
        ({"pcen": Pcen()}, "PCEN energy (no unit)"),
        ({"freq_compression": "mfcc"}, "coefficient (no unit)"),
    ],
)
def test_level_has_a_unit(changes, unit):
    scale = picture_scale(SignalConfig(**changes), 128)
    figure = spectrogram_figure(NOISE, scale, title="t")
    pixels(figure)
    assert_words_are_apart(figure)
    assert scale.level_name == unit
    assert scale.duration_s == pytest.approx(1.28)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda: confusion_figure(np.zeros((3, 3), int), "abc", title="t"), id="cm"),
        pytest.param(lambda: precision_recall_figure({}, title="t"), id="pr"),
        pytest.param(lambda: accuracy_figure([], [], [], [], title="t"), id="accuracy"),
        pytest.param(lambda: learning_figure({}, title="t"), id="learning"),
        pytest.param(
            lambda: spectrogram_figure(np.full((4, 3), 0.5), SCALE, title="t"), id="constant"
        ),
    ],
)
def test_nothing_can_be_drawn(draw):
    assert min(pixels(draw()).shape[:2]) > 100


def test_long_names_leave_room_for_the_bars():
    names = ["Phylloscopus_collybita_song", "Lagenorhynchus_albirostris_whistle", "wide" * 9]
    figure = accuracy_figure(names, [0.5] * 3, [(0.2, 0.7)] * 3, [9] * 3, title="t")
    pixels(figure)
    assert_words_are_apart(figure)
    assert 0.35 < figure.axes[0].get_position().width < 0.7  # of the figure
