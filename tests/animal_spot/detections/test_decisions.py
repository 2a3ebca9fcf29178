"""What a window is, against hand-worked cases and the rule of the original."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from animal_spot.detections.decisions import DecisionRule, Decisions, Thresholds, winner_and_score

MARGIN = 0.02
# float32 rounds differences of probabilities to 6e-8; the promise is for errors below the margin.
WITHIN = MARGIN - 1e-6


def rule_of(threshold: float | list[float], n_classes: int) -> DecisionRule:
    """Return a rule of classes A, B ... with one threshold, or one for each."""
    names = tuple("ABCDE"[:n_classes])
    if isinstance(threshold, float):
        return DecisionRule(names, Thresholds(threshold))
    return DecisionRule(names, Thresholds(0.5, dict(zip(names, threshold, strict=True))))


def decided(probabilities, names, thresholds=None) -> tuple[DecisionRule, Decisions]:
    noise = next((name for name in names if name in ("noise", "Noise")), None)
    rule = DecisionRule(tuple(names), thresholds or Thresholds(), noise)
    return rule, rule.decide(np.array(probabilities, dtype=float))


def labels(rule: DecisionRule, decisions: Decisions) -> list[str | None]:
    """Return what annotations call each window; None for noise and for nothing."""
    calls = decisions.counts & ~decisions.is_noise
    return [rule.names[k] if c else None for k, c in zip(decisions.label, calls, strict=True)]


# -- tables of windows ----------------------------------------------------------------------------


def test_winner_is_the_first_of_equals():
    winner, score = winner_and_score(np.array([[0.2, 0.4, 0.4], [1.0, 0.0, 0.0]]))
    assert winner.tolist() == [1, 0]
    assert score.tolist() == [0.4, 1.0]


def test_windows_are_decided_by_the_threshold_of_the_class_that_won():
    p = np.float32([[0.6, 0.4, 0.0], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6]])
    found, winner, _ = rule_of([0.7, 0.35, 0.5], 3).decide(p).in_tables
    assert found.tolist() == [False, True, True]
    assert winner.tolist() == [0, 1, 2]
    found, winner, score = rule_of([0.99, 0.3], 2).decide(np.float32([[0.6, 0.4], [0.9, 0.1]]))[:3]
    assert found.tolist() == [True, False]
    assert winner.tolist() == [1, 0]
    assert score.tolist() == [float(np.float32(0.4)), float(np.float32(0.1))]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("threshold", "reached"), [(0.5, True), (0.55, True), (0.7, False)])
def test_probabilities_of_32_bits_are_compared_in_64(threshold, reached, n_classes):
    """In 32 bits 0.55 is 0.55000001, and 0.7 is 0.69999999."""
    p = np.float32([[1 - threshold, threshold, 0][:n_classes]])
    decisions = rule_of(threshold, n_classes).decide(p)
    assert decisions.is_detection.tolist() == [reached]
    assert decisions.score.dtype == np.float64


def test_tables_know_no_noise():
    """The original tests class 1 of two, whatever it is called; annotations know better."""
    rule = DecisionRule(("call", "noise"), Thresholds(0.3), "noise")
    decisions = rule.decide(np.array([[0.6, 0.4], [0.9, 0.1]]))
    assert decisions.is_detection.tolist() == [True, False]
    assert decisions.winner.tolist() == [1, 0]
    assert labels(rule, decisions) == ["call", "call"]


# -- annotations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        pytest.param(Thresholds(0.5), ["A", "B", None, None], id="one"),
        pytest.param(Thresholds(0.6), ["A", None, None, None], id="inclusive"),
        pytest.param(Thresholds(0.6, {"B": 0.5}), ["A", "B", None, None], id="lower-for-one"),
        pytest.param(Thresholds(0.1, {"A": 0.7}), [None, "B", "B", None], id="higher-for-one"),
    ],
)
def test_thresholds_with_several_classes(thresholds, expected):
    p = [[0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8]]
    rule, decisions = decided(p, ["A", "B", "Noise"], thresholds)
    assert labels(rule, decisions) == expected
    assert decisions.probability.tolist() == [0.6, 0.5, 0.4, 0.8]
    assert decisions.is_noise.tolist() == [False, False, False, True]


def test_noise_below_the_threshold_does_not_count():
    _, decisions = decided([[0.3, 0.3, 0.4]], ["A", "B", "noise"])
    assert not decisions.counts.any()
    assert not decisions.is_noise.any()


@pytest.mark.parametrize(
    ("names", "thresholds", "expected"),
    [
        pytest.param(
            ["noise", "target"],
            Thresholds(0.3),
            [("target", 0.9), ("target", 0.4), (None, 0.9)],
            id="target",
        ),
        pytest.param(
            ["noise", "target"],
            Thresholds(0.3, {"target": 0.5}),
            [("target", 0.9), (None, 0.6), (None, 0.9)],
            id="of-one-class",
        ),
        pytest.param(
            ["call", "noise"],
            Thresholds(0.3),
            [(None, 0.9), ("call", 0.6), ("call", 0.9)],
            id="noise-is-second",
        ),
        pytest.param(
            ["A", "B"], Thresholds(0.5), [("B", 0.9), ("A", 0.6), ("A", 0.9)], id="no-noise"
        ),
        pytest.param(
            ["A", "B"],
            Thresholds(0.5, {"A": 0.7}),
            [("B", 0.9), (None, 0.6), ("A", 0.9)],
            id="no-noise-own-threshold",
        ),
    ],
)
def test_thresholds_with_two_classes(names, thresholds, expected):
    rule, decisions = decided([[0.1, 0.9], [0.6, 0.4], [0.9, 0.1]], names, thresholds)
    found = zip(labels(rule, decisions), decisions.probability, strict=True)
    assert [(name, pytest.approx(p)) for name, p in found] == expected


# -- close decisions ------------------------------------------------------------------------------


@st.composite
def two_arithmetics(draw):
    """Probabilities of a window in fp32, and in an arithmetic that is off by up to the margin."""
    n = draw(st.integers(2, 5))
    # Coarse numbers make ties and values right at the threshold likely.
    weights = draw(arrays(np.int64, n, elements=st.integers(0, 50)))
    exact = (weights + 1) / (weights + 1).sum()
    error = draw(arrays(np.float64, n, elements=st.floats(-WITHIN, WITHIN)))
    other = np.clip(exact + error, 0, 1)
    if n == 2:
        other[0] = 1 - other[1]
    threshold = draw(
        st.one_of(
            st.sampled_from([0.5, 0.6, 0.75]),
            st.floats(0, 1),
            st.sampled_from(list(exact)).map(float),
        )
    )
    return exact.astype(np.float32), other.astype(np.float32), threshold


def decision(probabilities, threshold):
    """Reference 06 section 3."""
    if len(probabilities) == 2:
        return bool(probabilities[1] >= threshold)
    winner = int(probabilities.argmax())
    return winner if probabilities[winner] >= threshold else None


@given(two_arithmetics())
def test_what_an_error_could_decide_otherwise_is_undecided(case):
    exact, other, threshold = case
    if np.abs(exact - other).max() <= WITHIN and decision(exact, threshold) != decision(
        other, threshold
    ):
        assert rule_of(threshold, len(exact)).undecided(other[None], MARGIN)[0]


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        pytest.param([0.2, 0.8], False, id="clear"),
        pytest.param([0.51, 0.49], True, id="near-the-threshold"),
        pytest.param([0.9, 0.05, 0.05], False, id="clear-of-three"),
        pytest.param([0.45, 0.44, 0.11], False, id="rivals-below-the-threshold"),
        pytest.param([0.3, 0.51, 0.19], True, id="winner-near-the-threshold"),
    ],
)
def test_undecided_by_hand(probabilities, expected):
    rule = rule_of(0.5, len(probabilities))
    assert rule.undecided(np.float32([probabilities]), MARGIN)[0] == expected


def test_decided_windows_stay_so_under_any_rounding():
    """Errors below the margin in each class change nothing in windows that are not undecided."""
    rng = np.random.default_rng(5)
    for n_classes in (2, 3, 5):
        p = rng.dirichlet(np.ones(n_classes), 4000)
        rule = rule_of(rng.uniform(0.2, 0.9, n_classes).tolist(), n_classes)
        open_ones = rule.undecided(p, MARGIN)
        assert 0 < open_ones.sum() < len(p)
        other = p + rng.uniform(-MARGIN, MARGIN, p.shape)
        if n_classes == 2:
            other[:, 0] = 1 - other[:, 1]
        found, winner, _ = rule.decide(p).in_tables
        again, winner_again, _ = rule.decide(other).in_tables
        same = np.where(found, winner, -1) == np.where(again, winner_again, -1)
        assert same[~open_ones].all()
        assert not same.all(), "no window was near a threshold"


@pytest.mark.parametrize("names", [("call", "noise"), ("noise", "target"), ("A", "B")])
@given(
    score=st.floats(0, 1, width=32),
    error=st.floats(-WITHIN, WITHIN),
    limits=st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)),
    own=st.booleans(),
)
@example(score=0.195, error=0.01, limits=(0.8, 0.8), own=False)
@example(score=0.395, error=0.01, limits=(0.6, 0.9), own=True)
@example(score=0.695, error=0.01, limits=(0.5, 0.7), own=True)
def test_of_two_classes_what_an_error_could_annotate_otherwise_is_undecided(
    names, score, error, limits, own
):
    """Also where noise is class 1, and where class 0 has a threshold of its own."""
    by_class = dict(zip(names, limits, strict=True)) if own else {}
    thresholds = Thresholds(limits[0], by_class)
    other = float(np.clip(score + error, 0, 1))
    pair = np.array([[1 - score, score], [1 - other, other]])
    rule, said = decided(pair, names, thresholds)
    same = labels(rule, said)
    if same[0] != same[1] or said.is_detection[0] != said.is_detection[1]:
        assert rule.undecided(pair[:1], MARGIN)[0]
