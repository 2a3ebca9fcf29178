"""Lists of animals and priors of a place, against Bayes' rule worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from footprints.scores.region import read_region, training_prior
from footprints.system.errors import UserError

CLASSES = ("bear", "cat", "dog", "wolf")
EVEN = np.full(4, 0.25)


def test_a_list_leaves_out_what_does_not_occur(tmp_path):
    path = tmp_path / "here.txt"
    path.write_text("# Jura\ndog\n\nBear  # one seen\n")
    region = read_region(path, CLASSES, EVEN)
    np.testing.assert_allclose(region.applied([0.1, 0.2, 0.3, 0.4]), [0.25, 0, 0.75, 0])
    np.testing.assert_allclose(region.applied([0, 0.5, 0, 0.5]), [0.5, 0, 0.5, 0])


def test_a_prior_replaces_that_of_the_training(tmp_path):
    """Training saw 6 wolves in 10 photos; here there is one for nine dogs."""
    path = tmp_path / "here.csv"
    path.write_text("class,weight\ndog,9\nwolf,1\n")
    trained = training_prior({"class_prior": [0.1, 0.1, 0.2, 0.6]}, 4)
    region = read_region(path, CLASSES, trained)
    likelihood = np.array([0.4 / 0.2, 0.6 / 0.6])  # of dog and wolf: posterior by prior
    expected = likelihood * [0.9, 0.1] / (likelihood @ [0.9, 0.1])
    np.testing.assert_allclose(region.applied([0.0, 0.0, 0.4, 0.6])[2:], expected)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("dog\nwolv\n", r"wolv \(nearest: wolf\)", id="nearest"),
        pytest.param("dog\nDOG\n", "names dog twice", id="twice"),
        pytest.param("dog\n", "fewer than two", id="one"),
        pytest.param("class,weight\ndog,many\nwolf,1\n", "weight of dog", id="weight"),
        pytest.param("class,weight\ndog,-1\nwolf,1\n", "weight of dog", id="negative"),
        pytest.param("class,weight\ndog,0\ndog,5\nwolf,1\n", "names dog twice", id="twice-0"),
        pytest.param("class,weight\ndog,1e308\nwolf,1\n", "weight of dog", id="no-sum"),
        pytest.param("species,weight\ndog,1\n", "columns class and weight", id="columns"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(tmp_path, text, match):
    path = tmp_path / "here"
    path.write_text(text)
    with pytest.raises(UserError, match=match):
        read_region(path, CLASSES, EVEN)
