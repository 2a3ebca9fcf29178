"""Species, group or unknown, with and without a region: worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from footprints.scores.answer_counts import answer_counts
from footprints.scores.groups import Groups
from footprints.scores.judging import Rules, judge
from footprints.scores.region import Region

CLASSES = ("bear", "cat", "dog", "fox", "wolf")
GROUPS = Groups({"canids": ("dog", "fox", "wolf")}, 0.75)
RULES = Rules(CLASSES, threshold=0.5, top_k=2, groups=GROUPS)
NO_WOLVES = Region(np.array([1.0, 1, 1, 1, 0]), "list")


@pytest.mark.parametrize(
    ("probabilities", "answer", "level", "probability"),
    [
        pytest.param([0.1, 0.1, 0.6, 0.1, 0.1], "dog", "species", 0.6, id="species-first"),
        pytest.param([0.1, 0.07, 0.43, 0.2, 0.2], "canids", "group", 0.83, id="group"),
        pytest.param([0.2, 0.1, 0.3, 0.2, 0.2], "unknown", "unknown", 0.3, id="neither"),
        pytest.param([0.45, 0.25, 0.1, 0.1, 0.1], "unknown", "unknown", 0.45, id="no-group"),
    ],
)
def test_levels(probabilities, answer, level, probability):
    found = judge(np.array(probabilities), RULES)
    assert (found.answer, found.level) == (answer, level)
    assert found.probability == pytest.approx(probability)
    assert found.without_region is None


def test_a_large_group_must_be_above_its_chance():
    """Three of five classes have 0.6 by chance: 0.65 says nothing, whatever the threshold."""
    low = replace(RULES, groups=Groups(GROUPS.members, 0.1))
    assert judge(np.array([0.2, 0.15, 0.25, 0.2, 0.2]), low).answer == "unknown"
    assert judge(np.array([0.14, 0.14, 0.24, 0.24, 0.24]), low).answer == "canids"


@pytest.mark.parametrize(
    ("probabilities", "answer", "without"),
    [
        pytest.param([0.05, 0.05, 0.3, 0.05, 0.55], "dog", "wolf", id="another-name"),
        pytest.param([0.1, 0.07, 0.43, 0.1, 0.3], "dog", "canids", id="group-becomes-species"),
        pytest.param([0.05, 0.05, 0.8, 0.05, 0.05], "dog", None, id="no-change"),
        pytest.param([0.2, 0.1, 0.3, 0.1, 0.3], "unknown", None, id="unknown-stays-unknown"),
        pytest.param([0.01, 0.0, 0.03, 0.0, 0.96], "canids", "wolf", id="one-of-its-group"),
    ],
)
def test_a_region_chooses_among_what_the_picture_may_show(probabilities, answer, without):
    found = judge(np.array(probabilities), replace(RULES, region=NO_WOLVES))
    assert (found.answer, found.without_region) == (answer, without)
    assert "wolf" not in [name for name, _ in found.ranking[:1]]


def test_what_the_picture_speaks_against_is_not_named():
    """A clear wolf where there are none: the dog, least improbable of the others, is below chance.

    A probability of 0.25 would do."""
    rules = replace(RULES, groups=Groups(), region=NO_WOLVES)
    found = judge(np.array([0.01, 0.0, 0.03, 0.0, 0.96]), rules)
    assert (found.answer, found.without_region) == ("unknown", "wolf")
    assert judge(np.array([0.01, 0.0, 0.25, 0.0, 0.74]), rules).answer == "dog"


def test_counts_of_answers():
    rows = [
        [0.1, 0.1, 0.6, 0.1, 0.1],  # dog
        [0.1, 0.07, 0.43, 0.2, 0.2],  # canids
        [0.1, 0.07, 0.43, 0.2, 0.2],
        [0.2, 0.1, 0.3, 0.2, 0.2],  # unknown
    ]
    found = [judge(np.array(row), RULES) for row in rows]
    counts = answer_counts(found, np.array([4, 4, 0, 2]), RULES)
    photos = {kind: one["photos"] for kind, one in counts.items()}
    assert photos == {
        "right_species": 0,
        "right_group": 1,
        "wrong_species": 1,
        "wrong_group": 1,
        "unknown": 1,
    }
