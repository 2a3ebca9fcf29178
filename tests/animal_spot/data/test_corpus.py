from __future__ import annotations

import errno
import logging
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from animal_spot.data import corpus as corpus_module
from animal_spot.data.corpus import CorpusError, load_corpus, write_excluded_files
from animal_spot.data.labels import Clip
from animal_spot.data.splits import PARTITIONS, Split, save_split
from animal_spot.data.tape_folds import load_pool
from animal_spot.training.clip_scores import stored_corpus
from tests.helpers.clips import clip_name, make_corpus

TAPES = [f"T{i}" for i in range(8)]


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_corpus(tmp_path / "data", {"A": TAPES, "B": TAPES, "noise": TAPES})


def store(folder: Path, **tapes: list[str]) -> None:
    """Keep a split of all classes by tape."""
    parts = {}
    for partition in PARTITIONS:
        parts[partition] = tuple(
            Clip(f"{name}/{clip_name(name, TAPES.index(t), t)}", name, f"2020_{t}")
            for name in ("A", "B", "noise")
            for t in tapes[partition]
        )
    save_split(Split(**parts), folder)


def tapes_of(corpus, partition: str) -> set[str]:
    return {s.name.split("_")[-3] for s in corpus.samples[partition]}


def remove_split(folder: Path) -> None:
    for partition in PARTITIONS:
        (folder / partition).unlink()


def test_new_corpus_is_numbered_split_by_tape_and_stored(folder):
    corpus = load_corpus(folder)
    assert corpus.classes == {"A": 0, "B": 1, "noise": 2}
    assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 24
    for partition in PARTITIONS:
        assert {s.label for s in corpus.samples[partition]} == {0, 1, 2}
        for sample in corpus.samples[partition]:
            assert sample.path == folder / sample.name
            assert sample.path.is_file()
            assert corpus.classes[sample.name.split("/")[0]] == sample.label
    assert not tapes_of(corpus, "train") & (tapes_of(corpus, "val") | tapes_of(corpus, "test"))
    assert corpus.excluded == {}
    assert load_corpus(folder) == corpus, "the stored split gives the same corpus"


def test_stored_split_is_used_as_it_is(folder):
    store(folder, train=TAPES[:2], val=TAPES[2:7], test=TAPES[7:])
    corpus = load_corpus(folder, seed=99)
    assert [tapes_of(corpus, p) for p in PARTITIONS] == [
        set(TAPES[:2]),
        set(TAPES[2:7]),
        set(TAPES[7:]),
    ]


def test_relative_folder_works(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    corpus = load_corpus(Path("data"))
    assert all(s.path.is_file() for s in corpus.samples["train"])


def test_seed_decides_a_new_split(folder):
    found = set()
    for seed in range(5):
        found.add(frozenset(tapes_of(load_corpus(folder, seed=seed), "test")))
        remove_split(folder)
    assert len(found) > 1


# -- what is refused ----------------------------------------------------------------------------


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="does not exist"):
        load_corpus(tmp_path / "gone")


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no sound file was found"):
        load_corpus(tmp_path)


def test_folder_of_unusable_clips_is_refused_with_examples(tmp_path):
    (tmp_path / "foo.wav").touch()
    (tmp_path / clip_name("A", 0, "T")).touch()
    with pytest.raises(CorpusError, match=r"no clip is usable.*foo\.wav \(badly named"):
        load_corpus(tmp_path)


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        pytest.param({"A": TAPES}, "only 'A' was found", id="one-class"),
        pytest.param({"A": TAPES, "B": TAPES}, "named 'target'", id="two-without-target"),
        pytest.param({"target": ["T1", "T2"], "B": ["T1"]}, "validation", id="too-few-tapes"),
    ],
)
def test_corpus_that_cannot_be_trained_on_is_refused_and_nothing_written(tmp_path, classes, match):
    make_corpus(tmp_path, classes)
    with pytest.raises(CorpusError, match=match):
        load_corpus(tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".wav"]


def test_wrong_number_of_classes_is_refused_with_their_names(folder):
    with pytest.raises(CorpusError, match=r"--num_classes is 2, but 3 .*A, B, noise"):
        load_corpus(folder, num_classes=2)
    assert not (folder / "train").exists()
    assert load_corpus(folder, num_classes=3).classes.keys() == {"A", "B", "noise"}


def test_class_of_which_nothing_is_usable_is_named(folder):
    for path in (folder / "B").iterdir():
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no usable training clip of class B \(8 files"):
        load_corpus(folder)


def test_users_own_csv_in_the_way_is_refused(folder):
    (folder / "A" / "train.csv").write_text("id,label\n1,x\n")
    with pytest.raises(CorpusError, match="in the way"):
        load_corpus(folder)


def test_stored_split_with_a_missing_csv_is_refused(folder):
    load_corpus(folder)
    (folder / "A" / "train.csv").unlink()
    with pytest.raises(CorpusError, match=r"stored split cannot be read.*train\.csv"):
        load_corpus(folder)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'"' + b"x" * 200_000 + b'"\r\n', id="endless-field"),
    ],
)
def test_stored_split_with_a_damaged_csv_is_refused(folder, content):
    load_corpus(folder)
    (folder / "A" / "train.csv").write_bytes(content)
    with pytest.raises(CorpusError, match="stored split cannot be read"):
        load_corpus(folder)


# -- what is left out ---------------------------------------------------------------------------


def test_left_out_files_have_their_reason(folder, write_wav, tmp_path):
    names = {n: f"A/{clip_name('A', 50 + i, 'T1')}" for i, n in enumerate(("zero", "cut", "quiet"))}
    (folder / names["zero"]).touch()
    whole = next((folder / "A").glob("*.wav")).read_bytes()
    (folder / names["cut"]).write_bytes(whole[:-100])
    write_wav(folder / names["quiet"], np.zeros(2000), 22050)
    (folder / "A" / "foo.wav").write_bytes(whole)
    (folder / "A" / "A-x_1_1900_T1_0_1.wav").write_bytes(whole)
    corpus = load_corpus(folder, exclude_silent=True)
    assert {path: reason.split(":")[0] for path, reason in corpus.excluded.items()} == {
        names["zero"]: "empty",
        names["cut"]: "truncated",
        names["quiet"]: "silent",
        "A/foo.wav": "badly named",
        "A/A-x_1_1900_T1_0_1.wav": "badly named",
    }
    assert corpus.classes.keys() == {"A", "B", "noise"}, "a bad name makes no class"
    listed = {s.name for p in PARTITIONS for s in corpus.samples[p]}
    assert not listed & corpus.excluded.keys()
    write_excluded_files(corpus.excluded, tmp_path / "excluded.csv")
    lines = (tmp_path / "excluded.csv").read_text().splitlines()
    assert lines[0] == "file,reason"
    assert len(lines) == 6


def test_files_that_macos_leaves_on_foreign_disks_do_no_harm(folder):
    for path in list((folder / "A").glob("*.wav")):
        (folder / "A" / f"._{path.name}").write_bytes(b"\x00\x05\x16\x07" + bytes(4092))
    assert load_corpus(folder).classes.keys() == {"A", "B", "noise"}


def test_clips_that_the_original_set_aside_stay_aside(folder):
    path = next((folder / "A").glob("*.wav"))
    (folder / "A" / "bkp").mkdir()
    path.rename(folder / "A" / "bkp" / path.name)
    corpus = load_corpus(folder)
    assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 23


def test_clip_of_a_stored_split_that_is_gone_is_reported(folder):
    load_corpus(folder)
    path = next((folder / "A").glob("*.wav"))
    path.unlink()
    corpus = load_corpus(folder)
    assert list(corpus.excluded) == [path.relative_to(folder).as_posix()]
    assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 23


def test_clip_that_is_in_no_partition_is_reported(folder, caplog):
    load_corpus(folder)
    source = next((folder / "A").glob("*.wav"))
    shutil.copy(source, folder / "A" / clip_name("A", 77, "T1"))
    with caplog.at_level(logging.WARNING):
        load_corpus(folder)
    assert "1 clips are in no partition" in caplog.text


# -- names ------------------------------------------------------------------------------------


def test_one_species_in_two_unicode_forms_is_one_class(tmp_path, caplog):
    """As in ``names/`` of the cases: folders and names from Windows and from a Mac."""
    forms = [unicodedata.normalize(form, "Käuzchen") for form in ("NFC", "NFD")]
    folder = make_corpus(tmp_path, {forms[0]: TAPES, "noise": TAPES, "Uhu": TAPES})
    make_corpus(tmp_path, {forms[1]: [f"M{t}" for t in TAPES]}, seed=1)
    corpus = load_corpus(folder)
    assert list(corpus.classes) == [forms[0], "Uhu", "noise"]
    assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 32
    assert all(s.path.is_file() for p in PARTITIONS for s in corpus.samples[p])
    assert load_corpus(folder) == corpus, "from the stored split"
    noise = load_corpus(folder, noise_from_class=forms[1]).noise
    assert {Path(s.name).parts[0] for s in noise} == set(forms)


def test_stored_split_of_another_unicode_form_finds_its_clips(tmp_path):
    forms = [unicodedata.normalize(form, "Käuzchen") for form in ("NFC", "NFD")]
    folder = make_corpus(tmp_path, {forms[0]: TAPES, "noise": TAPES, "Uhu": TAPES})
    before = load_corpus(folder)
    for path in sorted((folder / forms[0]).iterdir()):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    (folder / forms[0]).rename(folder / forms[1])
    after = load_corpus(folder)
    assert after.excluded == {}
    assert {p: [s.digest for s in after.samples[p]] for p in PARTITIONS} == {
        p: [s.digest for s in before.samples[p]] for p in PARTITIONS
    }


@pytest.mark.parametrize("other", ["a", "A ", " A"])
def test_classes_that_differ_in_case_or_blanks_are_refused_with_both_folders(tmp_path, other):
    make_corpus(tmp_path / "north", {"A": TAPES, "noise": TAPES})
    make_corpus(tmp_path / "south", {other: TAPES})
    for load in (load_corpus, load_pool):
        with pytest.raises(CorpusError, match=r"differ only in case or blanks.*rename") as caught:
            load(tmp_path)
        assert "'A' (north/A/A-call_0" in str(caught.value)
        assert f"{other!r} (south/{other}/{other}-call_0" in str(caught.value)
    assert not (tmp_path / "train").exists()


def test_class_with_a_dash_is_warned_of(tmp_path, caplog):
    make_corpus(tmp_path, {"Roe-deer": TAPES, "Fox": TAPES, "noise": TAPES})
    assert list(load_corpus(tmp_path).classes) == ["Fox", "Roe", "noise"]
    assert "Roe-deer (8 clips): the class of these clips is Roe" in caplog.text


def test_names_that_break_rules_are_left_out_with_their_reason(folder):
    undecodable = os.fsdecode(b"A-call_9_2020_T\xff_0_300.wav")
    bad = {
        "A/A-call_9_2020_T1_900_300.wav": "ENDMS 300 lies before",
        "A/A-call_9_2020_20240512_063000_0_300.wav": "TAPE is '20240512_063000'",
        f"A/{undecodable}": "not UTF-8",
    }
    content = next((folder / "A").glob("*.wav")).read_bytes()
    for path in bad:
        (folder / path).write_bytes(content)
    for _ in range(2):  # with a new split, and with the stored one
        corpus = load_corpus(folder)
        assert corpus.excluded.keys() == bad.keys()
        assert all(text in corpus.excluded[path] for path, text in bad.items())
        assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 24


def test_too_few_tapes_are_counted_for_each_class(tmp_path):
    make_corpus(tmp_path, {"A": ["T1", "T1"], "B": ["T2", "T2"], "noise": ["T3", "T3"]})
    with pytest.raises(CorpusError, match="validation") as caught:
        load_corpus(tmp_path)
    assert "A comes from 1 tape, B comes from 1 tape, noise comes from 1 tape" in str(caught.value)
    assert "each class from at least 3 tapes" in str(caught.value)


# -- a split elsewhere --------------------------------------------------------------------------


def test_split_in_a_folder_of_its_own(folder, tmp_path):
    own = tmp_path / "own"
    corpus = load_corpus(folder, split_dir=own)
    assert not [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".wav"]
    assert load_corpus(folder, split_dir=own, seed=5) == corpus
    assert all(s.path.is_file() for p in PARTITIONS for s in corpus.samples[p])
    load_corpus(folder, seed=5)  # another one in the data folder does not count
    assert load_corpus(folder, split_dir=own) == corpus


def test_data_folder_that_cannot_be_written_is_left_and_the_split_kept_elsewhere(
    folder, tmp_path, monkeypatch, caplog
):
    real = corpus_module.exclusive

    def refuse(path):
        if path.parent == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("animal_spot.data.corpus.exclusive", refuse)
    with pytest.raises(CorpusError, match=r"cannot be written into .*--split_dir"):
        load_corpus(folder)
    beside = tmp_path / "model" / "split"
    corpus = load_corpus(folder, fallback_split_dirs=[beside])
    assert f"it is kept in {beside}" in caplog.text
    assert load_corpus(folder, fallback_split_dirs=[tmp_path / "none", beside], seed=9) == corpus


def test_linked_class_folders_are_read_and_the_split_kept_beside_the_model(folder, tmp_path):
    elsewhere = tmp_path / "archive"
    (folder / "A").rename(elsewhere)
    (folder / "A").symlink_to(elsewhere)
    with pytest.raises(CorpusError, match=r"A is a symbolic link.*--split_dir"):
        load_corpus(folder)
    corpus = load_corpus(folder, fallback_split_dirs=[tmp_path / "split"])
    assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 24
    assert load_corpus(folder, split_dir=tmp_path / "split") == corpus
    assert all(path.suffix == ".wav" for path in elsewhere.iterdir())


def test_programs_that_judge_models_find_the_split_beside_the_model(folder, tmp_path):
    model = tmp_path / "model" / "ANIMAL-SPOT.pk"
    corpus = load_corpus(folder, split_dir=model.parent / "split")
    with pytest.raises(CorpusError, match=r"holds no stored split.*--split_dir"):
        stored_corpus(folder, corpus.classes, 1)
    with pytest.raises(CorpusError, match=r"--split_dir .*none holds no stored split"):
        stored_corpus(folder, corpus.classes, 1, tmp_path / "none", [model])
    assert stored_corpus(folder, corpus.classes, 1, models=[model]) == corpus
    assert stored_corpus(folder, corpus.classes, 1, model.parent / "split") == corpus


# -- audit --------------------------------------------------------------------------------------


def test_leaking_stored_split_is_reported_or_with_strict_refused(folder, caplog):
    store(folder, train=TAPES[:6], val=TAPES[5:7], test=TAPES[7:])
    with caplog.at_level(logging.WARNING):
        load_corpus(folder)
    assert "2020_T5 (train, val)" in caplog.text
    with pytest.raises(CorpusError, match="1 tapes lie in more than one partition"):
        load_corpus(folder, strict_split=True)


def test_sound_stored_split_passes_strict(folder, caplog):
    load_corpus(folder)
    with caplog.at_level(logging.WARNING):
        load_corpus(folder, strict_split=True)
    assert "leaks" not in caplog.text


def test_identical_copies_in_two_partitions_are_reported(folder, caplog):
    store(folder, train=TAPES[:6], val=TAPES[6:7], test=TAPES[7:])
    shutil.copy(folder / "A" / clip_name("A", 0, "T0"), folder / "A" / clip_name("A", 7, "T7"))
    with caplog.at_level(logging.WARNING):
        load_corpus(folder)
    assert "1 clips lie in more than one partition as identical copies" in caplog.text


def test_split_of_this_program_passes_strict_the_second_time_too(folder):
    # Copies under the names of different tapes: no name tells that they belong together, and
    # deleting the split, as the message advises, would only bring the same one back.
    content = (folder / "A" / clip_name("A", 0, "T0")).read_bytes()
    for number, tape in enumerate(TAPES):
        (folder / "A" / clip_name("A", number, tape)).write_bytes(content)
    first = load_corpus(folder, strict_split=True)
    assert load_corpus(folder, strict_split=True) == first


# -- noise --------------------------------------------------------------------------------------


def test_noise_folder_gives_its_usable_clips(folder, tmp_path, write_wav):
    noise = tmp_path / "sea [1]"
    write_wav(noise / "a.wav", np.full(2000, 0.1), 22050)
    write_wav(noise / "B.WAV", np.full(2000, 0.2), 22050)
    write_wav(noise / "deeper" / "c.wav", np.full(2000, 0.3), 22050)
    (noise / "broken.wav").touch()
    (noise / "notes.txt").touch()
    corpus = load_corpus(folder, noise_dir=noise)
    assert [s.path.name for s in corpus.noise] == ["B.WAV", "a.wav"]
    assert list(corpus.excluded) == [str(noise / "broken.wav")]


def test_noise_that_is_also_held_back_is_not_mixed_in(folder, tmp_path, caplog):
    store(folder, train=TAPES[:6], val=TAPES[6:7], test=TAPES[7:])
    noise = tmp_path / "sea"
    noise.mkdir()
    for number in (0, 6, 7):  # a clip each of train, val and test, under other names
        shutil.copy(
            folder / "noise" / clip_name("noise", number, f"T{number}"), noise / f"{number}.wav"
        )
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(folder, noise_dir=noise)
    assert [s.path.name for s in corpus.noise] == ["0.wav"]
    assert "2 noise clips are also clips of val or test" in caplog.text


def test_noise_of_a_class_comes_from_training_alone(folder):
    store(folder, train=TAPES[:6], val=TAPES[6:7], test=TAPES[7:])
    corpus = load_corpus(folder, noise_from_class="noise")
    assert {s.name for s in corpus.noise} == {
        f"noise/{clip_name('noise', i, f'T{i}')}" for i in range(6)
    }
    assert len(corpus.samples["train"]) == 18, "they are still trained on"


def test_unknown_noise_class_and_folder_are_refused(folder, tmp_path):
    with pytest.raises(CorpusError, match="no such class, only A, B, noise"):
        load_corpus(folder, noise_from_class="sea")
    with pytest.raises(CorpusError, match=r"noise folder .* does not exist"):
        load_corpus(folder, noise_dir=tmp_path / "gone")


def test_empty_noise_folder_is_mentioned(folder, tmp_path, caplog):
    (tmp_path / "sea").mkdir()
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(folder, noise_dir=tmp_path / "sea")
    assert corpus.noise == []
    assert "nothing will be mixed in" in caplog.text


# -- real data ----------------------------------------------------------------------------------


def test_real_calls_are_split_without_a_leak(shared_data, tmp_path):
    folder = tmp_path / "calls"
    for source in sorted((shared_data / "orca_calls").glob("*/*.wav")):
        target = folder / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    corpus = load_corpus(folder)
    assert len(corpus.classes) == 8
    assert sum(len(corpus.samples[p]) for p in PARTITIONS) == 272
    tapes = [
        {tuple(s.name.upper().split("_")[-4:-2]) for s in corpus.samples[p]} for p in PARTITIONS
    ]
    assert not tapes[0] & tapes[1] | tapes[0] & tapes[2] | tapes[1] & tapes[2]
    for partition in PARTITIONS:
        assert {s.label for s in corpus.samples[partition]} == set(range(8)), partition
