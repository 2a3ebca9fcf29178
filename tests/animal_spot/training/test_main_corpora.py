"""Trainings on clips as people keep them: in folders for each class, as parts of a recording."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.data.clip_dataset import ClipDataset
from animal_spot.data.corpus import load_corpus
from animal_spot.data.hearing import hearing_warnings
from animal_spot.data.splits import PARTITIONS
from animal_spot.data.unlabelled import add_unlabelled
from tests.helpers.clips import make_corpus
from tests.helpers.corpora import as_class_folders, as_one_recording
from tests.helpers.programs import run_here
from tests.helpers.training import SMALL, main_here, train

TAPES = [f"T{i}" for i in range(6) for _ in range(2)]
SHORT = (*SMALL, "--max_train_epochs", "2", "--lr", "1e-3")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> dict[str, Path]:
    """The same clips in both ways, on each of which a network is trained."""
    place = tmp_path_factory.mktemp("corpora")
    named = make_corpus(place / "named", dict.fromkeys(("A", "B", "noise"), TAPES))
    found = {
        "folders": as_class_folders(named, place / "folders"),
        "recording": as_one_recording(named, place / "recording", "flac"),
    }
    with open(found["recording"] / "labels.csv", "a") as table:
        table.write("day1.flac,A,1000,1001,T99,after the end\n")
    for kind, folder in found.items():
        said = train(folder, place / f"run_{kind}", *SHORT, "--noise_from_class", "noise")
        assert "labels: classes by" in said
    return found


def results_of(data: Path) -> dict:
    return json.loads((data.parent / f"run_{data.name}" / "model" / "results.json").read_text())


def model_of(data: Path) -> Path:
    return data.parent / f"run_{data.name}" / "model" / "ANIMAL-SPOT.pk"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folders", "recording"])
def test_results_name_the_clips_of_the_split(kept, kind):
    data, results = kept[kind], results_of(kept[kind])
    corpus = load_corpus(data)
    for partition in ("val", "test"):
        wrong = results["partitions"][partition]["wrong_clips"]
        assert {clip["file"] for clip in wrong} <= {s.name for s in corpus.samples[partition]}
        assert wrong, "else nothing is named"
    assert results["clips"] == {p: len(corpus.samples[p]) for p in PARTITIONS}
    assert sum(results["clips"].values()) == 36


@pytest.mark.slow
def test_part_after_the_end_is_left_out_by_its_name(kept):
    log = kept["recording"].parent / "run_recording" / "log" / "excluded_files.csv"
    (row,) = csv.DictReader(log.open())
    assert row["file"] == "day1.flac#1000-1001"
    assert "not within the recording" in row["reason"]


@pytest.mark.slow
def test_parts_are_heard_as_the_clips_that_they_are(kept):
    """Parts of a FLAC file and the WAV files they were made of give the same network inputs."""
    pipeline = SpectrogramPipeline(SignalConfig(sr=16000, n_fft=256, hop_length=160))
    inputs = []
    for data in kept.values():
        samples = [s for found in load_corpus(data).samples.values() for s in found]
        dataset = ClipDataset(samples, pipeline, 32)
        features = [dataset[(0, i)][0].numpy().tobytes() for i in range(len(samples))]
        inputs.append(
            sorted((s.label, s.tape[-2:], f) for s, f in zip(samples, features, strict=True))
        )
    assert inputs[0] == inputs[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folders", "recording"])
def test_calibration_finds_the_clips_again(kept, kind, tmp_path):
    output = tmp_path / "calibrated.pk"
    result = run_here(
        *("calibrate", model_of(kept[kind]), "--data_dir", kept[kind], "--output", output),
        *("--num_workers", "0"),
    )
    assert result.returncode == 0, result.stderr
    assert "another split" not in result.stderr
    assert output.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folders", "recording"])
def test_a_finished_run_is_known_again(kept, kind):
    data = kept[kind]
    said = train(data, data.parent / f"run_{kind}", *SHORT, "--noise_from_class", "noise")
    assert "finished already" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folders", "recording"])
def test_folds_judge_each_clip_without_its_tape(kept, kind, tmp_path):
    train(kept[kind], tmp_path, *SHORT, "--max_train_epochs", "1", "--folds", "2")
    results = json.loads((tmp_path / "model" / "results.json").read_text())
    assert len(results["clips"]) == 36
    assert results["pooled"]["tapes"] == 6
    fold_of = {}
    for clip in results["clips"]:
        assert fold_of.setdefault(clip["tape"], clip["fold"]) == clip["fold"]
    clips = json.loads((tmp_path / "model" / "folds.json").read_text())["clips"]
    assert clips.keys() == {clip["file"] for clip in results["clips"]}


@pytest.mark.slow
def test_table_elsewhere_needs_no_data_folder(kept, tmp_path):
    table = kept["recording"] / "labels.csv"
    result = main_here(
        *("--labels", str(table), "--model_dir", str(tmp_path), "--split_dir", str(tmp_path / "s")),
        *(*SHORT, "--max_train_epochs", "1", "--summary_dir", str(tmp_path)),
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_pattern_that_is_none_is_refused(kept, tmp_path):
    data = ("--data_dir", str(kept["folders"]), "--model_dir", str(tmp_path))
    result = main_here(*data, "--tape_pattern", "rec(")
    assert result.returncode == 2
    assert "--tape_pattern rec( is no regular expression" in result.stderr


@pytest.mark.slow
def test_recordings_of_clips_are_not_unlabelled_sound(kept):
    corpus = load_corpus(kept["recording"])
    (kept["recording"].parent / "sound").mkdir()
    for name in ("day1.flac", "day2.flac"):
        content = (kept["recording"] / "day1.flac").read_bytes()
        (kept["recording"].parent / "sound" / name).write_bytes(content)
    other = next((kept["folders"] / "A").iterdir())
    (kept["recording"].parent / "sound" / "other.wav").write_bytes(other.read_bytes())
    assert add_unlabelled(corpus, kept["recording"].parent / "sound", 0.5) == 2
    assert [sample.name for sample in corpus.unlabelled] == ["other.wav"]


@pytest.mark.slow
def test_parts_are_distorted_and_mixed_in_as_files_are(kept):
    """The same chance, digest and sound, be it a file or a part of one."""
    corpora = [load_corpus(data) for data in kept.values()]
    signal = SignalConfig(sr=16000, n_fft=256, hop_length=160)
    heard, warned = [], []
    for corpus in corpora:
        samples = sorted(
            (s for found in corpus.samples.values() for s in found), key=lambda s: s.tape[-2:]
        )
        call = next(replace(s, name="call") for s in samples if s.label == 0)
        noise = [replace(s, digest=f"{i}") for i, s in enumerate(samples) if s.label == 2][:1]
        dataset = ClipDataset(
            *([call], SpectrogramPipeline(signal), 32), augmentation=Augmentation(), noise=noise
        )
        heard.append(dataset[(1, 0)][0])
        assert not hearing_warnings(corpus.samples, corpus.classes, signal, 320)
        deaf = replace(signal, fmin=100, fmax=500)
        warned.append(hearing_warnings(corpus.samples, corpus.classes, deaf, 320))
    assert heard[0].equal(heard[1])
    assert warned[0] == warned[1]
    assert len(warned[0]) == 3
