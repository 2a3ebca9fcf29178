"""The study of a search on disk: killed, planted, linked; without a training."""

from __future__ import annotations

import json

import pytest
from optuna.trial import TrialState

from animal_spot.experiments.search_space import suggest
from animal_spot.experiments.tune_study import TuneStudy
from animal_spot.training.config import TrainConfig

BASE = TrainConfig(data_dir="d", folds=2)


def draw(study: TuneStudy, n_trials: int):
    trial = study.next_trial(n_trials)
    if trial is not None:
        suggest(trial, BASE)
        trial.set_user_attr("settings", {})
    return trial


def search(folder, interrupted: int | None = None, *, half: bool = False) -> list[dict]:
    """Draw eight trials, one of which is lost with its process; return what was tried."""
    folder.mkdir()
    for n_trials in (8,) if interrupted is None else (interrupted, 8):
        with TuneStudy(folder, {"a": 1}, 3) as study:
            while (trial := draw(study, n_trials)) is not None:
                study.tell(trial, 0.5 + 0.01 * (trial.params["batch_size"] % 7))
            if n_trials < 8:  # the process ends in the middle of the next one
                lost = study.next_trial(8)
                if half:
                    lost.suggest_float("lr", BASE.lr / 5, BASE.lr * 5, log=True)
                else:
                    suggest(lost, BASE)
                    lost.set_user_attr("settings", {})
    done = [t for t in study.study.trials if t.state == TrialState.COMPLETE]
    return [trial.params for trial in done]


@pytest.mark.parametrize("half", [False, True], ids=["all-drawn", "half-drawn"])
@pytest.mark.parametrize("lost", [1, 6])
def test_a_search_that_was_killed_tries_what_an_unbroken_one_tries(tmp_path, lost, half):
    assert search(tmp_path / "killed", lost, half=half) == search(tmp_path / "unbroken")


def test_what_killed_searches_left_is_removed(tmp_path):
    (tmp_path / "running" / "7" / "models").mkdir(parents=True)
    left = tmp_path / ".trials.csv.9999999.0123abcd.tmp"
    left.write_text("")
    with TuneStudy(tmp_path, {}, 0):
        pass
    assert list((tmp_path / "running").iterdir()) == []
    assert not left.exists()


@pytest.mark.parametrize(
    "name", ["running", "workers", "cache", "study.journal", "trials.csv", "best_preset"]
)
def test_links_are_refused(tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "0").mkdir(parents=True)
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(OSError, match=f"{name} is a symbolic link"):
        TuneStudy(folder, {}, 0)
    assert (elsewhere / "0").is_dir()


def test_a_planted_worker_is_no_path(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("kept")
    folder = tmp_path / "search"
    folder.mkdir()
    with TuneStudy(folder, {}, 0) as study:
        trial = study.next_trial(3)
        trial.set_user_attr("worker", "../../victim")
        with TuneStudy(folder, {}, 0) as second:
            assert second.study.trials[0].state == TrialState.FAIL
    assert victim.read_text() == "kept"


@pytest.mark.parametrize(
    "line", ["no json", json.dumps({"op_code": 99}), json.dumps({"op_code": 4}), "[1, 2]"]
)
def test_a_journal_of_something_else_is_said_in_one_line(tmp_path, line):
    (tmp_path / "study.journal").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"study\.journal is not of a search") as caught:
        TuneStudy(tmp_path, {}, 0)
    assert "\n" not in str(caught.value)


def test_results_that_somebody_edited_are_left_alone(tmp_path, caplog):
    def write(preset: str, **options: bool) -> None:
        with TuneStudy(tmp_path, {}, 0, **options) as study:
            while (trial := draw(study, 1)) is not None:
                study.tell(trial, 0.5)
            study.write(lambda best: preset, lambda trial: True)

    path = tmp_path / "best_preset"
    write("lr=1\n")
    write("lr=2\n")
    assert path.read_text() == "lr=2\n", "as it was written: the next one replaces it"
    path.write_text("lr=3 # mine\n")
    write("lr=4\n")
    assert path.read_text() == "lr=3 # mine\n"
    assert "best_preset was edited after it was written and is left as it is" in caplog.text
    write("lr=5\n", replace_edited=True)
    assert path.read_text() == "lr=5\n"
    (copy,) = tmp_path.glob("best_preset*bak*")
    assert copy.read_text() == "lr=3 # mine\n"
