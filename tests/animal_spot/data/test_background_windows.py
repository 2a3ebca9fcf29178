from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio.clip_files import read_waveform
from animal_spot.data import background_windows
from animal_spot.data.background_windows import add_background
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import Corpus, CorpusError
from animal_spot.utils.files import file_digest

RATE = 8000


def write(path, seconds, seed=0, **how):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, 0.1 * rng.standard_normal(int(seconds * RATE)), RATE, **how)
    return path


@pytest.fixture(autouse=True)
def _forget():
    background_windows.find_background.cache_clear()


def corpus_of(n_noise: int = 2, n_calls: int = 8, val: list[Sample] | None = None) -> Corpus:
    train = [Sample(None, f"c{i}", f"c{i}", 0) for i in range(n_calls)]
    train += [Sample(None, f"n{i}", f"n{i}", 1) for i in range(n_noise)]
    return Corpus({"a": 0, "noise": 1}, {"train": train, "val": val or [], "test": []})


def test_recordings_are_windows_and_some_are_clips_of_the_noise_class(tmp_path):
    write(tmp_path / "sea" / "long.flac", 61)
    write(tmp_path / "sea" / "deep" / "short.wav", 2)
    write(tmp_path / "sea" / "too_short.wav", 0.5)
    corpus = corpus_of()
    add_background(corpus, [str(tmp_path / "sea")], 2.0, noise_label=1, seed=0)
    assert len(corpus.noise) == 30 + 1 + 1  # the last second of the long one is half a window
    added = corpus.samples["train"][10:]
    assert len(added) == 5  # a mean class: 10 clips of 2 classes
    assert {sample.label for sample in added} == {1}
    assert len({sample.name for sample in corpus.noise}) == 32
    assert [k for k in corpus.excluded if k.endswith("too_short.wav")]
    for sample in corpus.noise[:3]:
        samples, _ = sf.read(sample.path, start=sample.span[0], frames=sample.span[1])
        heard = read_waveform(sample.path, RATE, sample.span)
        np.testing.assert_allclose(heard[0].numpy(), samples, atol=1e-6)


@pytest.mark.parametrize(("n_noise", "expected"), [(1, 5), (30, 19)])
def test_further_clips_do_not_outweigh(tmp_path, n_noise, expected):
    write(tmp_path / "a.wav", 19)
    corpus = corpus_of(n_noise, 9)
    add_background(corpus, [str(tmp_path)], 1.0, noise_label=1, seed=0)
    assert len(corpus.samples["train"]) == 9 + n_noise + expected


def test_without_a_noise_class_they_are_mixed_in_only(tmp_path):
    write(tmp_path / "a.wav", 9)
    corpus = corpus_of()
    add_background(corpus, [str(tmp_path)], 1.0, noise_label=None, seed=0)
    assert len(corpus.noise) == 9
    assert len(corpus.samples["train"]) == 10


def test_long_recordings_are_not_read_whole(tmp_path, monkeypatch):
    for name in "ab":
        write(tmp_path / f"{name}.wav", 100)
    write(tmp_path / "c.wav", 3)
    read = []
    original = background_windows.Recording.read
    monkeypatch.setattr(
        background_windows.Recording, "read", lambda self, n: read.append(n) or original(self, n)
    )
    monkeypatch.setattr(background_windows, "MOST_WINDOWS", 10)
    corpus = corpus_of()
    add_background(corpus, [str(tmp_path)], 1.0, noise_label=1, seed=0)
    assert sum(read) == 10 * RATE
    counts = {name: sum(s.path.stem == name for s in corpus.noise) for name in "abc"}
    assert counts == {"a": 4, "b": 3, "c": 3}


def test_what_cannot_be_read_is_named_and_the_rest_used(tmp_path, caplog):
    write(tmp_path / "good.wav", 5)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    content = write(tmp_path / "cut.flac", 20).read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    sf.write(tmp_path / "silent.wav", np.zeros(5 * RATE), RATE)
    corpus = corpus_of()
    add_background(corpus, [str(tmp_path)], 1.0, noise_label=1, seed=0)
    for name in ("broken.wav", "cut.flac", "silent.wav"):
        assert str(tmp_path / name) in caplog.text
        assert str(tmp_path / name) in corpus.excluded
    assert sum(s.path.name == "good.wav" for s in corpus.noise) == 5


@pytest.mark.parametrize("content", [None, "folder", "text", "broken"])
def test_a_folder_without_sound_is_refused(tmp_path, content):
    folder = tmp_path / "sea"
    if content is not None:
        folder.mkdir()
    if content == "text":
        (folder / "notes.txt").write_text("waves")
    if content == "broken":
        (folder / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(CorpusError, match=f"--background_dir.*{folder}|{folder}.*"):
        add_background(corpus_of(), [str(folder)], 1.0, noise_label=1, seed=0)


def test_clips_of_validation_stay_unheard(tmp_path):
    clip = write(tmp_path / "val.wav", 3, seed=1)
    copy = tmp_path / "sea" / "other_name.wav"
    write(tmp_path / "sea" / "a.wav", 3)
    copy.write_bytes(clip.read_bytes())
    corpus = corpus_of(val=[Sample(clip, "v", file_digest(clip), 1)])
    add_background(corpus, [str(tmp_path / "sea")], 1.0, noise_label=1, seed=0)
    assert {s.path.name for s in corpus.noise} == {"a.wav"}
    assert str(copy) in corpus.excluded
