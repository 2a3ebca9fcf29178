"""tune.py as a process, and its study on disk."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import create_trial

from animal_spot import tune
from animal_spot.data.labels import tape_of
from animal_spot.experiments.search_space import suggest
from animal_spot.training.config import TrainConfig, build_parser, parse_config
from tests.helpers.clips import make_corpus
from tests.helpers.places import ROOT
from tests.helpers.programs import run_here
from tests.helpers.training import SMALL, TAPES, wait_for

TUNE = ROOT / "ANIMAL-SPOT" / "tune.py"
FLAGS = (*SMALL, "--max_train_epochs", "1", "--folds", "2", "--filter_broken_audio")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Clips with a stored split whose test part is silence: with it no trial could be as good."""
    data = make_corpus(
        tmp_path_factory.mktemp("corpus") / "data", {name: TAPES for name in ("A", "B", "noise")}
    )
    parts = {"train": TAPES[:6], "val": TAPES[6:9], "test": TAPES[9:]}
    for part, tapes in parts.items():
        (data / part).write_text("".join(f"{n}/{part}.csv\n" for n in ("A", "B", "noise")))
        for folder in ("A", "B", "noise"):
            names = [p.name for p in (data / folder).glob("*.wav")]
            kept = [n for n in names if tape_of(n).removeprefix("2020_") in tapes]
            (data / folder / f"{part}.csv").write_text("".join(f"{n}\n" for n in kept))
    return data


def command(corpus: Path, output: Path, *flags: str) -> list[str]:
    folders = ("--data_dir", str(corpus), "--output_dir", str(output))
    return [sys.executable, str(TUNE), *folders, *FLAGS, *flags]


def search_here(corpus: Path, output: Path, *flags: str) -> subprocess.CompletedProcess:
    return run_here("tune", *command(corpus, output, *flags)[2:], "--num_workers", "0")


def started(corpus: Path, output: Path, until: str, *flags: str) -> subprocess.Popen:
    """Start a search in a process and wait for a line."""
    process = subprocess.Popen(
        command(corpus, output, *flags), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(process, until)
    return process


def trials(output: Path) -> list[dict[str, str]]:
    with open(output / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("finished")
    result = search_here(corpus, output, "--trials", "2")
    assert result.returncode == 0, result.stderr
    return output, result


@pytest.mark.slow
def test_two_trials_leave_a_table_and_a_preset(finished):
    output, result = finished
    rows = trials(output)
    assert [row["state"] for row in rows] == ["complete", "complete"]
    assert rows[0]["lr"] != rows[1]["lr"]
    best = max(rows, key=lambda row: float(row["macro_accuracy"]))
    config = parse_config(["--preset", str(output / "best_preset")])
    assert config.lr == float(best["lr"])
    assert config.batch_size == int(best["batch_size"])
    assert (config.n_fft, config.max_train_epochs, config.filter_broken_audio) == (256, 1, True)
    assert (config.data_dir, config.folds, config.num_workers) == (None, None, 4)
    assert not list(output.glob("running/*")), "models of trials are left"
    assert f"best: trial {best['trial']}" in result.stderr


@pytest.mark.slow
def test_test_clips_are_not_used(finished):
    _, result = finished
    assert "27 clips" in result.stderr, "9 of the 12 clips of each of 3 classes"


@pytest.mark.slow
def test_planted_trials_write_nothing_of_their_own(corpus, finished, tmp_path):
    output = shutil.copytree(finished[0], tmp_path / "search")
    (output / "study.journal.lock").unlink()  # Optuna would wait for it
    storage = JournalStorage(JournalFileBackend(str(output / "study.journal")))
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    best = study.best_trial
    planted = "x\nnoise_dir=/etc"
    wide = {**best.distributions, "lr": FloatDistribution(1.0, 10.0)}
    for params, distributions, value, settings in (
        ({**best.params, "lr": 5.0}, wide, 0.999, {"lr": planted}),  # outside of the search space
        (best.params, best.distributions, 0.998, {"backbone": planted, "lr": planted}),
        (best.params, best.distributions, 1e9, {}),  # no share of clips
    ):
        study.add_trial(
            create_trial(
                params=params,
                distributions=distributions,
                value=value,
                user_attrs={"settings": settings},
            )
        )
    result = search_here(corpus, output, "--trials", "2")
    assert result.returncode == 0, result.stderr
    assert "trial 2 is not of this search" in result.stderr
    assert "best: trial 3" in result.stderr
    text = (output / "best_preset").read_text(encoding="utf-8")
    assert "etc" not in text
    assert f"lr={best.params['lr']}" in text


@pytest.mark.slow
def test_killed_search_goes_on_and_tries_the_lost_trial_again(corpus, finished, tmp_path):
    process = started(corpus, tmp_path, "|trial 1: lr", "--trials", "3")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    result = search_here(corpus, tmp_path, "--trials", "3")
    assert result.returncode == 0, result.stderr
    assert "trial 1 was interrupted: its settings will be tried again" in result.stderr
    rows = trials(tmp_path)
    assert [row["state"] for row in rows] == ["complete", "fail", "complete", "complete"]
    assert [row["repeats"] for row in rows] == ["", "", "1", ""]
    assert rows[2]["lr"] == rows[1]["lr"]
    # The same as without the interruption.
    expected = trials(finished[0])
    assert [rows[i]["macro_accuracy"] for i in (0, 2)] == [r["macro_accuracy"] for r in expected]


@pytest.mark.slow
def test_half_a_line_of_a_killed_process_is_dropped(corpus, finished, tmp_path):
    output = shutil.copytree(finished[0], tmp_path / "search")
    with open(output / "study.journal", "ab") as journal:
        journal.write(b'{"op_code": 4, "worker_id": "half')
    result = search_here(corpus, output, "--trials", "3")
    assert result.returncode == 0, result.stderr
    assert len(trials(output)) == 3


@pytest.mark.slow
def test_two_processes_share_a_study(corpus, tmp_path):
    running = [
        subprocess.Popen(
            command(corpus, tmp_path, "--trials", "3"), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    rows = trials(tmp_path)
    assert len(rows) == 3
    assert {row["state"] for row in rows} <= {"complete", "pruned"}
    assert len({row["lr"] for row in rows}) == 3, "two processes drew the same"
    assert "was interrupted" not in "".join(said), "a living process was taken for dead"


@pytest.mark.slow
def test_ctrl_c_ends_it_and_its_trial_is_repeated(corpus, tmp_path):
    process = started(corpus, tmp_path, "|trial 0: lr", "--trials", "1")
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "start again to go on" in rest.splitlines()[-1]
    result = search_here(corpus, tmp_path, "--trials", "1")
    assert result.returncode == 0, result.stderr
    assert [row["repeats"] for row in trials(tmp_path)] == ["", "0"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--trials", "0"), "--trials must be at least 1 and at most 1000000, got 0"),
        (("--timeout", "-1"), "--timeout must be above 0 seconds"),
        (("--folds", "1"), "--folds must be at least 2, got 1"),
        (("--model_dir", "x"), "--model_dir: trials leave nothing there"),
        (("--no_such_flag",), "--no_such_flag"),
        (("--preset", "nowhere"), "there is no preset and no file nowhere"),
    ],
)
def test_wrong_flag_is_said_in_a_line(corpus, tmp_path, capsys, flags, message):
    with pytest.raises(SystemExit) as end:
        tune.main(command(corpus, tmp_path / "out", *flags)[2:])
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--folds", "10"), "at least 10 tapes, and there are 9"),
        (("--data_dir", "/no/where"), "does not exist"),
    ],
)
def test_data_that_cannot_be_used_is_said_in_a_line(corpus, tmp_path, capsys, flags, message):
    assert tune.main(command(corpus, tmp_path / "out", *flags)[2:]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_search_with_other_settings_is_not_gone_on_with(corpus, finished, tmp_path, capsys):
    output = shutil.copytree(finished[0], tmp_path / "search")
    flags = ("--trials", "3", "--beta1", "0.8")
    assert tune.main(command(corpus, output, *flags)[2:]) == 1
    assert "was begun with other beta1" in capsys.readouterr().err.splitlines()[-1]


class Highest:
    """Draws the last choice and the upper limit."""

    def suggest_float(self, name, low, high, **_):
        return high

    def suggest_categorical(self, name, choices):
        return choices[-1]


# What helped in no measurement.
EXPERIMENTAL = {"time_shift", "mixup_alpha", "spec_augment", "per_channel_normalization"}


class Lowest:
    def suggest_float(self, name, low, high, **_):
        return low

    def suggest_categorical(self, name, choices):
        return choices[0]


@pytest.mark.parametrize("draw", [Highest(), Lowest()])
@pytest.mark.parametrize(
    "base",
    [
        TrainConfig(),
        parse_config(["--preset", "recommended", "--noise_from_class", "noise"]),
        parse_config(["--preset", "from_scratch"]),
        parse_config(
            ["--weighted_sampling", "--balance_tapes", "--sampling_strategy", "effective_num"]
        ),
    ],
    ids=["defaults", "recommended", "from_scratch", "weighted"],
)
def test_whatever_is_drawn_is_a_valid_setting(draw, base):
    drawn = suggest(draw, base)
    config = TrainConfig(**{**vars(base), **drawn})
    assert json.loads(json.dumps(drawn)).keys() == drawn.keys()
    assert ("freeze_batch_norm" in drawn) == base.pretrained
    assert ("weight_decay" in drawn) == (base.optimizer == "adamw")
    assert ("noise_probability" in drawn) == (base.noise_from_class is not None)
    assert config.weighted_sampling == isinstance(draw, Highest)
    assert not drawn.keys() & EXPERIMENTAL


def test_experimental_options_stand_at_the_end_of_help():
    listed = re.findall(r"^  --(\w+)", build_parser().format_help(), re.MULTILINE)
    assert set(listed[-len(EXPERIMENTAL) :]) == EXPERIMENTAL
