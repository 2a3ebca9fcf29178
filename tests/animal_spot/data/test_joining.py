"""Clips that are new join a stored split: nothing leaks, nothing moves, nothing is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.data.corpus import load_corpus
from animal_spot.data.labels import Clip
from animal_spot.data.splits import (
    PARTITIONS,
    Split,
    extend_split,
    join_split,
    leaking_tapes,
    load_split,
    save_split,
    split_by_tape,
)
from tests.helpers.clips import make_corpus

TAPES = [f"T{i}" for i in range(10)]


@st.composite
def clips(draw) -> list[Clip]:
    rows = draw(
        st.sets(
            st.tuples(st.sampled_from("ABC"), st.integers(0, 14), st.integers(0, 5)),
            min_size=2,
            max_size=60,
        )
    )
    return [Clip(f"{name}-x_{n}_2020_T{t}_0_1.wav", name, f"2020_T{t}") for name, t, n in rows]


@given(clips(), st.data())
def test_splits_stay_free_of_leaks_and_no_clip_moves(known, data):
    some = data.draw(st.lists(st.sampled_from(sorted(known)), unique=True, min_size=1))
    stored = split_by_tape(some)
    new = [clip for clip in known if clip not in some]
    joined = join_split(stored, data.draw(st.permutations(new)))
    assert joined == join_split(stored, new), "the order does not matter"
    both = Split(**{p: stored[p] + joined[p] for p in PARTITIONS})
    assert leaking_tapes(both) == {}
    assert sorted(c for p in PARTITIONS for c in both[p]) == sorted(known)


def test_a_tape_in_several_partitions_goes_on_in_train():
    a, b = (Clip(f"A-x_{n}_2020_T_0_1.wav", "A", "2020_T") for n in (1, 2))
    new = Clip("A-x_3_2020_T_0_1.wav", "A", "2020_T")
    assert join_split(Split((a,), (b,), ()), [new]) == Split((new,), (), ())


def test_new_tapes_fill_what_lacks_most():
    def of(tape: str, n: int) -> list[Clip]:
        return [Clip(f"A-x_{i}_2020_{tape}_0_1.wav", "A", f"2020_{tape}") for i in range(n)]

    stored = Split(tuple(of("T1", 10)), (), ())
    joined = join_split(stored, [*of("T2", 2), *of("T3", 2)])
    assert {len(joined[p]) for p in ("val", "test")} == {2}


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_corpus(tmp_path / "data", {"A": TAPES[:8], "B": TAPES[:8], "C": TAPES[:8]})


def rows(folder: Path) -> dict[str, list[str]]:
    split, _ = load_split(folder)
    return {p: [clip.path for clip in split[p]] for p in PARTITIONS}


def test_the_files_grow_by_rows_alone(folder, caplog):
    load_corpus(folder)
    hand_edited = (folder / "train").read_text().rstrip("\n") + "\n# kept by hand"
    (folder / "train").write_text(hand_edited)
    before, texts = rows(folder), {p: p.read_text() for p in folder.rglob("*.csv")}
    more = make_corpus(folder.parent / "more", {"A": TAPES, "B": TAPES}, seed=1)
    for path in more.rglob("*.wav"):
        (folder / path.parent.name).mkdir(exist_ok=True)
        shutil.move(path, folder / path.parent.name / f"{path.stem.replace('_', '_9', 1)}.wav")
    frozen = load_corpus(folder)
    assert "20 clips are in no partition" in caplog.text
    assert sum(len(samples) for samples in frozen.samples.values()) == 24
    assert rows(folder) == before
    with caplog.at_level("INFO"):
        corpus = load_corpus(folder, join_new=True)
    assert "20 new clips join the stored split: train " in caplog.text
    after = rows(folder)
    for partition in PARTITIONS:
        assert set(before[partition]) <= set(after[partition])
    for path, text in texts.items():
        assert path.read_text().startswith(text)
    assert (folder / "train").read_text().startswith(hand_edited)
    assert sum(len(samples) for samples in corpus.samples.values()) == 44
    assert load_corpus(folder, join_new=True) == corpus
    assert leaking_tapes(load_split(folder)[0]) == {}


def test_a_folder_that_cannot_be_written_is_joined_for_this_run(folder, monkeypatch, caplog):
    load_corpus(folder)
    (folder / "A" / "A-call_77_2020_NEW_0_300.wav").write_bytes(
        next((folder / "A").glob("*.wav")).read_bytes()
    )

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("animal_spot.data.corpus.exclusive", refuse)
    before = rows(folder)
    corpus = load_corpus(folder, join_new=True)
    assert "for this run only" in caplog.text
    assert sum(len(samples) for samples in corpus.samples.values()) == 25
    assert rows(folder) == before


def test_rows_are_added_to_lists_without_a_line_end(tmp_path):
    first = Clip("a/A-x_1_2020_T1_0_1.wav", "A", "2020_T1")
    save_split(Split((first,), (), ()), tmp_path)
    for name in ("train", "a/train.csv"):
        path = tmp_path / name
        path.write_text(path.read_text().rstrip())
    other = Clip("a/A-x_2_2020_T1_0_1.wav", "A", "2020_T1")
    third = Clip("b/A-x_3_2020_T1_0_1.wav", "A", "2020_T1")
    extend_split(Split((other, third), (), ()), tmp_path)
    assert load_split(tmp_path)[0].train == (first, other, third)


def test_a_new_class_joins_too(folder):
    load_corpus(folder)
    make_corpus(folder, {"D": TAPES}, seed=1)
    corpus = load_corpus(folder, join_new=True)
    of_class = {p: sum(s.label == 3 for s in corpus.samples[p]) for p in PARTITIONS}
    assert min(of_class.values()) >= 1
    assert sum(of_class.values()) == 10


def test_a_clip_that_was_taken_out_by_hand_stays_out(folder, caplog):
    load_corpus(folder)
    path = folder / "A" / "train.csv"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join(others))
    corpus = load_corpus(folder, join_new=True)
    assert "1 clips were taken out of the stored split and stay out" in caplog.text
    (reason,) = corpus.excluded.values()
    assert reason == "taken out of the stored split by hand"
    assert sum(len(samples) for samples in corpus.samples.values()) == 23
    assert first not in path.read_text()
