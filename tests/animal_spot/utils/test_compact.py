"""Lists and indexes of many texts are what lists and dictionaries are, in less memory."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.utils.compact import TextIndex, TextList
from animal_spot.utils.many_paths import PathList, PathMap, PathSet

# Also the halves of surrogate pairs, which stand for bytes of names that are not UTF-8.
texts = st.text(st.characters(exclude_categories=()), max_size=6)


@given(st.lists(texts))
def test_a_list_of_texts_is_the_list(given_texts):
    kept = TextList(given_texts)
    assert list(kept) == given_texts
    assert [kept[i] for i in range(len(kept))] == given_texts
    assert [kept[-i - 1] for i in range(len(kept))] == given_texts[::-1]
    assert kept[1:3] == given_texts[1:3]
    assert kept == given_texts
    with pytest.raises(IndexError):
        kept[len(given_texts)]


@given(st.lists(st.tuples(texts, st.integers(0, 2**40 - 1))))
def test_an_index_of_texts_is_the_dictionary(pairs):
    index, wanted = TextIndex(), {}
    for text, number in pairs:
        assert index.setdefault(text, 7) == wanted.setdefault(text, 7)
        index[text] = wanted[text] = number
    assert len(index) == len(wanted)
    assert list(index.numbers()) == sorted(wanted.values())
    assert all(index.get(text) == number for text, number in wanted.items())
    assert "absent text" not in index


def test_an_index_grows():
    index = TextIndex()
    for i in range(20_000):
        index[f"text {i}"] = i
    assert [index.get(f"text {i}") for i in range(20_000)] == list(range(20_000))
    assert index.get("text 20000") is None


@pytest.mark.parametrize("number", [-1, 2**40])
def test_numbers_that_find_no_room_are_refused(number):
    with pytest.raises(ValueError, match="numbers go from 0"):
        TextIndex()["a"] = number


def test_paths_by_number_and_what_is_known_of_them():
    names = ["b/a.wav", "a.wav", "c d.wav"]
    paths = PathList(names)
    assert paths == [Path(name) for name in names]
    assert [paths.number_of(Path(name)) for name in names] == [0, 1, 2]
    assert paths.number_of(Path("b")) is None
    assert Path("a.wav") in paths
    assert Path("b") not in paths
    known = PathMap(paths, [10, 11, 12])
    assert dict(known) == dict(known.items()) == dict(zip(paths, known.values(), strict=True))
    assert known[Path("a.wav")] == 11
    assert known.get(Path("x")) is None
    some = PathSet(paths)
    for name in ("c d.wav", "b/a.wav", "b/a.wav"):
        some.add(Path(name))
    assert list(some) == [Path("b/a.wav"), Path("c d.wav")]
    assert len(some) == 2
    assert Path("a.wav") not in some
    for use in (known.__getitem__, some.add):
        with pytest.raises(KeyError):
            use(Path("x"))


def test_lists_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="2 values for 1 paths"):
        PathMap(PathList(["a"]), [1, 2])


def test_a_recording_takes_little_memory():
    """A path, its results' name and an index of both: objects of them take 600 bytes."""
    n = 10_000
    tracemalloc.start()
    paths = PathList(f"/archive/site{i % 50}/2024/REC_{i:08}.wav" for i in range(n))
    stems = PathMap(paths, TextList(f"REC_{i:08}" for i in range(n)))
    assert stems[paths[n // 2]] == f"REC_{n // 2:08}"
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / n < 150
