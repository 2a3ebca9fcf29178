"""What is in a model folder already is never replaced by something else in silence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile as sf

from animal_spot.training.finished_run import LOCK
from animal_spot.training.recipe import changes, of_meaning
from animal_spot.utils.files import sole_process
from tests.helpers.clips import make_corpus
from tests.helpers.training import main_here

RECIPE = (
    *("--sr", "16000", "--fmin", "500", "--fmax", "7000", "--n_fft", "256", "--hop_length", "160"),
    *("--n_freq_bins", "16", "--sequence_len", "200", "--max_train_epochs", "1"),
    *("--batch_size", "4", "--freq_compression", "mel", "--n_freq_bins", "16", "--no_cuda"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("finished")
    make_corpus(base / "data", {"A": list("abcd"), "B": list("efgh"), "noise": list("ijkl")})
    ran = main_here(*flags(base), *RECIPE)
    assert ran.returncode == 0, ran.stderr
    return base


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the finished run, so that a test may change it."""
    return shutil.copytree(finished, tmp_path / "run")


def flags(base: Path, *names: str) -> list[str]:
    given = ["--data_dir", str(base / "data")]
    for name in names or ("model", "checkpoint", "log", "summary"):
        given += [f"--{name}_dir", str(base / name)]
    return given


def state(base: Path) -> dict[str, tuple[int, bytes]]:
    """All files with time and content, but for locks, which are opened."""
    return {
        str(p.relative_to(base)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in sorted(base.rglob("*"))
        if p.is_file() and not p.name.endswith("lock")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "folders",
    [
        pytest.param((), id="as-it-was"),
        pytest.param(("model", "summary", "log"), id="without-checkpoints"),
    ],
)
def test_a_finished_run_that_is_repeated_says_so_and_changes_nothing(finished, folders):
    before = state(finished)
    ran = main_here(*flags(finished, *folders), *RECIPE)
    assert ran.returncode == 0, ran.stderr
    assert "finished already" in ran.stderr
    assert state(finished) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param(("--freq_compression", "linear"), "was mel, now linear", id="issue"),
        pytest.param(("--sequence_len", "250"), "was 200, now 250", id="clip-length"),
        pytest.param(("--fmin", "600"), "--fmin was 500, now 600", id="band"),
        pytest.param(("--min_max_norm",), "was False, now True", id="normalisation"),
        pytest.param(("--resnet", "34"), "--resnet was 18, now 34", id="network"),
        pytest.param(("--noise_class", "A"), "--noise_class was noise, now A", id="noise-class"),
        pytest.param(("--lr", "1e-4"), "--lr was 1e-05, now 0.0001", id="nothing-left-to-train"),
    ],
)
def test_another_recipe_never_replaces_a_model(finished, changed, said):
    refused(finished, ("model", "summary", "log"), changed, said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param(("--freq_compression", "linear"), "was mel, now linear", id="issue"),
        pytest.param(("--lr", "1e-4"), "--lr was 1e-05, now 0.0001", id="nothing-left-to-train"),
    ],
)
def test_another_recipe_never_goes_on_with_a_checkpoint(finished, changed, said):
    refused(finished, (), changed, said)


def refused(finished, folders, changed, said):
    before = state(finished)
    ran = main_here(*flags(finished, *folders), *RECIPE, *changed)
    assert ran.returncode == 1, ran.stderr
    assert said in ran.stderr
    assert "name another folder" in ran.stderr
    assert "--start_from_scratch" in ran.stderr
    assert state(finished) == before


@pytest.mark.slow
def test_folds_that_are_repeated_or_refused_change_nothing(finished, tmp_path):
    shutil.copytree(finished / "data", tmp_path / "data")
    command = (*flags(tmp_path), *RECIPE, "--folds", "2", "--max_train_epochs", "0")
    assert main_here(*command).returncode == 0
    log = (tmp_path / "log" / "TRAIN.log").read_text(encoding="utf-8")
    assert "fold 2 of 2: " in log
    assert "all figures" in log
    before = state(tmp_path)
    again = main_here(*command)
    assert again.returncode == 0, again.stderr
    assert "finished already" in again.stderr
    other = main_here(*command, "--fmin", "600")
    assert other.returncode == 1
    assert "--fmin was 500, now 600" in other.stderr
    assert state(tmp_path) == before


@pytest.mark.slow
def test_a_run_that_was_ended_between_checkpoint_and_model_finishes(run):
    model, results = run / "model" / "ANIMAL-SPOT.pk", run / "model" / "results.json"
    expected = model.read_bytes()
    model.unlink()  # killed between results and model
    assert main_here(*flags(run), *RECIPE).returncode == 0
    assert model.read_bytes() == expected
    results.unlink()
    model.write_bytes(b"")  # of nobody knows what
    assert main_here(*flags(run), *RECIPE).returncode == 0
    assert model.read_bytes() == expected
    content = json.loads(results.read_text(encoding="utf-8"))
    content["model_digest"] = "0" * 32  # results of another model
    results.write_text(json.dumps(content), encoding="utf-8")
    assert "finished already" not in main_here(*flags(run), *RECIPE).stderr
    assert json.loads(results.read_text(encoding="utf-8"))["model_digest"] != "0" * 32


@pytest.mark.slow
def test_other_clips_and_unknown_models_are_refused(run):
    clip = next((run / "data" / "A").glob("*.wav"))
    samples, rate = sf.read(clip)
    sf.write(clip, samples * 0.5, rate)
    kept = (run / "model" / "ANIMAL-SPOT.pk").read_bytes()
    for folders, said in (((), "had other clips"), (("model", "summary"), "the clips or their")):
        ran = main_here(*flags(run, *folders), *RECIPE)
        assert ran.returncode == 1
        assert said in ran.stderr
    (run / "model" / "results.json").unlink()
    ran = main_here(*flags(run, "model", "summary"), *RECIPE)
    assert "no results.json says how it was trained" in ran.stderr
    ran = main_here(*flags(run, "model", "summary"), *RECIPE, "--folds", "2")
    assert "holds the model of a run without --folds" in ran.stderr
    assert (run / "model" / "ANIMAL-SPOT.pk").read_bytes() == kept


@pytest.mark.slow
def test_two_runs_in_one_folder(run):
    for name in ("model", "checkpoint"):
        with sole_process(run / name / LOCK, "in the test"):
            ran = main_here(*flags(run), *RECIPE)
        assert ran.returncode == 1
        assert f"another process is training in {run / name}; wait" in ran.stderr


@pytest.mark.slow
def test_leftovers_of_killed_runs_are_removed(run):
    left = [
        run / "model" / ".ANIMAL-SPOT.pk.999999999.0123abcd.tmp",
        run / "model" / ".results.json.999999999.0123abcd.tmp",
        run / "log" / ".excluded_files.csv.999999999.0123abcd.tmp",
        run
        / "checkpoint"
        / ".multi_class_3_classifier_epoch_00000.checkpoint.99999999.0a0a0a0a.tmp",
    ]
    for path in left:
        path.write_bytes(b"x")
    assert main_here(*flags(run), *RECIPE).returncode == 0
    assert [path for path in left if path.exists()] == []


@pytest.mark.slow
def test_a_link_in_place_of_a_file_is_refused(run, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_text("kept")
    (run / "log" / "TRAIN.log").unlink()
    (run / "log" / "TRAIN.log").symlink_to(target)
    ran = main_here(*flags(run), *RECIPE, "--start_from_scratch")
    assert ran.returncode == 1
    assert "TRAIN.log is a symbolic link" in ran.stderr
    assert target.read_text() == "kept"


def test_only_what_a_network_has_gives_its_weights_a_meaning():
    before = {"resnet_size": 18, "fmin": 500, "lr": 1e-5, "gain": [-6, 2]}
    changed = changes(before, {"resnet_size": 34, "fmin": 600, "lr": 1e-4, "gain": (-6, 2)})
    assert set(changed) == {"resnet_size", "fmin", "lr"}
    assert set(of_meaning(changed, "resnet")) == {"resnet_size", "fmin"}
    assert set(of_meaning(changed, "convnext")) == {"fmin"}


def test_a_checkpoint_that_left_the_number_of_classes_open_fits_any():
    """Checkpoints of the first release hold the flag as it was typed, which is seldom."""
    assert changes({"num_classes": None}, {"num_classes": 3}) == {}
    assert changes({}, {"num_classes": 3, "noise_class": "noise"}) == {}
    assert list(changes({"num_classes": 2}, {"num_classes": 3})) == ["num_classes"]
