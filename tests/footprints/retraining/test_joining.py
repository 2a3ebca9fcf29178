from __future__ import annotations

from pathlib import Path

import numpy as np

from footprints.places.taken import Taken
from footprints.retraining.examples import Example, labels_of, usable
from footprints.retraining.joining import (
    HELD_OUT,
    LEARNED,
    LIKE_TEST,
    LIKE_VAL,
    NEW_CLASS,
    NO_CLASS,
    Known,
    places,
)
from footprints.reviewing.judged import Judged
from footprints.reviewing.project import NO_PRINT, Photo

CLASSES = {"fox", "hare"}
RNG = np.random.default_rng(3)


def a_hash(near: str | None = None, bits: int = 0) -> str:
    """Return a hash that is far from all others, or so many bits from one."""
    value = int(RNG.integers(2**63)) if near is None else int(near, 16) ^ (2**bits - 1)
    return f"{value:016x}"


def row(number: int, class_name: str | None, trail=None, verdict="right", is_group=False) -> Judged:
    photo = Photo(number, Path(f"{number}.jpg"), f"{number}.jpg", "", Taken(), trail, False)
    about = (number, photo, "fox", 0.5, "prediction", is_group, verdict, class_name)
    return Judged(*about, (0.1, 0.1, 0.5, 0.5), "Ann", "2026-01-01", None)


def example(number: int, label: str = "fox", trail: str | None = None, **hashes: str) -> Example:
    of = {"sha256": f"{number:064x}", "photo_hash": a_hash(), "crop_hash": a_hash()} | hashes
    one = row(number, label, trail)
    return Example(one, label, **of, pictures={}, box_xyxy=(0, 0, 1, 1), shape=(9, 9))


def test_what_looks_like_test_or_validation_is_not_learned():
    test, val = (Known(part, "", a_hash(), a_hash()) for part in ("test", "val"))
    train, other = (Known("train", letter * 64, None, a_hash()) for letter in "ef")
    examples = [
        example(0, photo_hash=a_hash(test.photo_hash, 10)),
        example(1, photo_hash=a_hash(test.photo_hash, 40)),
        example(2, crop_hash=a_hash(val.crop_hash, 3)),
        example(3, sha256="e" * 64),
        example(4, trail="a", crop_hash=a_hash(test.crop_hash)),
        example(5, trail="a", sha256="f" * 64),  # the test part wins over the training part
    ]
    found = places(examples, [test, val, train, other], CLASSES, 10, 0.0)
    assert found == [LIKE_TEST, LEARNED, LIKE_VAL, LEARNED, LIKE_TEST, LIKE_TEST]


def test_held_out_are_whole_trails_and_look_alikes_always_the_same():
    examples = [example(i, trail=f"trail {i // 4}") for i in range(40)]
    alike = [example(100 + i, photo_hash=examples[4 * i].photo_hash) for i in range(10)]
    every = examples + alike
    found = places(every, [], CLASSES, 10, 0.3)
    assert found.count(HELD_OUT) == 3 * 5  # of ten groups of five
    for group in range(10):
        together = [*found[4 * group : 4 * group + 4], found[40 + group]]
        assert len({*together}) == 1
    order = RNG.permutation(len(every))
    again = places([every[i] for i in order], [], CLASSES, 10, 0.3)
    assert again == [found[i] for i in order]


def test_a_new_class_needs_five_prints_and_strangers_teach_nothing():
    few, enough = ([example(i, name) for i in range(n, n + m)] for n, m, name in _NEW)
    found = places([*few, *enough, example(50, "unknown")], [], CLASSES, 10, 0.0)
    assert found == [NEW_CLASS] * 4 + [LEARNED] * 5 + [NO_CLASS]
    assert places([example(51, "unknown")], [], CLASSES | {"unknown"}, 10, 0.0) == [LEARNED]


_NEW = ((0, 4, "mink"), (10, 5, "otter"))


def test_only_prints_whose_animal_is_known_are_used():
    rows = [
        *(row(0, "fox"), row(1, None, verdict="unsure"), row(2, None, verdict="wrong")),
        *(row(3, NO_PRINT, verdict="other"), row(4, "canids", is_group=True)),
        *(row(5, "unknown", verdict="other"), row(6, None)),
    ]
    assert [one.id for one in usable(rows)] == [0, 5]


def test_classes_are_those_of_the_set_however_they_are_typed():
    rows = [row(i, name) for i, name in enumerate(("Red fox", "a/b", "unknown", "other"))]
    assert labels_of(rows, ("redfox", "hare")) == {
        "Red fox": "redfox",
        "a/b": "a_b",
        "unknown": "unknown",
        "other": "unknown",
    }
