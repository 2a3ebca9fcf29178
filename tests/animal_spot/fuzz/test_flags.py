"""Every flag of every program, with values that nobody means: status 0 to 3, one line, in time.

``helpers.fuzz`` says how to try many more examples.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.data.corpus import load_corpus
from animal_spot.model_files.model_file import save_model
from tests.helpers.clips import make_corpus
from tests.helpers.fuzz import examples, run
from tests.helpers.prediction import PLAIN, make_content, write_sound
from tests.helpers.results import log_text
from tests.helpers.training import SMALL

VALUES = (
    *("-1", "0", "1", "2", "0.5", "1e-320", "1e20", "-1e20", "nan", "inf", "9" * 30, "1" * 5000),
    *("", " ", "text", "../x", "/", "a\0b", "\x1b[2J", r"$\frac{$", "r\udce9union", "x=1", "é"),
)
PARSERS = {
    "main": "animal_spot.training.config",
    "predict": "animal_spot.prediction.config",
    "evaluate": "animal_spot.evaluation.config",
    "ensemble": "animal_spot.ensemble",
    "calibrate": "animal_spot.calibrate",
    "tune": "animal_spot.tune",
    "synthesise_corpus": "animal_spot.synthesise_corpus",
    "synthesise_recording": "animal_spot.synthesise_recording",
}
# Folders and files are given by each run itself, so that nothing is read or written where it should
# not be; with --debug a traceback is shown, which is meant.
NOT_DRAWN = re.compile(r".*_dir|output|export|input_file|debug")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="time limits by signals of Unix"),
]


def parser_of(program: str) -> argparse.ArgumentParser:
    return importlib.import_module(PARSERS[program]).build_parser()


def flags_of(program: str, *, paths: bool) -> list[argparse.Action]:
    return [
        action
        for action in parser_of(program).actions
        if action.option_strings
        and action.dest not in ("help", "num_workers")
        and (paths or not NOT_DRAWN.fullmatch(action.dest))
    ]


def arguments_of(action: argparse.Action, values: list[str]) -> list[str]:
    if action.nargs == 0:
        return [action.option_strings[-1]]
    n = {None: 1, "?": 1}.get(action.nargs, action.nargs)
    n = len(values) if isinstance(n, str) else n
    return [action.option_strings[-1], *(values * n)[:n]]


@pytest.mark.parametrize("program", PARSERS)
def test_every_flag_with_every_value_is_taken_or_refused(program):
    """Only the command line is read; of nearly a thousand combinations none is a traceback."""
    module = importlib.import_module(PARSERS[program])
    parse = getattr(module, "parse_config", None)
    for action in flags_of(program, paths=True):
        for value in VALUES:
            argv = arguments_of(action, [value])
            with contextlib.redirect_stderr(io.StringIO()) as shown:
                try:
                    (parse or parser_of(program).parse_args)(argv)
                except SystemExit as end:
                    assert end.code == 2, (argv, shown.getvalue())  # noqa: PT017 - most are
                except Exception as error:
                    raise AssertionError(f"{argv}: {error!r}") from error
            assert "\x1b" not in shown.getvalue(), argv


@st.composite
def odd_flags(draw: st.DrawFn, program: str) -> list[str]:
    """Draw one or two flags with values."""
    argv = []
    for _ in range(draw(st.integers(1, 2))):
        action = draw(st.sampled_from(flags_of(program, paths=False)))
        choices = [str(choice) for choice in action.choices or ()]
        value = st.sampled_from([*VALUES, *choices, *choices])
        argv += arguments_of(action, draw(st.lists(value, min_size=1, max_size=2)))
    return argv


TAPES = [f"T{i}" for i in range(4)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(
        tmp_path_factory.mktemp("corpus") / "data", {"A": TAPES, "B": TAPES, "noise": TAPES}
    )


@examples(2)
@given(flags=odd_flags("main"))
def test_training(flags, corpus, place):
    folder, output = place.fresh()
    shutil.copytree(corpus, folder / "data")
    argv = ["--data_dir", folder / "data", "--model_dir", output, "--summary_dir", output / "runs"]
    argv += [*SMALL, "--max_train_epochs", 1, "--num_workers", 0, *flags]
    run("main", argv, place.elsewhere)


@examples(4)
@given(flags=odd_flags("predict"))
def test_prediction(flags, models, place):
    folder, output = place.fresh()
    path = write_sound(folder / "a.wav", 0.4)
    argv = ["--model_path", models("multi"), "--input_file", path, "--output_dir", output, *PLAIN]
    run("predict", [*argv, *flags], place.elsewhere)


@examples(12)
@given(flags=odd_flags("evaluate"))
def test_evaluation(flags, place):
    folder, output = place.fresh()
    rows = [[0.9, 0.05, 0.05], [0.1, 0.8, 0.1]]
    (folder / "a_predict_output.log").write_text(log_text(["A", "B", "noise"], rows, "a.wav"))
    (folder / "truth").mkdir()
    (folder / "truth" / "a.txt").write_text("0.5\t1.25\tA\n")
    argv = ["--prediction_dir", folder, "--output_dir", output, "--truth_dir", folder / "truth"]
    argv.append("--no_report")
    run("evaluate", [*argv, *flags], place.elsewhere)


@pytest.fixture(scope="module")
def judged(corpus, tmp_path_factory):
    """A corpus with a split, and two models of its classes."""
    folder = tmp_path_factory.mktemp("judged")
    shutil.copytree(corpus, folder / "data")
    load_corpus(folder / "data")
    for seed in (1, 2):
        content = make_content({"A": 0, "B": 1, "noise": 2}, seed=seed)
        save_model(content, folder / f"{seed}.pk")
    return folder


@examples(3)
@given(program=st.sampled_from(("ensemble", "calibrate")), data=st.data())
def test_scoring(program, data, judged, place):
    _, output = place.fresh()
    names = ("1.pk", "2.pk") if program == "ensemble" else ("1.pk",)
    argv = [*(judged / name for name in names), "--data_dir", judged / "data", "--no_cuda"]
    argv += ["--output", output / "new.pk", "--num_workers", 0, *data.draw(odd_flags(program))]
    run(program, argv, place.elsewhere)


@examples(3)
@given(flags=odd_flags("tune"))
def test_search(flags, corpus, place):
    pytest.importorskip("optuna")
    folder, output = place.fresh()
    shutil.copytree(corpus, folder / "data")
    argv = ["--data_dir", folder / "data", "--output_dir", output, *SMALL, "--num_workers", 0]
    run("tune", [*argv, *flags, "--timeout", 1e-9], place.elsewhere)


@examples(6)
@given(program=st.sampled_from(("synthesise_corpus", "synthesise_recording")), data=st.data())
def test_made_up_sound(program, data, place):
    _, output = place.fresh()
    small = ["--clips", 3] if program == "synthesise_corpus" else ["--minutes", 0.2]
    argv = [*small, "--output_dir", output, *data.draw(odd_flags(program))]
    run(program, argv, place.elsewhere)


@pytest.mark.parametrize("value", ["", "\0", "a\0b", "file", "file/below"])
@pytest.mark.parametrize(
    ("program", "flag", "further"),
    [
        pytest.param("main", "--data_dir", ["--model_dir", "OUT"], id="main-data"),
        pytest.param("main", "--model_dir", ["--data_dir", "IN"], id="main-model"),
        pytest.param("predict", "--output_dir", ["--model_path", "x"], id="predict-output"),
        pytest.param("predict", "--input_file", ["--model_path", "x"], id="predict-input"),
        pytest.param("predict", "--model_path", ["--input_file", "IN"], id="predict-model"),
        pytest.param("evaluate", "--prediction_dir", ["--output_dir", "OUT"], id="evaluate-in"),
        pytest.param("evaluate", "--output_dir", ["--prediction_dir", "IN"], id="evaluate-out"),
        pytest.param("ensemble", "--data_dir", ["a.pk", "b.pk"], id="ensemble-data"),
        pytest.param("calibrate", "--data_dir", ["a.pk", "--output", "OUT/a.pk"], id="calibrate"),
        pytest.param("tune", "--data_dir", ["--output_dir", "OUT"], id="tune-data"),
        pytest.param("synthesise_corpus", "--output_dir", [], id="corpus-output"),
        pytest.param("synthesise_recording", "--output_dir", [], id="recording-output"),
    ],
)
def test_paths_that_are_none(program, flag, further, value, place):
    folder, output = place.fresh()
    (folder / "file").write_text("in the way")
    given = str(folder / value) if value.startswith("file") else value
    words = [w.replace("OUT", str(output)).replace("IN", str(folder)) for w in further]
    status, text = run(program, [flag, given, *words], place.elsewhere)
    assert status in (1, 2), text
