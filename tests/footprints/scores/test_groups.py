"""Groups: the table in the package, tables of users, sums, thresholds; all figures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from footprints.network.model_facts import checked_facts
from footprints.scores.groups import (
    Groups,
    choose_group_threshold,
    group_probabilities,
    groups_named,
    groups_of,
    warn_of_other_names,
)
from footprints.system.errors import UserError

CLASSES = ("bear", "cat", "dog", "wolf")
CANIDS = Groups({"canids": ("dog", "wolf")})


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        pytest.param(
            ("blackbear", "ours", "American mink", "otter", "castor", "écureuil", "heron"),
            {
                "bears": ("blackbear", "ours"),
                "mustelids": ("American mink", "otter"),
                "rodents": ("castor", "écureuil"),
            },
            id="either-language-any-spelling",
        ),
        pytest.param(
            ("chien", "loup", "coyotte", "renard", "elephant"),
            {"canids": ("coyotte", "loup", "chien", "renard")},
            id="real",
        ),
    ],
)
def test_the_ready_table_knows_the_two_data_sets(classes, expected):
    found = groups_named("ready", classes).members
    assert {group: {*names} for group, names in found.items()} == {
        group: {*names} for group, names in expected.items()
    }


@pytest.mark.parametrize(
    ("table", "match"),
    [
        pytest.param("class,group\ndog,a\ndog,b\nwolf,a\n", "dog is in two groups", id="twice"),
        pytest.param("class,group\ndog,bear\nwolf,bear\n", "group bear is a class", id="a-class"),
        pytest.param("class,group\ndog,Unknown\nwolf,Unknown\n", "unknown", id="unknown"),
        pytest.param("class,group\ndog,a\nwolf,A\ncat,a\n", "called a and A", id="two-ways"),
        pytest.param("class,group\ndog,Bear\nwolf,Bear\n", "group Bear is a class", id="any-case"),
        pytest.param("animal,group\ndog,a\n", "columns class and group", id="columns"),
        pytest.param("class,group\ndog,a\nfox,a\n", "no group holds two", id="of-no-use"),
    ],
)
def test_tables_that_cannot_be_meant_are_refused(tmp_path, table, match):
    path = tmp_path / "groups.csv"
    path.write_text(table)
    with pytest.raises(UserError, match=match):
        groups_named(str(path), CLASSES)


def test_a_mistyped_name_is_said(tmp_path, capsys):
    path = tmp_path / "groups.csv"
    path.write_text("class,group\ndog,canids\nwolff,canids\nbear,canids\n")
    warn_of_other_names(str(path), CLASSES)
    assert "in no group: wolff (nearest: wolf)\n" in capsys.readouterr().err
    warn_of_other_names("ready", CLASSES)
    path.write_text("class,group\ndog,canids\nWolf,canids\n")
    warn_of_other_names(str(path), CLASSES)
    assert capsys.readouterr().err == ""


def test_probabilities_of_a_group_are_those_of_its_classes_together():
    summed, names = group_probabilities(np.array([[0.1, 0.2, 0.3, 0.4]]), CLASSES, CANIDS)
    assert names == ["bear", "cat", "canids"]
    np.testing.assert_allclose(summed, [[0.1, 0.2, 0.7]])


def test_the_threshold_is_chosen_on_photos_without_a_species():
    """Right groups stand at 0.9, wrong ones at 0.6; photos with a species would say otherwise."""
    right = np.tile([0.05, 0.05, 0.45, 0.45], (40, 1))
    wrong = np.tile([0.2, 0.2, 0.3, 0.3], (20, 1))
    species = np.tile([0.03, 0.03, 0.92, 0.02], (60, 1))
    labels = np.repeat([2, 0, 0], [40, 20, 60])
    rows = np.concatenate([right, wrong, species])
    assert choose_group_threshold(rows, labels, CLASSES, CANIDS, 0.5) == pytest.approx(0.75)
    assert choose_group_threshold(species, labels[60:], CLASSES, CANIDS, 0.5) is None


def test_a_model_file_says_its_groups():
    facts = {"classes": list(CLASSES), "groups": {"canids": ["dog", "wolf"]}}
    assert groups_of(facts | {"group_threshold": 0.7}) == Groups(CANIDS.members, 0.7)
    for damaged in ({"canids": ["dog"]}, {"canids": ["dog", "fox"]}, {"cat": ["dog", "wolf"]}, 3):
        with pytest.raises(ValueError, match="group"):
            checked_facts(facts | {"groups": damaged})
