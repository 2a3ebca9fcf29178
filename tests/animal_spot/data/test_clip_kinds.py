"""Clips of every kind of sound file that libsndfile reads; what cannot be read is listed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile as sf

from animal_spot.data.corpus import CorpusError, load_corpus, noise_samples, report_excluded
from animal_spot.data.labels import find_files, parse_clip
from animal_spot.data.tape_folds import load_pool
from animal_spot.data.unlabelled import add_unlabelled
from tests.helpers.clips import clip_name, make_corpus, tone

RATE = 22_050
KINDS = {
    "wav": {},
    "flac": {},
    "mp3": {},
    "ogg": {},
    "aiff": {},
    "aif": {"format": "AIFF"},
    "w64": {},
    "caf": {},
    "au": {},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "WAV": {},
}


def write_clip(folder, class_name: str, number: int, kind: str) -> str:
    name = clip_name(class_name, number, f"T{number}").replace(".wav", f".{kind}")
    rate = 24_000 if kind == "opus" else RATE
    sf.write(folder / name, tone(900 + 200 * number, 0.4, rate), rate, **KINDS[kind])
    return name


@pytest.fixture
def mixed(tmp_path):
    """Return a folder of clips: one class of each kind of file, one of wav."""
    folder = tmp_path / "clips"
    make_corpus(folder, {"noise": ["T0", "T1", "T2"]})
    for number, kind in enumerate(KINDS):
        write_clip(folder, "target", number, kind)
    return folder


def test_clips_of_every_kind_are_used(mixed):
    corpus = load_corpus(mixed)
    used = [sample for part in corpus.samples.values() for sample in part]
    assert len(used) == len(KINDS) + 3
    assert corpus.excluded == {}
    assert all(0.3 <= sample.duration_s < 0.5 for sample in used)
    again = load_corpus(mixed)
    assert again == corpus, "from the stored split"
    assert len(load_pool(mixed).clips) == len(used)


def test_the_ending_is_no_part_of_class_and_tape():
    clips = {parse_clip(f"S1-x_1_2020_T9_0_300.{kind}").tape for kind in KINDS}
    assert clips == {"2020_T9"}


def test_what_cannot_be_read_is_listed_and_the_rest_counted(mixed, tmp_path, caplog):
    caplog.set_level("INFO")
    clip = clip_name("target", 90, "T9")
    unread = [clip.replace(".wav", kind) for kind in (".m4a", ".WMA")]
    for name in (*unread, "photo.jpg", "notes.txt", ".hidden.m4a"):
        (mixed / name).write_bytes(b"\0\0\0\x20ftypM4A ")
    corpus = load_corpus(mixed)
    assert sorted(corpus.excluded) == sorted(unread)
    report_excluded(corpus.excluded, tmp_path)
    with open(tmp_path / "excluded_files.csv", encoding="utf-8") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert rows[unread[0]].startswith("m4a files cannot be read: convert it to wav or flac")
    assert "1 other files are no sound (.jpg 1)" in caplog.text
    assert "2 files are left out" in caplog.text


def test_a_class_does_not_vanish_with_its_kind_of_file(mixed):
    for number in range(3):
        name = clip_name("K2", number, f"T{number}").replace(".wav", ".m4a")
        (mixed / name).write_bytes(b"\0\0\0\x20ftypM4A ")
    with pytest.raises(CorpusError, match="no usable training clip of class K2"):
        load_corpus(mixed)
    with pytest.raises(CorpusError, match=r"no usable clip of class K2.*m4a files cannot be read"):
        load_pool(mixed)


def test_noise_clips_of_every_kind(mixed, tmp_path):
    noise = tmp_path / "noise"
    noise.mkdir()
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, RATE)
    for name in ("a.flac", "b.mp3", "c.wav"):
        sf.write(noise / name, samples, RATE)
    (noise / "d.wv").write_bytes(b"wvpk")
    corpus = load_corpus(mixed)
    found = noise_samples(corpus, noise, None, exclude_silent=False, n_processes=1)
    assert sorted(sample.name for sample in found) == ["a.flac", "b.mp3", "c.wav"]
    assert "wv files cannot be read" in corpus.excluded[str(noise / "d.wv")]


def test_nothing_but_unreadable_files_is_said(tmp_path):
    (tmp_path / "target-x_1_2020_T_0_1.m4a").write_bytes(b"x")
    with pytest.raises(CorpusError, match=r"no clip is usable.*m4a files cannot be read"):
        load_corpus(tmp_path)
    assert find_files(tmp_path).clips == []


def test_strange_clips_are_said_in_one_line_for_each_kind(tmp_path, caplog):
    folder = make_corpus(tmp_path, {"target": ["A", "B", "C"], "noise": ["A", "B", "C"]})
    for number, path in enumerate(sorted((folder / "target").iterdir())):
        samples, rate = sf.read(path)
        sf.write(path, 30_000 * (1 + number) * samples, rate, subtype="FLOAT")
    left = sorted((folder / "noise").iterdir())[0]
    samples, rate = sf.read(left)
    sf.write(left, np.stack([samples, -samples], axis=1), rate)
    warnings = load_corpus(folder).warnings
    assert len(warnings) == 2
    assert "and 2 others like it: floating-point samples of up to 1" in "".join(warnings)
    assert "channels cancel each other" in "".join(warnings)
    assert load_corpus(folder, channel="1").warnings == [w for w in warnings if "floating" in w]
    assert sum("others like it" in record.getMessage() for record in caplog.records) == 2


def test_unlabelled_sound_of_every_kind_and_channel(mixed, tmp_path):
    corpus = load_corpus(mixed)
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    calls = np.random.default_rng(0).uniform(-0.1, 0.1, RATE)
    sf.write(folder / "a.flac", np.stack([calls, -calls], axis=1), RATE)
    sf.write(folder / "b.wav", calls, RATE)
    (folder / "c.wma").write_bytes(b"x")
    add_unlabelled(corpus, folder, 0.5)
    assert {sample.path.name for sample in corpus.unlabelled} == {"a.flac", "b.wav"}
    assert "wma files cannot be read" in corpus.excluded[str(folder / "c.wma")]
    assert "a.flac: channels cancel each other" in corpus.warnings[-1]
    corpus.unlabelled, corpus.warnings = [], []
    add_unlabelled(corpus, folder, 0.5, channel="2")
    assert {sample.path.name for sample in corpus.unlabelled} == {"a.flac"}
    assert "no channel 2" in corpus.excluded[str(folder / "b.wav")]
    assert corpus.warnings == []
