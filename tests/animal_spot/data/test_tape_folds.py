"""How clips are divided into folds."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import CorpusError
from animal_spot.data.labels import Clip
from animal_spot.data.splits import PARTITIONS
from animal_spot.data.tape_folds import (
    ClipPool,
    assign_folds,
    fold_split,
    load_pool,
    warn_of_weak_folds,
)


def clips_of(tapes_of: dict[str, list[str]]) -> list[Clip]:
    """One clip for each mention of a tape."""
    return [
        Clip(f"{name}-x_{i}_2020_{tape}_0_1.wav", name, f"2020_{tape}")
        for name, tapes in tapes_of.items()
        for i, tape in enumerate(tapes)
    ]


def folds_by(clips, folds, key) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for clip, fold in zip(clips, folds, strict=True):
        found.setdefault(getattr(clip, key), set()).add(int(fold))
    return found


# Ten to twenty tapes with up to four clips of each of three classes.
CORPORA = st.lists(st.tuples(*[st.integers(0, 4)] * 3).filter(any), min_size=10, max_size=20).map(
    lambda tapes: clips_of(
        {
            name: [f"T{t}" for t, counts in enumerate(tapes) for _ in range(counts[i])]
            for i, name in enumerate("ABC")
        }
    )
)


@settings(max_examples=15)  # scikit-learn takes its time
@given(clips=CORPORA, n_folds=st.integers(2, 5), seed=st.integers(0, 3))
def test_folds_never_divide_a_tape_and_lose_no_class(clips, n_folds, seed):
    if max(np.unique([c.class_name for c in clips], return_counts=True)[1]) < n_folds:
        return
    folds = assign_folds(clips, n_folds, seed)
    assert set(folds) == set(range(n_folds))
    assert all(len(where) == 1 for where in folds_by(clips, folds, "tape").values())
    n_tapes = {name: len({c.tape for c in clips if c.class_name == name}) for name in "ABC"}
    if n_folds > 2:  # with two, classes may share tapes in a way that leaves no choice
        for name, where in folds_by(clips, folds, "class_name").items():
            assert len(where) > 1 or n_tapes[name] == 1, f"{name} lies in one fold"
    for fold in range(n_folds):
        split = fold_split(clips, folds, fold, seed)
        assert [c for c, k in zip(clips, folds, strict=True) if k == fold] == list(split.test)
        assert sorted(c for part in PARTITIONS for c in split[part]) == sorted(clips)
        tapes = [{c.tape for c in split[part]} for part in PARTITIONS]
        assert not tapes[0] & tapes[1]
        assert not tapes[2] & (tapes[0] | tapes[1])
        others = {c.class_name for c in clips} if len(split.test) < len(clips) else set()
        outside = {c.class_name for c, k in zip(clips, folds, strict=True) if k != fold}
        assert {c.class_name for c in split.train} == others & outside


def test_each_class_reaches_each_fold_in_its_share():
    """Four classes of very different size, each on 20 tapes of its own, 5 folds."""
    sizes = {"A": 1, "B": 2, "C": 4, "D": 8}
    clips = clips_of({n: [f"{n}{t}" for t in range(20)] * k for n, k in sizes.items()})
    folds = assign_folds(clips, 5)
    for name, size in sizes.items():
        counts = np.bincount([k for c, k in zip(clips, folds, strict=True) if c.class_name == name])
        assert counts.tolist() == [4 * size] * 5


def test_a_class_of_two_tapes_lies_in_two_folds_and_always_reaches_training():
    common = [f"T{i}" for i in range(12)]
    clips = clips_of({"A": common * 3, "B": common * 2, "rare": ["R1", "R1", "R2", "R2"]})
    for seed in range(3):
        folds = assign_folds(clips, 4, seed)
        assert len(folds_by(clips, folds, "class_name")["rare"]) == 2
        for fold in range(4):
            split = fold_split(clips, folds, fold, seed)
            assert {c.class_name for c in split.train} == {"A", "B", "rare"}
            assert {c.class_name for c in split.val} >= {"A", "B"}
            assert 0.1 < len(split.val) / (len(split.val) + len(split.train)) < 0.3


def test_folds_depend_on_seed_and_clips_but_not_on_their_order():
    clips = clips_of({"A": [f"T{i}" for i in range(30)], "B": [f"T{i}" for i in range(30)]})
    folds = assign_folds(clips, 3, 1)
    assert np.array_equal(assign_folds(clips[::-1], 3, 1)[::-1], folds)
    assert np.array_equal(assign_folds(clips, 3, 1), folds)
    assert not np.array_equal(assign_folds(clips, 3, 2), folds)


@pytest.mark.parametrize(
    ("tapes_of", "n_folds", "message"),
    [
        ({"A": ["T1", "T2"], "B": ["T1"]}, 3, "at least 3 tapes, and there are 2"),
        ({"A": ["T1", "T2"], "B": ["T3", "T4"]}, 3, "no class has 3 clips"),
    ],
)
def test_too_few_tapes_or_clips(tapes_of, n_folds, message):
    with pytest.raises(CorpusError, match=message):
        assign_folds(clips_of(tapes_of), n_folds)


def test_too_few_tapes_for_validation():
    clips = clips_of({"A": ["T1", "T1", "T2", "T2"], "B": ["T1", "T1", "T2", "T2"]})
    with pytest.raises(CorpusError, match="too few tapes for training and validation"):
        fold_split(clips, assign_folds(clips, 2), 0)


def test_rare_classes_and_copies_are_named(caplog, tmp_path):
    common = [f"T{i}" for i in range(8)]
    clips = clips_of({"A": common, "B": common, "few": ["T1", "T2"], "one": ["T3", "T3"]})
    samples = {c.path: Sample(tmp_path / c.path, c.path, str(i), 0) for i, c in enumerate(clips)}
    a, b = clips[0].path, clips[1].path
    samples[b] = Sample(tmp_path / b, b, samples[a].digest, 0)
    folds = np.array([int(c.tape[-1]) % 4 for c in clips])
    with caplog.at_level(logging.WARNING):
        warn_of_weak_folds(ClipPool({}, tuple(clips), samples, {}), folds)
    assert [record.getMessage() for record in caplog.records] == [
        "class few has 2 tapes, fewer than 4 folds: some folds have none of it",
        "class one lies in fold 4 alone (it has 1 tape): the network that judges it never heard "
        "it and cannot be right",
        "1 clips lie in more than one fold as identical copies; accuracy will flatter",
    ]


def test_pool_holds_all_clips_whatever_split_is_stored(make_corpus, tmp_path):
    data = make_corpus(tmp_path, {"A": ["T1", "T2"], "B": ["T1", "T2"], "C": ["T3"]})
    (data / "A" / "A-bad_9_2020_T9_0_1.wav").write_text("no sound")
    for name in PARTITIONS:
        (data / name).write_text("A/train.csv\n")  # names a file that is missing
    pool = load_pool(data)
    assert [(c.class_name, c.tape) for c in pool.clips] == [
        *(("A", "2020_T1"), ("A", "2020_T2"), ("B", "2020_T1"), ("B", "2020_T2")),
        ("C", "2020_T3"),
    ]
    assert pool.classes == {"A": 0, "B": 1, "C": 2}
    assert list(pool.excluded) == ["A/A-bad_9_2020_T9_0_1.wav"]
