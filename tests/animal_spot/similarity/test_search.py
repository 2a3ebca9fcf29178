"""Nearest windows: the same as by arithmetic in full, one for each event, and in time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from animal_spot.similarity.search import Windows, is_same, shared_most


def windows_of(vectors: np.ndarray, n_recordings: int = 1, hop_s: float = 10.0) -> Windows:
    """Windows of 3 s, as many in each recording, far apart."""
    place = np.arange(len(vectors))
    begin_s = place // n_recordings * hop_s
    return Windows(vectors, place % n_recordings, begin_s, begin_s + 3.0)


def test_the_same_as_another_library():
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((700, 24)) + 5).astype(np.float32)
    query = (rng.standard_normal(24) + 5).astype(np.float32)
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    other = NearestNeighbors(n_neighbors=20, metric="cosine", algorithm="brute").fit(centred)
    distance, places = other.kneighbors([query - vectors.mean(0, dtype=np.float64)])
    hits = windows_of(vectors, 7).nearest(query, 20)
    assert [hit.place for hit in hits] == places[0].tolist()
    np.testing.assert_allclose([hit.similarity for hit in hits], 1 - distance[0], atol=1e-5)
    assert hits[0].recording == hits[0].place % 7


def test_one_hit_for_each_event_and_none_at_the_query():
    """Windows every second, 3 s long: the neighbours of a hit hear the same call."""
    rng = np.random.default_rng(2)
    vectors = 0.1 * rng.standard_normal((60, 8)).astype(np.float32)
    call = np.eye(8, dtype=np.float32)[3] * 4
    for middle in (10, 30, 50):
        for off, share in ((-1, 0.6), (0, 1.0), (1, 0.6)):
            vectors[middle + off] += share * call
    begin_s = np.arange(60.0)
    found = Windows(vectors, np.zeros(60, np.int64), begin_s, begin_s + 3)
    hits = found.nearest(call, 3, query=(0, (10.0, 13.0)))
    assert sorted(hit.begin_s for hit in hits[:2]) == [30, 50]
    assert not any(hit.begin_s < 13 and hit.end_s > 10 for hit in hits)
    reviewed = found.nearest(call, 1, query=(0, (10.0, 13.0)), known={0: [(31.0, 32.0)]})
    assert [hit.begin_s for hit in reviewed] == [50], "what was reviewed is not shown again"
    every = found.nearest(call, 1000)
    assert all(abs(a.begin_s - b.begin_s) > 3 for a in every for b in every if a is not b)


def test_ties_silence_and_nothing():
    """Equal vectors come in the order of time; a window that is the mean is like nothing."""
    vectors = np.array([[1, 0], [-1, 0], [1, 0], [-1, 0], [0, 0]], np.float32)
    hits = windows_of(vectors).nearest(np.array([2, 0], np.float32), 5)
    assert [hit.place for hit in hits] == [0, 2, 1, 3]
    assert [hit.similarity for hit in hits] == [1, 1, -1, -1]
    empty = windows_of(np.empty((0, 4), np.float32))
    assert empty.nearest(np.ones(4, np.float32), 5) == []
    assert empty.of_stretch(0, 0.0, 1.0) is None


@pytest.mark.parametrize(
    ("stretch", "place"),
    [
        pytest.param((11.0, 12.0), 1, id="inside-one"),
        pytest.param((12.6, 12.9), 1, id="at-its-edge"),
        pytest.param((9.0, 24.0), None, id="mean-of-two"),
    ],
)
def test_the_windows_that_hear_a_stretch(stretch, place):
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = windows_of(vectors).of_stretch(0, *stretch)
    expected = vectors[1:3].mean(0) if place is None else vectors[place]
    np.testing.assert_array_equal(found, expected)


def test_the_same_stretch_shares_half_of_the_shorter():
    edges = np.array([[0, 2], [1, 3], [2, 4], [0.9, 1.9], [1.5, 9]], float)
    assert is_same(edges, (1.0, 2.0)).tolist() == [True, True, False, True, True]
    assert shared_most([(0.0, 1.4), (1.2, 3.0), (5.0, 6.0)], (1.0, 2.0)) == 1
    assert shared_most([], (1.0, 2.0)) is None


@pytest.mark.slow
def test_a_million_in_under_a_second():
    rng = np.random.default_rng(0)
    vectors = rng.random((1_000_000, 512), np.float32)
    found = windows_of(vectors, 100)
    query = vectors[123_456] + 0.05 * rng.random(512, np.float32)
    taken = []
    for _ in range(5):
        began = time.process_time()  # of all cores: other programs do not count
        hits = found.nearest(query, 80)
        taken.append(time.process_time() - began)
    assert hits[0].place == 123_456
    assert min(taken) < 1.0, taken
