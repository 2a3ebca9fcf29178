"""Distillation: what the student is taught, and that all of it holds in a run."""

from __future__ import annotations

import csv
import json
import math
import unicodedata

import numpy as np
import pytest
import soundfile as sf
import torch
import torch.nn.functional as F

from animal_spot.data.batch_augment import BatchAugmentation
from animal_spot.data.clip_dataset import EpochSampler
from animal_spot.data.corpus import CorpusError, load_corpus
from animal_spot.data.labels import tape_of
from animal_spot.data.unlabelled import UNLABELLED, add_unlabelled
from animal_spot.model_files.model_file import load_model
from animal_spot.training.distillation import DistillationLoss, DistillationTargets, teach
from animal_spot.training.losses import TrainingLoss
from tests.helpers.clips import make_corpus, tone
from tests.helpers.training import SMALL, TAPES, folders, main_here, train

RATE = 16000


def student_of(data, run, *arguments) -> str:
    return train(data, run, *SMALL, "--max_train_epochs", "1", *arguments)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "data"
    return make_corpus(folder, {"A": TAPES, "B": TAPES, "noise": TAPES})


@pytest.fixture(scope="module")
def teacher(corpus, tmp_path_factory):
    """A network that hears another band and another length than the students."""
    run = tmp_path_factory.mktemp("teacher")
    student_of(corpus, run, "--sequence_len", "250", "--fmax", "6000", "--seed", "3")
    return run / "model" / "ANIMAL-SPOT.pk"


@pytest.fixture(scope="module")
def unlabelled(corpus, tmp_path_factory):
    """A short clip, a recording, copies of clips of the corpus, and files that are broken."""
    folder = tmp_path_factory.mktemp("unlabelled")
    rng = np.random.default_rng(0)
    (folder / "deep").mkdir()
    sf.write(folder / "short.wav", tone(900, 0.2, RATE), RATE)
    sf.write(folder / "deep" / "long.flac", tone(2200, 2.1, 22050), 22050)
    sf.write(folder / "rest.wav", 0.1 * rng.standard_normal(int(0.85 * RATE)), RATE)
    (folder / "broken.wav").write_text("no sound")
    (folder / "empty.wav").write_bytes(b"")
    for path in sorted(corpus.glob("A/*.wav"))[:5]:
        (folder / f"copy of {path.name}").write_bytes(path.read_bytes())
    return folder


# -- the loss -----------------------------------------------------------------------------------


def test_loss_agrees_with_the_paper_by_hand():
    """Two classes: teacher 0.8 and 0.2 softened by T = 2 is 2/3 and 1/3; the student says half."""
    said = np.log([[0.8, 0.2]])
    targets = DistillationTargets(said, 2.0)(torch.tensor([0]), torch.tensor([0]))
    torch.testing.assert_close(targets, torch.tensor([[1, 0, 2 / 3, 1 / 3]]))
    loss = DistillationLoss(TrainingLoss([1, 1]), weight=0.25, temperature=2.0)
    divergence = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)
    expected = 0.75 * math.log(2) + 0.25 * 4 * divergence
    assert float(loss(torch.zeros(1, 2), targets)) == pytest.approx(expected, rel=1e-6)


def test_clip_without_a_label_has_the_teacher_alone():
    rng = np.random.default_rng(0)
    said = rng.normal(size=(4, 3))
    logits = torch.from_numpy(rng.normal(size=(4, 3))).float()
    labels = torch.tensor([2, UNLABELLED, UNLABELLED, 0])
    targets = DistillationTargets(said, 3.0)(labels, torch.arange(4))
    plain = TrainingLoss([5, 1, 1], label_smoothing=0.1, logit_adjustment=1.0)
    loss = DistillationLoss(plain, weight=0.4, temperature=3.0)(logits, targets)
    teacher = torch.from_numpy(said / 3).softmax(1).float()
    student = (logits / 3).softmax(1)
    divergence = 9 * (teacher * (teacher / student).log()).sum(1)
    hard = torch.stack([plain(logits[i : i + 1], labels[i : i + 1]) for i in (0, 3)])
    expected = (0.6 * hard + 0.4 * divergence[[0, 3]]).sum() + divergence[[1, 2]].sum()
    assert float(loss) == pytest.approx(float(expected) / 4, rel=1e-5)


def test_weight_1_takes_no_notice_of_labels():
    said, logits = np.random.default_rng(1).normal(size=(2, 3)), torch.randn(2, 3)
    make = DistillationTargets(said, 1.0)
    loss = DistillationLoss(TrainingLoss([1, 1, 1]), weight=1.0, temperature=1.0)
    one, other = (
        loss(logits, make(torch.tensor(labels), torch.arange(2))) for labels in ([0, 1], [2, 2])
    )
    assert one == other
    teacher = torch.from_numpy(said).log_softmax(1).float()
    expected = F.kl_div(logits.log_softmax(1), teacher, log_target=True, reduction="batchmean")
    torch.testing.assert_close(one, expected)


@pytest.mark.parametrize("focal_gamma", [None, 2.0])
def test_loss_of_clips_averages_to_that_of_the_batch(focal_gamma):
    plain = TrainingLoss(
        [9, 3, 1], focal_gamma=focal_gamma, class_weighting="inverse", label_smoothing=0.1
    )
    logits, targets = torch.randn(5, 3), torch.rand(5, 3).softmax(1)
    torch.testing.assert_close(plain.of_clips(logits, targets).mean(), plain(logits, targets))


def test_mixed_clips_have_mixed_targets_of_both_kinds():
    augmentation = BatchAugmentation(n_classes=2, mixup_alpha=1.0)
    make = DistillationTargets(np.log([[0.9, 0.1], [0.3, 0.7]]), 1.0)
    targets = make(torch.tensor([0, UNLABELLED]), torch.arange(2))
    features = torch.zeros(2, 1, 1, 1)
    features[0] = 1  # so that a mixed clip is the share of the first one in it
    for batch in range(9):
        mixed, soft = augmentation(features, targets, 0, batch)
        share = mixed[:, 0, 0]
        torch.testing.assert_close(soft[:, :2], torch.cat([share, torch.zeros(2, 1)], 1))
        torch.testing.assert_close(
            soft[:, 2:], share * targets[0, 2:] + (1 - share) * targets[1, 2:]
        )


# -- sound without labels -----------------------------------------------------------------------


def test_recordings_are_cut_and_clips_of_the_corpus_stay_out(corpus, unlabelled):
    loaded = load_corpus(corpus)
    assert add_unlabelled(loaded, unlabelled, 0.5) == 5
    spans = {s.name.split("@")[0]: [] for s in loaded.unlabelled}
    for sample in loaded.unlabelled:
        spans[sample.name.split("@")[0]].append(sample.span)
        assert sample.label == UNLABELLED
    assert spans == {
        "deep/long.flac": [(i * 11025, 11025) for i in range(4)],  # 0.1 s of 2.1 s are left
        "rest.wav": [(0, 8000), (8000, 5600)],  # the rest is longer than half a clip
        "short.wav": [None],
    }
    assert {p.rsplit("/", 1)[1] for p in loaded.excluded} == {"broken.wav", "empty.wav"}
    assert len({s.digest for s in loaded.unlabelled}) == len(loaded.unlabelled)


def test_recordings_named_like_held_back_tapes_stay_out(corpus, tmp_path):
    loaded = load_corpus(corpus)
    tapes = {
        part: {tape_of(s.name).split("_")[1] for s in loaded.samples[part]}
        for part in ("train", "val", "test")
    }
    held_back = sorted(tapes["val"] | tapes["test"])
    heard = sorted(tapes["train"])[0]
    names = [f"sea_{tape.lower()}_part2.wav" for tape in held_back]
    for name in [*names, f"{heard}.wav", f"x{held_back[0]}9.wav"]:
        sf.write(tmp_path / name, tone(900, 0.2, RATE), RATE)
    add_unlabelled(loaded, tmp_path, 0.5)
    assert {s.name for s in loaded.unlabelled} == {f"{heard}.wav", f"x{held_back[0]}9.wav"}
    assert set(loaded.excluded) == {str(tmp_path / name) for name in names}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_held_back_tapes_are_known_in_either_unicode_form(tmp_path, form):
    tapes = ["Höhle", "Bach", "See"]
    data = make_corpus(tmp_path / "data", {"A": tapes, "B": tapes, "noise": tapes}, rate=RATE)
    loaded = load_corpus(data)
    (tmp_path / "sea").mkdir()
    names = [unicodedata.normalize(form, f"{tape}_1.wav") for tape in tapes]
    for name in names:
        sf.write(tmp_path / "sea" / name, tone(900, 0.2, RATE), RATE)
    add_unlabelled(loaded, tmp_path / "sea", 0.5)
    heard = tape_of(loaded.samples["train"][0].name).split("_")[1]
    assert [tape_of(f"A-x_1_2020_{s.name[:-6]}_0_1.wav")[5:] for s in loaded.unlabelled] == [heard]


def test_a_window_sounds_like_its_part_of_the_recording(tmp_path):
    from animal_spot.audio.clip_files import read_waveform

    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (RATE, 2)).astype(np.float32)
    sf.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    part = read_waveform(tmp_path / "a.wav", RATE, (500, 1000))
    np.testing.assert_array_equal(part[0], samples[500:1500].mean(1, dtype=np.float32))


@pytest.mark.parametrize("content", [{}, {"a.wav": b"no sound"}], ids=["nothing", "broken"])
def test_folder_without_sound_is_an_error(corpus, tmp_path, content):
    for name, text in content.items():
        (tmp_path / name).write_bytes(text)
    with pytest.raises(CorpusError, match="--unlabelled_dir"):
        add_unlabelled(load_corpus(corpus), tmp_path, 0.5)
    with pytest.raises(CorpusError, match="does not exist"):
        add_unlabelled(load_corpus(corpus), tmp_path / "none", 0.5)


@pytest.mark.parametrize("n_extra", [3, 10, 500])
def test_unlabelled_clips_never_own_an_epoch(n_extra):
    sampler = EpochSampler(10, 4, shuffle=True, drop_last=False, seed=0, n_extra=n_extra)
    seen = set()
    for epoch in range(40):
        sampler.start_at(epoch)
        indices = [key[1] for batch in sampler for key in batch]
        assert sorted(i for i in indices if i < 10) == list(range(10))
        extra = [i for i in indices if i >= 10]
        assert len(extra) == len(set(extra)) == min(n_extra, 10)
        assert math.ceil(len(indices) / 4) == len(sampler)
        seen.update(extra)
    assert seen <= set(range(10, 10 + n_extra))
    assert len(seen) > n_extra / 2, "in time each has its turn"
    sampler.start_at(0, 2)
    rest = list(sampler)
    sampler.start_at(0)
    assert rest == list(sampler)[2:]


# -- whole runs ---------------------------------------------------------------------------------


def test_teacher_is_asked_in_its_own_way(corpus, teacher):
    from animal_spot.audio.clip_files import read_waveform
    from animal_spot.audio.dsp import fit_length
    from animal_spot.audio.spectrograms import SpectrogramPipeline

    loaded = load_corpus(corpus)
    said = teach(teacher, loaded, torch.device("cpu"), 0)
    content = load_model(teacher)
    signal = content.signal
    features = SpectrogramPipeline(signal).features(
        read_waveform(loaded.samples["train"][4].path, signal.sr)
    )
    features = fit_length(features, signal.n_clip_frames(250))
    with torch.no_grad():
        expected = content.model.eval()(features[None]).log_softmax(1)
    np.testing.assert_allclose(said[4], expected[0], atol=1e-4)


@pytest.mark.slow
def test_student_learns_from_labels_and_recordings(corpus, teacher, unlabelled, tmp_path):
    options = ("--distill", str(teacher), "--unlabelled_dir", str(unlabelled))
    options += ("--mixup_alpha", "0.2", "--augmentation", "--epochs_per_eval", "1")
    said = student_of(corpus, tmp_path / "a", *options)
    n_train = json.loads((tmp_path / "a/model/results.json").read_text())["clips"]["train"]
    assert "11 clips without a label" in said
    assert f"says of {n_train + 11} training clips (11 without a label)" in said
    with open(tmp_path / "a/log/excluded_files.csv") as file:
        assert {row["file"].rsplit("/", 1)[1] for row in csv.DictReader(file)} == {
            "broken.wav",
            "empty.wav",
        }
    # Two epochs at once, or the second one after the first.
    twice = (*options, "--max_train_epochs", "2")
    student_of(corpus, tmp_path / "b", *twice)
    assert "resumed from" in student_of(corpus, tmp_path / "a", *twice)
    one, other = (load_model(tmp_path / f"{run}/model/ANIMAL-SPOT.pk").model for run in "ab")
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_teacher_of_other_classes_or_another_split_is_told(corpus, teacher, tmp_path):
    data = make_corpus(tmp_path / "others", {"A": TAPES[:6], "C": TAPES[:6], "noise": TAPES[:6]})
    result = main_here(
        *("--data_dir", str(data), *folders(tmp_path), *SMALL, "--distill", str(teacher))
    )
    assert result.returncode == 1
    assert "(A, B, noise) are not those of the data folder (A, C, noise)" in result.stderr
    assert "Traceback" not in result.stderr
    same = make_corpus(tmp_path / "same", {"A": TAPES, "B": TAPES, "noise": TAPES})
    said = student_of(same, tmp_path / "same run", "--distill", str(teacher), "--seed", "7")
    assert "was trained on another split" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--unlabelled_dir", "x"], "--unlabelled_dir needs --distill"),
        (["--distill_weight", "0.5"], "--distill_weight needs --distill"),
        (["--distill", "x", "--distill_weight", "0"], "above 0 and at most 1"),
        (["--distill", "x", "--distill_temperature", "0"], "--distill_temperature must be above 0"),
        (["--distill", "x", "--folds", "3"], "cannot be combined with --folds"),
    ],
    ids=["unlabelled", "weight-alone", "weight-0", "temperature-0", "folds"],
)
def test_settings_that_make_no_sense(flags, message, capsys):
    from animal_spot.training.config import parse_config

    with pytest.raises(SystemExit):
        parse_config(flags)
    assert message in capsys.readouterr().err


def test_missing_teacher_is_one_line(corpus, tmp_path):
    result = main_here(
        *("--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--distill", "no/such.pk")
    )
    assert result.returncode == 1
    assert "no/such.pk" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
