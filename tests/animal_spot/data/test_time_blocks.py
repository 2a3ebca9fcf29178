"""Recordings are divided in time: far enough apart, nothing lost uncounted, and said plainly."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.data.corpus import CorpusError, load_corpus
from animal_spot.data.labels import Clip, named_part
from animal_spot.data.splits import PARTITIONS, Split, load_split, split_by_tape
from animal_spot.data.time_blocks import FLATTERS, Place, place_of, split_by_time
from tests.helpers.clips import clip_name, make_corpus, tone
from tests.helpers.training import SMALL, folders, main_here

RATE = 16000


@st.composite
def recordings(draw) -> tuple[list[Clip], dict[str, Place | None]]:
    """Parts of few recordings, of which some overlap; a few say no place."""
    clips, places = [], {}
    for number in range(draw(st.integers(1, 3))):
        tape = f"rec{number}"
        rows = st.tuples(st.sampled_from("ABC"), st.integers(0, 600), st.integers(1, 30))
        for name, start, length in draw(st.lists(rows, min_size=1, max_size=40, unique=True)):
            start_s, end_s = start / 10, (start + length) / 10
            clip = Clip(
                f"{named_part(f'{tape}.wav', start_s, end_s)}{name}", name, tape, (start_s, end_s)
            )
            clips.append(clip)
            places[clip.path] = Place("file", f"{tape}.wav", start_s, end_s)
        if draw(st.integers(0, 9)) == 0:
            places[clips[-1].path] = None
    return list({clip.path: clip for clip in clips}.values()), places


def partitions_of(split: Split) -> dict[str, str]:
    return {clip.path: name for name in PARTITIONS for clip in split[name]}


@given(recordings(), st.integers(0, 3), st.randoms(use_true_random=False))
def test_parts_of_the_split_are_farther_apart_than_the_longest_clip(made, seed, shuffler):
    clips, places = made
    found = split_by_time(clips, places, seed)
    kept = [clip for name in PARTITIONS for clip in found.split[name]]
    assert sorted([*kept, *found.left_out]) == sorted(clips)
    partition = partitions_of(found.split)
    silent = {clip.tape for clip in clips if places[clip.path] is None}
    divided = [clip for clip in clips if clip.tape not in silent]
    for tape in silent:
        assert len({partition[clip.path] for clip in clips if clip.tape == tape}) == 1
    if found.divides:
        of_divided = {c.tape for c in found.left_out} | {
            t
            for t in {c.tape for c in kept}
            if len({partition[c.path] for c in kept if c.tape == t}) > 1
        }
        longest_s = max(c.span_s[1] - c.span_s[0] for c in divided if c.tape in of_divided)
        for a, b in itertools.combinations(kept, 2):
            if a.tape == b.tape and partition[a.path] != partition[b.path]:
                between_s = max(a.span_s[0], b.span_s[0]) - min(a.span_s[1], b.span_s[1])
                assert between_s > longest_s
    shuffled = list(clips)
    shuffler.shuffle(shuffled)
    assert split_by_time(shuffled, places, seed) == found


def parts(n: int, step_s: float = 10.0, tapes: str = "X", classes: str = "AB"):
    """Clips of 1 s of each class in turn, all through each recording."""
    clips = [
        Clip(named_part(f"{tape}.wav", i * step_s, i * step_s + 1), classes[i % len(classes)], tape,
             (i * step_s, i * step_s + 1))
        for tape in tapes
        for i in range(n)
    ]  # fmt: skip
    return clips, {c.path: place_of(c, None, 1.0) for c in clips}


@pytest.mark.parametrize("tapes", ["X", "XY"])
def test_one_or_two_recordings_bring_each_class_everywhere_in_the_wanted_shares(tapes):
    clips, places = parts(200, tapes=tapes)
    found = split_by_time(clips, places)
    assert found.left_out == ()  # there are 9 s between clips
    for name in "AB":
        n = {p: sum(c.class_name == name for c in found.split[p]) for p in PARTITIONS}
        assert sum(n.values()) == len(clips) / 2
        assert 0.6 <= n["train"] / sum(n.values()) <= 0.8
        assert min(n["val"], n["test"]) >= 0.1 * sum(n.values())
    for tape in tapes:  # blocks, not clips that lie between each other
        partition = partitions_of(found.split)
        order = [partition[clip.path] for clip in clips if clip.tape == tape]
        assert sum(a != b for a, b in itertools.pairwise(order)) <= 8


def test_clips_without_a_pause_lose_two_at_each_border():
    clips, places = parts(300, step_s=1.0)
    found = split_by_time(clips, places)
    partition = partitions_of(found.split)
    runs = [name for name, _ in itertools.groupby(partition.get(c.path) for c in clips)]
    assert len(found.left_out) == 2 * runs.count(None)
    assert 0 < len(found.left_out) < 30


def test_enough_tapes_stay_whole():
    clips, places = parts(4, tapes="PQRSTUVW")
    found = split_by_time(clips, places, seed=2)
    assert found.split == split_by_tape(clips, seed=2)
    assert not found.divides


def test_only_tapes_of_classes_that_lack_them_are_divided():
    many, places = parts(4, tapes="PQRSTUVW", classes="AB")
    few, more = parts(60, tapes="X", classes="C")
    found = split_by_time([*many, *few], places | more)
    partition = partitions_of(found.split)
    for tape in "PQRSTUVW":
        assert len({partition[c.path] for c in many if c.tape == tape}) == 1
    assert {partition[c.path] for c in few if c.path in partition} == set(PARTITIONS)


@pytest.mark.parametrize(
    ("clip", "source", "expected"),
    [
        (Clip("r.wav#2-3", "A", "r", (2.0, 3.0)), ("s", 7.0), Place("file", "r.wav", 2.0, 3.0)),
        (Clip("x.wav", "A", "t"), ("day1.wav", 7.5), Place("source", "day1.wav", 7.5, 8.5)),
        (
            Clip("a/A-call_3_2020_T1_2500_3000.wav", "A", "2020_T1"),
            None,
            Place("tape", "2020_T1", 2.5, 3.5),
        ),
        (Clip("rec_03_0012_0013.wav", "A", "rec_03"), None, None),
        (Clip("A-call_3_2020_T1_start_3000.wav", "A", "2020_T1"), None, None),
    ],
)
def test_where_a_clip_was_cut(clip, source, expected):
    assert place_of(clip, source, 1.0) == expected


# -- with sound ----------------------------------------------------------------------------------


def named_corpus(folder: Path, tapes: tuple[str, ...] = ("T1", "T2"), n: int = 24) -> Path:
    """Clips of two recordings, one each 2 s, by the naming convention."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for tape in tapes:
        for i in range(n):
            name = ("owl", "frog", "noise")[i % 3]
            samples = tone({"owl": 900, "frog": 3000, "noise": 1}[name], 0.3, RATE)
            path = folder / clip_name(name, i, tape, 2000 * i, 2000 * i + 300)
            sf.write(path, samples + 0.01 * rng.standard_normal(len(samples)), RATE)
    return folder


def test_the_message_about_tapes_counts_and_names_the_way_out(tmp_path):
    folder = named_corpus(tmp_path / "data")
    with pytest.raises(CorpusError) as caught:
        load_corpus(folder, by_time=False)
    text = str(caught.value)
    assert "frog comes from 2 tapes" in text
    assert "missing: 1 more tape of frog, noise, owl" in text
    assert "--split_by_time, whose figures flatter" in text
    assert not (folder / "train").exists()
    with pytest.raises(CorpusError) as caught:  # a command without that flag
        load_corpus(folder)
    assert "--split_by_time" not in str(caught.value)


def test_a_stored_split_by_time_says_so_again_and_only_new_recordings_join(tmp_path, caplog):
    folder = named_corpus(tmp_path / "data")
    first = load_corpus(folder, by_time=True)
    assert FLATTERS in caplog.text
    assert any(line.startswith(FLATTERS) for line in first.warnings)
    caplog.clear()
    assert load_corpus(folder) == first
    assert FLATTERS in caplog.text
    assert "leaks" not in caplog.text
    before = load_split(folder)[0]
    with pytest.raises(CorpusError, match="by time within recordings: 2 tapes"):
        load_corpus(folder, strict_split=True)

    late = clip_name("owl", 99, "T1", 500_000, 500_300)
    (folder / late).write_bytes(next(folder.glob("owl*.wav")).read_bytes())
    for path in named_corpus(tmp_path / "more", ("T3",), n=6).iterdir():
        path.rename(folder / path.name)
    caplog.clear()
    corpus = load_corpus(folder, join_new=True)
    assert "1 clips are not in the stored split, which is by time" in caplog.text
    assert "divided by time" in corpus.excluded[late]
    after = load_split(folder)[0]
    joined = {c for p in PARTITIONS for c in after[p]} - {c for p in PARTITIONS for c in before[p]}
    assert {clip.tape for clip in joined} == {"2020_T3"}
    assert len(joined) == 6
    for partition in PARTITIONS:
        assert set(before[partition]) <= set(after[partition])
    caplog.clear()
    assert load_corpus(folder, join_new=True).warnings == corpus.warnings
    assert FLATTERS in caplog.text


def test_a_class_of_two_clips_is_said_to_be_missing_for_lack_of_distance(tmp_path, caplog):
    folder = named_corpus(tmp_path / "data", n=48)
    for path in sorted(folder.glob("owl*_T2_*"))[2:] + list(folder.glob("owl*_T1_*")):
        path.unlink()
    with caplog.at_level("INFO"):
        load_corpus(folder, by_time=True)
    (line,) = (r.getMessage() for r in caplog.records if r.getMessage().startswith("owl "))
    assert "too few of its clips lie far enough from each other" in line


def test_clips_that_say_no_time_are_named(tmp_path):
    for name in ("owl", "frog", "noise"):
        for i in range(6):
            path = tmp_path / name / f"day1_{i:04}.wav"
            path.parent.mkdir(exist_ok=True)
            sf.write(path, tone(900, 0.3, RATE), RATE)
    with pytest.raises(CorpusError, match=r"cannot divide 1 tapes \(day1\).*STARTMS"):
        load_corpus(tmp_path, by_time=True)


def test_clips_cut_by_clips_say_their_time_in_the_table(tmp_path):
    rows = [("file", "label", "tape", "source", "source_start_s")]
    for i in range(30):
        path = tmp_path / f"{i:03}.wav"
        sf.write(path, tone(900 + 10 * i, 0.3, RATE), RATE)
        rows.append((path.name, ("a", "b", "c")[i % 3], "t", "long.wav", f"{2.5 * i}"))
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    corpus = load_corpus(tmp_path, by_time=True)
    assert all({s.label for s in corpus.samples[p]} == {0, 1, 2} for p in PARTITIONS)
    assert load_corpus(tmp_path, by_time=True).samples == corpus.samples


def test_a_training_puts_the_word_in_its_results(tmp_path):
    """Two recordings, of which a table names parts."""
    rows = [("file", "label", "start_s", "end_s")]
    rng = np.random.default_rng(0)
    for tape in ("day1", "day2"):
        samples = 0.01 * rng.standard_normal(60 * RATE)
        for i in range(30):
            name, frequency = (("owl", 900), ("frog", 3000), ("noise", None))[i % 3]
            if frequency is not None:
                samples[2 * i * RATE :][: int(0.3 * RATE)] += tone(frequency, 0.3, RATE)
            rows.append((f"{tape}.wav", name, f"{2 * i}", f"{2 * i + 0.3}"))
        sf.write(tmp_path / f"{tape}.wav", samples, RATE)
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    arguments = ("--data_dir", str(tmp_path), *folders(tmp_path / "run"), *SMALL)
    arguments += ("--max_train_epochs", "1", "--epochs_per_eval", "1")
    refused = main_here(*arguments)
    assert refused.returncode != 0
    assert "--split_by_time" in refused.stderr
    done = main_here(*arguments, "--split_by_time")
    assert done.returncode == 0, done.stderr
    assert FLATTERS in done.stderr
    results = json.loads((tmp_path / "run" / "model" / "results.json").read_text())
    assert any(line.startswith(FLATTERS) for line in results["warnings"])


@pytest.mark.parametrize("flags", [("--folds", "3"), ("--strict_split",)])
def test_flags_that_contradict_it_are_refused(tmp_path, flags):
    make_corpus(tmp_path, {"A": ["T1"], "B": ["T2"], "C": ["T3"]})
    result = main_here("--data_dir", str(tmp_path), "--split_by_time", *flags)
    assert result.returncode == 2
    assert "--split_by_time" in result.stderr
