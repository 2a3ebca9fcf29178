"""Where classes and tapes of a data folder come from: a table, names or folders."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_spot.data.corpus import CorpusError, load_corpus
from animal_spot.data.sources import SourceError, find_source
from animal_spot.data.splits import PARTITIONS
from animal_spot.data.tape_folds import load_pool, pool_of
from tests.helpers.clips import clip_name, make_corpus
from tests.helpers.corpora import as_class_folders, as_one_recording, write_table

TAPES = [f"T{i}" for i in range(8) for _ in range(2)]


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("named"), dict.fromkeys("ABC", TAPES), seconds=0.1)


@pytest.fixture
def folders(named, tmp_path) -> Path:
    return as_class_folders(named, tmp_path / "folders")


@pytest.fixture
def recording(named, tmp_path) -> Path:
    return as_one_recording(named, tmp_path / "recording")


def clips_of(corpus) -> dict[str, list[tuple[int, str]]]:
    return {p: sorted((s.label, s.tape[-2:]) for s in corpus.samples[p]) for p in PARTITIONS}


def empty_clips(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# -- the same split --------------------------------------------------------------------------------


def test_same_calls_are_split_alike_however_they_are_kept(named, folders, recording, tmp_path):
    by_name = shutil.copytree(named, tmp_path / "names")
    found = [load_corpus(folder) for folder in (by_name, folders, recording)]
    for corpus in found:
        assert corpus.excluded == {}
        assert corpus.classes == {"A": 0, "B": 1, "C": 2}
        assert sum(map(len, corpus.samples.values())) == 3 * len(TAPES)
        places = [{s.tape for s in corpus.samples[p]} for p in PARTITIONS]
        assert sum(map(len, places)) == len(set(TAPES)) == len(set.union(*places))
    assert clips_of(found[0]) == clips_of(found[1]) == clips_of(found[2])


@pytest.mark.parametrize("kept", ["folders", "recording"])
def test_stored_split_gives_the_same_corpus(kept, request):
    folder = request.getfixturevalue(kept)
    assert load_corpus(folder, seed=3) == load_corpus(folder, seed=4)


@pytest.mark.parametrize("kept", ["folders", "recording"])
def test_split_may_lie_beside_the_model(kept, request, tmp_path):
    folder, place = request.getfixturevalue(kept), tmp_path / "split"
    first = load_corpus(folder, split_dir=place)
    assert not (folder / "train").exists()
    assert load_corpus(folder, split_dir=place, seed=1) == first


@pytest.mark.parametrize("kept", ["folders", "recording"])
def test_folds_take_all_clips(kept, request):
    pool = load_pool(request.getfixturevalue(kept))
    assert len(pool.clips) == len(pool.samples) == 3 * len(TAPES)
    assert {clip.tape[-2:] for clip in pool.clips} == set(TAPES)


@pytest.mark.parametrize("absolute", [False, True], ids=["beside", "absolute"])
def test_new_rows_join_the_split_of_a_table(recording, tmp_path, absolute):
    table = recording / "labels.csv"
    place = tmp_path / "data"
    place.mkdir()
    name = str(recording / "day1.wav") if absolute else "day1.wav"
    head, *rows = table.read_text().replace("day1.wav", name).splitlines(keepends=True)
    new = [row for i, row in enumerate(rows) if i % 5 == 0 or "2020_T3" in row]
    old = [row for row in rows if row not in new]
    beside = recording / "some.csv"
    beside.write_text(head + "".join(old))
    before = load_corpus(place, labels=beside)
    beside.write_text(head + "".join(rows))
    corpus = load_corpus(place, labels=beside, join_new=True)
    assert sum(map(len, corpus.samples.values())) == len(rows)
    places = [{s.tape for s in corpus.samples[p]} for p in PARTITIONS]
    assert sum(map(len, places)) == len(set.union(*places)) == len(set(TAPES))
    for partition in PARTITIONS:
        assert set(before.samples[partition]) <= set(corpus.samples[partition])
    assert load_corpus(place, labels=beside) == corpus
    lists = {f"{partition}{end}" for partition in PARTITIONS for end in ("", ".csv")}
    assert {p.name for p in place.iterdir() if p.name[0] != "."} == lists
    assert {p.name for p in recording.iterdir()} == {"day1.wav", "labels.csv", "some.csv"}


def test_new_clips_join_the_split_of_folders(folders):
    path = next((folders / "A").glob("*.wav"))
    moved = path.rename(folders / "moved")
    load_corpus(folders)
    moved.rename(path)
    corpus = load_corpus(folders, join_new=True)
    assert sum(map(len, corpus.samples.values())) == 3 * len(TAPES)
    assert load_corpus(folders) == corpus


def test_new_split_may_be_made_when_lists_are_deleted(folders, recording):
    for folder in (folders, recording):
        load_corpus(folder)
        for partition in PARTITIONS:
            (folder / partition).unlink()
        load_corpus(folder, seed=1)


@pytest.mark.parametrize("kept", ["folders", "recording"])
def test_searches_get_the_clips_of_train_and_val(kept, request):
    corpus = load_corpus(request.getfixturevalue(kept))
    pool = pool_of(corpus, ("train", "val"))
    known = {s.name: s.tape for p in ("train", "val") for s in corpus.samples[p]}
    assert {clip.path: clip.tape for clip in pool.clips} == known


# -- how it is decided -----------------------------------------------------------------------------


def test_most_names_decide_and_a_mix_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    good = [f"A/{clip_name('A', i, f'T{i}')}" for i in range(3)]
    folder = empty_clips(tmp_path, *good, "A/x.wav", "B/y.wav")
    source = find_source(folder)
    assert source.kind == "names"
    assert "3 of 5 follow the rule, 2 do not" in source.how
    assert set(source.excluded) == {"A/x.wav", "B/y.wav"}
    source = find_source(empty_clips(folder, "B/z.wav"))
    assert source.kind == "folders"
    assert "3 of 6 names follow the rule" in source.how
    assert len(source.clips) == 6


def test_hyphens_and_dates_do_not_matter_in_folders(tmp_path):
    folder = empty_clips(
        tmp_path,
        *("Roe-deer/2023-05-12_rec1_1.wav", "Roe-deer/2023-05-12_rec1_2.wav", "Fox/deep/a.wav"),
        "lonely.wav",
    )
    source = find_source(folder)
    assert {(clip.class_name, clip.tape) for clip in source.clips} == {
        ("Roe-deer", "2023-05-12_rec1"),
        ("Fox", "a"),
    }
    assert source.excluded == {"lonely.wav": "lies in no folder of a class"}
    assert "2 folders" in source.how
    assert "2023-05-12_rec1 with 2 clips such as 2023-05-12_rec1_1.wav" in source.how


def test_files_in_no_folder_are_clips_by_name(tmp_path):
    assert find_source(empty_clips(tmp_path, "a.wav", "b.wav")).kind == "names"


def test_stored_split_says_what_it_was_made_with(tmp_path):
    folder = empty_clips(tmp_path, "A/x_1.wav", "B/y_1.wav")
    assert find_source(folder, stored="names").kind == "names"
    with pytest.raises(SourceError, match="name the table with --labels"):
        find_source(folder, stored="table")


def test_split_of_folders_stays_one_when_named_clips_come(folders):
    before = load_corpus(folders)
    for i in range(60):
        empty_clips(folders, f"A/{clip_name('A', i, f'N{i}')}")
    assert find_source(folders).kind == "names", "else this test tries nothing"
    assert load_corpus(folders).samples == before.samples


def test_pattern_gives_the_tapes_of_all(named, folders):
    for folder in (named, folders):
        source = find_source(folder, tape_pattern=r"T\d")
        assert {clip.tape for clip in source.clips} == set(TAPES)
        assert "--tape_pattern" in source.how


def test_names_that_say_no_recording_are_warned_of(tmp_path, named, caplog):
    for i in range(4):
        for path in sorted(named.glob("*/*_2020_T0_*.wav"))[::2]:
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / path.parent.name / f"{i}.wav")
    corpus = load_corpus(tmp_path)
    assert "of 12 of 12 clips says no recording" in corpus.warnings[0]
    assert "--tape_pattern" in caplog.text


def test_too_few_tapes_are_counted_for_each_class(tmp_path, named):
    folder = tmp_path / "few"
    for name in "ABC":
        for i, path in enumerate(sorted((named / name).glob("*.wav"))[:4]):
            (folder / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / name / f"rec{name}1_{i}.wav")
    with pytest.raises(CorpusError, match=r"A comes from 1 tape, B comes from 1 tape, C comes"):
        load_corpus(folder)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.integers(0, 9), st.integers(0, 400)),
        min_size=1,
        max_size=40,
        unique=True,
    )
)
def test_no_clip_is_lost_and_no_recording_divided(tmp_path_factory, calls):
    folder = tmp_path_factory.mktemp("calls")
    rows = [("day.wav", name, start, start + 1, f"R{tape}") for name, tape, start in calls]
    empty_clips(folder, "day.wav")
    write_table(folder / "labels.csv", rows, ("file", "label", "start_s", "end_s", "tape"))
    source = find_source(folder)
    labels = {}
    for name, _, start in calls:
        labels.setdefault(start, set()).add(name)
    for name, tape, start in calls:
        path = f"day.wav#{start}-{start + 1}"
        if len(labels[start]) > 1:
            assert path in source.excluded
        else:
            (clip,) = (clip for clip in source.clips if clip.path == path)
            assert clip.class_name == name
            assert clip.span_s == (start, start + 1)
            assert clip.tape in {f"R{t}" for n, t, s in calls if s == start}, tape
