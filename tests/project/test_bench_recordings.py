"""tests/bench/bench_recordings.py: its figures, and what it does again."""

import json
from pathlib import Path

import pytest

from animal_spot.detections.annotation_tables import read_table
from animal_spot.detections.annotations import Annotation
from tests.bench import bench_recordings
from tests.bench.bench_recordings import figures, mean_of_folds, score
from tests.helpers.clips import make_corpus
from tests.helpers.programs import call


def row(begin: float, end: float, name: str) -> Annotation:
    return Annotation(begin, end, name, 1.0)


def test_figures_by_hand():
    truth = [row(1, 2, "A"), row(5, 6, "A"), row(9, 10, "B")]
    found = [row(0.8, 2.1, "A"), row(5, 6.5, "B"), row(20, 21, "B"), row(30, 31, "A")]
    s = score(truth, found, hours=0.5)
    assert (s.detection.tp, s.detection.fp, s.detection.fn) == (2, 2, 1)
    assert s.begin_errors_s == pytest.approx([-0.2, 0])
    assert s.end_errors_s == pytest.approx([0.1, 0.5])
    shown = figures({1: [s], 2: [score(truth, truth, hours=0.5)]})
    # A: 1 hit, 1 false, 1 missed: 0.5; B: 0 hits. Their mean is 0.25, and 1 in the other fold.
    assert shown["f1_mean_of_classes"]["folds"] == pytest.approx([0.25, 1])
    # Together A: 3 hits, 1 false, 1 missed: 0.75; B: 1 hit, 2 false, 1 missed: 0.4.
    assert shown["f1_mean_of_classes_pooled"]["mean"] == pytest.approx((0.75 + 0.4) / 2)
    assert shown["false_alarms_per_hour"]["folds"] == [4, 0]
    assert shown["recall"]["folds"] == pytest.approx([2 / 3, 1])
    assert shown["begin_error_s"]["mean"] == 0
    assert shown["end_error_s"]["mean"] == pytest.approx(0)


def test_interval_is_that_of_student():
    """Five values of variance 2.5: 3 and 2.776 (table of t, 4 degrees) standard errors."""
    interval = mean_of_folds([1, 2, 3, 4, 5])["interval_95"]
    assert interval == pytest.approx([3 - 2.776 * 0.5**0.5, 3 + 2.776 * 0.5**0.5], abs=1e-3)


@pytest.fixture
def run_folder(tmp_path) -> Path:
    """A complete run of two folds, whose model files are empty."""
    clips = make_corpus(tmp_path / "clips", {"K1": list("abcd"), "noise": list("abcd")})
    files = sorted(path.relative_to(clips).as_posix() for path in clips.rglob("*.wav"))
    listed = [
        {"file": file, "true": file.split("/")[0], "fold": 1 + number % 2}
        for number, file in enumerate(files)
    ]
    for fold in (1, 2):
        (tmp_path / "run" / f"fold_{fold}").mkdir(parents=True)
        (tmp_path / "run" / f"fold_{fold}" / "ANIMAL-SPOT.pk").touch()
    (tmp_path / "run" / "results.json").write_text(json.dumps({"clips": listed}))
    return tmp_path


def test_each_fold_is_mixed_of_its_own_clips_and_complete_results_stay(run_folder, monkeypatch):
    """A program in the place of predict.py gives the truth, one for evaluate.py shows it."""
    programs = run_folder / "program" / "ANIMAL-SPOT"
    programs.mkdir(parents=True)
    note = f"open({str(run_folder / 'calls')!r}, 'a').write(' '.join(sys.argv) + '\\n')\n"
    (programs / "predict.py").write_text(
        "import shutil, sys\n"
        "files = sys.argv[sys.argv.index('--input_file') + 1 : sys.argv.index('--hop')]\n"
        "out = sys.argv[sys.argv.index('--output_dir') + 1]\n"
        "for name in files:\n"
        "    shutil.copy(name.replace('.wav', '.Table.1.selections.txt'), out)\n" + note
    )
    (programs / "evaluate.py").write_text(
        "import pathlib, shutil, sys\n"
        "said = pathlib.Path(sys.argv[sys.argv.index('--prediction_dir') + 1])\n"
        "for table in said.glob('*.Table.1.selections.txt'):\n"
        "    shutil.copy(table, sys.argv[sys.argv.index('--output_dir') + 1])\n" + note
    )
    monkeypatch.setattr(bench_recordings, "ROOT", run_folder / "program")
    used = []
    real = bench_recordings.mix
    monkeypatch.setattr(
        bench_recordings, "mix", lambda calls, *a, **k: used.append(calls) or real(calls, *a, **k)
    )

    def run(*flags: str):
        return call(
            bench_recordings.main,
            *("--data_dir", run_folder / "clips", "--output", run_folder / "out"),
            *("--models", f"mine={run_folder / 'run'}", "--minutes", 0.5, "--jobs", 1),
            *("--decode", "now:", "sure: --threshold 0.9", *flags),
        )

    first = run()
    assert first.returncode == 0, first.stderr
    assert len(used) == 6, "two folds, three recordings each"
    parts = [{clip.path.name for clip in calls} for calls in used[::3]]
    assert not parts[0] & parts[1]
    assert sum(map(len, parts)) == 4
    commands = (run_folder / "calls").read_text().splitlines()
    heard = [line for line in commands if "predict.py" in line]
    assert len(heard) == 2, "each fold is heard once"
    assert len(commands) - len(heard) == 4
    assert sum("--threshold 0.9" in line for line in commands) == 2
    assert first.stdout.count("| mine | ") == 4
    assert "| mine | now | loud | 1.00 (1.00 to 1.00) | 1.00 |" in first.stdout
    table = json.loads((run_folder / "out" / "table.json").read_text())
    assert table[0]["empty"]["false_alarms_per_hour"]["mean"] == 0

    assert run().returncode == 0
    assert len(used) == 6
    assert (run_folder / "calls").read_text().splitlines() == commands
    (run_folder / "run" / "fold_1" / "ANIMAL-SPOT.pk").write_text("another")
    assert run().returncode == 0
    assert len((run_folder / "calls").read_text().splitlines()) == 9, "fold 1 only"
    assert run("--again").returncode == 0
    assert len((run_folder / "calls").read_text().splitlines()) == 15
    mixtures = next((run_folder / "out" / "mixtures").iterdir())
    assert read_table(mixtures / "fold_1_empty.Table.1.selections.txt") == []


def test_a_failed_prediction_is_no_row(run_folder, monkeypatch):
    fake = run_folder / "program" / "ANIMAL-SPOT" / "predict.py"
    fake.parent.mkdir(parents=True)
    fake.write_text("import sys\nsys.exit(3)\n")
    monkeypatch.setattr(bench_recordings, "ROOT", run_folder / "program")
    done = call(
        bench_recordings.main,
        *("--data_dir", run_folder / "clips", "--output", run_folder / "out"),
        *("--models", f"mine={run_folder / 'run'}", "--minutes", 0.5),
    )
    assert done.returncode == 1
    assert "FAILED (3)" in done.stdout
    assert "| mine |" not in done.stdout
