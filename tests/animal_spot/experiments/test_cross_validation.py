"""main.py --folds as a process."""

import json
import shutil

import numpy as np
import pytest
import torch

from animal_spot import main
from tests.helpers.clips import make_corpus
from tests.helpers.training import SMALL, folders, train, train_until_killed

TAPES = [f"T{i}" for i in range(9)]
FLAGS = (
    *SMALL,
    *("--batch_size", "8", "--max_train_epochs", "2"),  # few steps, so quick
    *("--epochs_per_eval", "1", "--augmentation", "--folds", "3"),
)


def contents(data):
    return {p: p.read_bytes() for p in data.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Clips with a stored split that --folds must not touch, since it cannot even be read."""
    data = make_corpus(
        tmp_path_factory.mktemp("corpus") / "data", {"A": TAPES * 2, "B": TAPES, "noise": TAPES[:4]}
    )
    for name in ("train", "val", "test"):
        (data / name).write_text("missing.csv\n")
    return data


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished")
    before = contents(corpus)
    said = train(corpus, run, *FLAGS)
    assert contents(corpus) == before, "the data folder was changed"
    return run, said


def results_of(run) -> dict:
    return json.loads((run / "model" / "results.json").read_text())


def assert_same(run, reference) -> None:
    found, expected = results_of(run), results_of(reference)
    for content in (found, expected):
        del content["settings"]  # names the folders
    assert found == expected
    for fold in (1, 2, 3):
        name = f"model/fold_{fold}/ANIMAL-SPOT.pk"
        state = torch.load(run / name, weights_only=True)["encoderState"]
        wanted = torch.load(reference / name, weights_only=True)["encoderState"]
        assert all(torch.equal(state[key], wanted[key]) for key in wanted)


@pytest.mark.slow
def test_each_clip_is_judged_once_by_a_network_that_never_heard_its_tape(finished, corpus):
    run, _ = finished
    results = results_of(run)
    wavs = sorted(p.relative_to(corpus).as_posix() for p in corpus.rglob("*.wav"))
    assert [clip["file"] for clip in results["clips"]] == wavs
    fold_of = {clip["tape"]: clip["fold"] for clip in results["clips"]}
    assert len(fold_of) == len(TAPES)
    for fold in (1, 2, 3):
        # What the training of this fold wrote of its own partitions.
        own = json.loads((run / "model" / f"fold_{fold}" / "results.json").read_text())
        judged = [clip for clip in results["clips"] if clip["fold"] == fold]
        assert all(fold_of[clip["tape"]] == fold for clip in judged)
        assert own["clips"]["test"] == len(judged)
        assert sum(own["clips"].values()) == len(wavs)
        wrong = {c["file"] for c in own["partitions"]["test"]["wrong_clips"]}
        assert wrong == {c["file"] for c in judged if c["true"] != c["predicted"]}


@pytest.mark.slow
def test_pooled_figures_are_those_of_the_clips(finished):
    run, said = finished
    results = results_of(run)
    names = sorted(results["classes"], key=results["classes"].__getitem__)
    shares = []
    for row in results["pooled"]["classes"]:
        own = [c for c in results["clips"] if c["true"] == row["class"]]
        right = [c for c in own if c["predicted"] == row["class"]]
        assert (row["clips"], row["correct"]) == (len(own), len(right))
        assert row["accuracy"] == pytest.approx(len(right) / len(own))
        assert row["tapes"] == len({c["tape"] for c in own})
        shares.append(len(right) / len(own))
    pooled = results["pooled"]
    assert pooled["macro_accuracy"] == pytest.approx(np.mean(shares))
    low, high = pooled["macro_accuracy_interval_95"]
    assert low <= pooled["macro_accuracy"] <= high
    for clip in results["clips"]:
        assert sum(clip["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert names[int(np.argmax(clip["probabilities"]))] == clip["predicted"]
    assert results["settings"]["folds"] == 3
    lines = [x for x in said.splitlines() if "|mean of classes" in x]
    assert len(lines) == 2 * 3 + 1, "val and test of each fold, and all clips"
    assert lines[-1].split()[-4:] == [
        f"{pooled['macro_accuracy']:.1%}",
        *(f"{low:.1%}", "to", f"{high:.1%}"),
    ]


@pytest.mark.slow
def test_rare_class_is_warned_of(finished):
    _, said = finished
    assert "class noise" not in said, "4 tapes are enough for 3 folds"


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("fold 2 of 3", id="between-folds"),
        pytest.param("|I|val|0|loss", id="in-the-first-fold"),
    ],
)
def test_killed_run_ends_with_the_same_results(corpus, finished, tmp_path, moment):
    train_until_killed(moment, corpus, tmp_path, *FLAGS)
    complete = sorted(p.parent.name for p in tmp_path.glob("model/fold_*/predictions.json"))
    lines = train(corpus, tmp_path, *FLAGS).splitlines()
    said = [line for line in lines if line.endswith("complete")]
    assert len(said) == len(complete) == (moment == "fold 2 of 3")
    assert_same(tmp_path, finished[0])


@pytest.mark.slow
def test_complete_run_is_not_trained_again(corpus, finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    (run / "model" / "results.json").unlink()
    assert "|train|" not in train(corpus, run, *FLAGS)
    assert_same(run, finished[0])


@pytest.mark.slow
def test_another_seed_or_clip_is_refused_in_the_same_folder(corpus, finished, tmp_path, capsys):
    run = shutil.copytree(finished[0], tmp_path / "run")
    flags = [*folders(run), *FLAGS]
    assert main.main(["--data_dir", str(corpus), *flags, "--seed", "1"]) == 1
    assert (
        "folds of other settings (--seed was 0, now 1)" in capsys.readouterr().err.splitlines()[-1]
    )
    data = shutil.copytree(corpus, tmp_path / "data")
    next(data.rglob("*.wav")).unlink()
    assert main.main(["--data_dir", str(data), *flags]) == 1
    assert "holds folds of other clips" in capsys.readouterr().err.splitlines()[-1]
    assert results_of(run) == results_of(finished[0])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--folds", "1"), "--folds must be at least 2, got 1"),
        (("--folds", "2", "--jit_save"), "--folds saves dictionary files; leave --jit_save out"),
    ],
)
def test_wrong_flag_is_said_in_a_line(capsys, flags, message):
    with pytest.raises(SystemExit) as end:
        main.main(list(flags))
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--folds", "10"), "at least 10 tapes, and there are 9; use fewer --folds"),
        (("--noise_from_class", "sea"), "--noise_from_class sea: there is no such class"),
    ],
)
def test_data_that_cannot_be_used_is_said_in_a_line(corpus, tmp_path, capsys, flags, message):
    assert main.main(["--data_dir", str(corpus), *folders(tmp_path), *FLAGS, *flags]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        pytest.param({}, True, id="as-written"),
        pytest.param({"labels": [0, 99]}, False, id="class-that-is-none"),
        pytest.param({"labels": ["0", 1]}, False, id="text"),
        pytest.param({"names": None}, False, id="no-names"),
        pytest.param({"probabilities": [[0.5, 0.5]]}, False, id="too-few"),
        pytest.param({"probabilities": [[1], [0.5, 0.5]]}, False, id="ragged"),
        pytest.param({"probabilities": [[None, 1], [1, 0]]}, False, id="null"),
        pytest.param({"clips": []}, False, id="list"),
        pytest.param([1], False, id="no-object"),
        pytest.param("[" * 99_999, False, id="nested"),
    ],
)
def test_a_fold_counts_as_complete_only_with_what_fits(change, taken, tmp_path):
    from types import SimpleNamespace

    from animal_spot.experiments.fold_result import complete_fold

    samples = [SimpleNamespace(name="a.wav", label=0), SimpleNamespace(name="b.wav", label=1)]
    corpus = SimpleNamespace(samples={"test": samples}, classes={"A": 0, "B": 1})
    content = {
        "clips": {"train": 3},
        "names": ["a.wav", "b.wav"],
        "labels": [0, 1],
        "probabilities": [[1, 0], [0.25, 0.75]],
    }
    if isinstance(change, dict):
        change = content | change
    text = change if isinstance(change, str) else json.dumps(change)
    (tmp_path / "predictions.json").write_text(text)
    (tmp_path / "ANIMAL-SPOT.pk").touch()
    found = complete_fold(tmp_path, 0, corpus)
    assert (found is not None) == taken
    if taken:
        assert found.predictions == [0, 1]


@pytest.mark.slow
def test_a_finished_run_is_said_to_be_so_and_links_are_refused(corpus, finished, tmp_path, capsys):
    run = shutil.copytree(finished[0], tmp_path / "run")
    flags = ["--data_dir", str(corpus), *folders(run), *FLAGS]
    assert main.main(flags) == 0  # whose folders are others now
    before = {p: p.stat().st_mtime_ns for p in (run / "model").rglob("*") if p.is_file()}
    assert main.main(flags) == 0
    assert {p: p.stat().st_mtime_ns for p in (run / "model").rglob("*") if p.is_file()} == before
    shutil.rmtree(run / "model" / "fold_2")
    (tmp_path / "elsewhere").mkdir()
    (run / "model" / "fold_2").symlink_to(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main.main(flags) == 1
    assert "fold_2 is a symbolic link" in capsys.readouterr().err.splitlines()[-1]
    assert list((tmp_path / "elsewhere").iterdir()) == []
