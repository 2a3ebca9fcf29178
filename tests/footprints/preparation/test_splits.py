"""Division of photos: whole groups, every class, the shares, whatever the order."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footprints.preparation.splits import grouped_split

TWO = {"train": 0.8, "val": 0.2}
THREE = {"train": 0.7, "val": 0.2, "test": 0.1}
PHOTOS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 25)), min_size=1, max_size=80)


def test_shares_hold_in_every_class() -> None:
    """85 photos in each of 13 classes, as in the real set: 17 of each for validation."""
    labels = [f"class{n % 13}" for n in range(13 * 85)]
    split = grouped_split(labels, range(len(labels)), TWO, seed=0)
    counts = Counter(zip(labels, split, strict=True))
    assert all(counts[f"class{n}", "val"] == 17 for n in range(13))


@pytest.mark.parametrize("fractions", [TWO, THREE], ids=["two", "three"])
@given(photos=PHOTOS, seed=st.integers(0, 5))
def test_groups_stay_whole(fractions, photos: list[tuple[str, int]], seed: int) -> None:
    labels, groups = zip(*photos, strict=True)
    split = grouped_split(labels, groups, fractions, seed)
    assert set(split) <= set(fractions)
    part_of = dict(zip(groups, split, strict=True))
    assert all(part_of[group] == part for group, part in zip(groups, split, strict=True))


@given(photos=PHOTOS, seed=st.integers(0, 5), order=st.randoms())
def test_order_does_not_matter(photos: list[tuple[str, int]], seed: int, order) -> None:
    labels, groups = zip(*photos, strict=True)
    split = grouped_split(labels, groups, THREE, seed)
    index = list(range(len(photos)))
    order.shuffle(index)
    again = grouped_split([labels[i] for i in index], [groups[i] for i in index], THREE, seed)
    assert again == [split[i] for i in index]


@pytest.mark.parametrize("fractions", [TWO, THREE], ids=["two", "three"])
@given(sizes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=5))
def test_every_class_is_in_as_many_parts_as_it_has_groups(fractions, sizes) -> None:
    labels, groups = [], []
    for label, group_sizes in enumerate(sizes):
        for number, size in enumerate(group_sizes):
            labels += [str(label)] * size
            groups += [f"{label}/{number}"] * size
    split = grouped_split(labels, groups, fractions, seed=1)
    parts_of = defaultdict(set)
    for label, part in zip(labels, split, strict=True):
        parts_of[label].add(part)
    for label, group_sizes in enumerate(sizes):
        n = min(len(group_sizes), len(fractions))
        assert parts_of[str(label)] == set(list(fractions)[:n])


def test_seeds_differ_and_repeat() -> None:
    labels = ["a"] * 50 + ["b"] * 50
    splits = [grouped_split(labels, range(100), TWO, seed) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_group_of_two_classes_stays_together() -> None:
    labels = ["a", "b"] * 20
    groups = [n // 2 for n in range(40)]
    split = grouped_split(labels, groups, TWO, seed=3)
    assert all(split[n] == split[n + 1] for n in range(0, 40, 2))
    assert Counter(split) == {"train": 32, "val": 8}


def test_part_of_no_share_stays_empty() -> None:
    split = grouped_split(["a"] * 10, range(10), {"train": 0.8, "val": 0.2, "test": 0.0}, 0)
    assert Counter(split) == {"train": 8, "val": 2}


def test_large_groups_hardly_spoil_the_shares() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 12, 60))
    labels = [f"c{group % 3}" for group in groups]
    split = grouped_split(labels, groups.tolist(), TWO, seed=0)
    for label in set(labels):
        parts = [part for name, part in zip(labels, split, strict=True) if name == label]
        assert parts.count("val") / len(parts) == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize(
    ("groups", "fractions", "match"),
    [
        ([1], TWO, "2 labels, but 1 groups"),
        ([1, 2], {"train": 0.9, "val": 0.2}, "sum to 1"),
        ([1, 2], {"train": 1.1, "val": -0.1}, "negative"),
    ],
)
def test_unfit_arguments_are_refused(groups, fractions, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        grouped_split(["a", "b"], groups, fractions, 0)
