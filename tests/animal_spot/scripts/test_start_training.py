"""The three starters: config files that worked before work the same, without a shell."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from animal_spot.evaluation import config as evaluate_config
from animal_spot.settings.config_file import ConfigFileError, arguments_of, read_config
from EVALUATION import start_evaluation
from PREDICTION import start_prediction
from tests.helpers.places import ROOT, as_installed
from tests.helpers.programs import run_python
from TRAINING import start_training

STARTER = ROOT / "TRAINING" / "start_training.py"
# Starter and the program that it starts.
STARTERS = [
    pytest.param(STARTER, "main.py", id="training"),
    pytest.param(ROOT / "PREDICTION" / "start_prediction.py", "predict.py", id="prediction"),
    pytest.param(ROOT / "EVALUATION" / "start_evaluation.py", "evaluate.py", id="evaluation"),
]


def start(config: Path, starter: Path = STARTER, **kwargs) -> subprocess.CompletedProcess:
    return run_python(starter, config, **kwargs)


STUB = (
    "import json, sys, pathlib\n"
    "pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps(sys.argv[1:]))\n"
    "sys.exit(7)\n"
)


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A copy of the starters, with programs that write down their arguments and exit with 7."""
    root = tmp_path / "copy with blank"
    for folder in ("TRAINING", "PREDICTION", "EVALUATION", "ANIMAL-SPOT"):
        shutil.copytree(
            ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.png")
        )
    for program in ("main.py", "predict.py", "evaluate.py"):
        (root / "ANIMAL-SPOT" / program).write_text(STUB)
    monkeypatch.setenv("PYTHONPATH", as_installed(root))
    return root


def copied(starter: Path, root: Path) -> Path:
    return root / starter.relative_to(ROOT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a=1\nb=x y\n", {"a": "1", "b": "x y"}, id="plain"),
        pytest.param("# a=1\n a=2\n\n   \nb=3", {"b": "3"}, id="skipped-lines"),
        pytest.param("a = 1\n", {"a": "1"}, id="blanks-around"),
        pytest.param("a=b=c\n", {"a": "b=c"}, id="second-equals"),
        pytest.param("a=true\nb=false\nc=TRUE", {"a": "", "c": "TRUE"}, id="switches"),
        pytest.param("a=1\na=2\na=false", {"a": "2"}, id="last-that-is-not-false"),
        pytest.param("a=\n", {"a": ""}, id="empty"),
        pytest.param("a=1\r\nb=2\r\n", {"a": "1", "b": "2"}, id="windows-line-ends"),
    ],
)
def test_lines(text, expected):
    assert read_config(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=1\nnonsense\n", "line 2: 'nonsense'"),
        ("data_dir=/*USER-SPECIFIC-DIRECTORY*/", "line 1: put your own folder"),
    ],
)
def test_bad_lines_are_named(text, message):
    with pytest.raises(ConfigFileError, match=message):
        read_config(text)


def test_values_become_arguments_without_a_shell(monkeypatch):
    monkeypatch.setenv("CLIPS", "/data")
    settings = read_config(
        "data_dir=$CLIPS/my calls\nlog_dir='/a b'\nmodel_dir=/x; touch /tmp/y\n"
        "conv_kernel_size=7 3\ndebug=true\nnoise_dir=$(id)\n"
    )
    assert arguments_of(settings, list_keys=["conv_kernel_size"]) == [
        *("--data_dir", "/data/my calls", "--log_dir", "/a b"),
        *("--model_dir", "/x; touch /tmp/y", "--conv_kernel_size", "7", "3"),
        *("--debug", "--noise_dir", "$(id)"),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("/a b/c.pk", ["/a b/c.pk"], id="one-path-with-blanks"),
        pytest.param("'/a b/c.pk' /d.pk", ["/a b/c.pk", "/d.pk"], id="quoted"),
        pytest.param('"/a b/c.pk"', ["/a b/c.pk"], id="one-quoted"),
        pytest.param("/Bob's/c.pk", ["/Bob's/c.pk"], id="lone-quote"),
        pytest.param('"$CLIPS/a" "$CLIPS/b"', ["/data/a", "/data/b"], id="names"),
        pytest.param("/a,b/c.pk", ["/a,b/c.pk"], id="comma"),
    ],
)
def test_lists_of_paths(value, expected, monkeypatch):
    monkeypatch.setenv("CLIPS", "/data")
    assert arguments_of({"model_path": value}, path_list_keys=["model_path"]) == [
        "--model_path",
        *expected,
    ]


@pytest.mark.parametrize("value", ["log raven", "log,raven", "log, raven", "'log' raven"])
def test_lists_are_split_at_blanks_and_commas(value):
    assert arguments_of({"format": value}, list_keys=["format"]) == ["--format", "log", "raven"]


@pytest.mark.parametrize(
    ("module", "lists"),
    [
        ("animal_spot.training.config", start_training.LIST_KEYS | start_training.PATH_LIST_KEYS),
        (
            "animal_spot.prediction.config",
            start_prediction.LIST_KEYS | start_prediction.PATH_LIST_KEYS,
        ),
        ("animal_spot.evaluation.config", frozenset()),
    ],
)
def test_flags_of_several_values_are_those_of_the_program(module, lists):
    actions = importlib.import_module(module).build_parser().actions
    assert {a.dest for a in actions if a.nargs not in (None, 0, "?")} == lists


@pytest.mark.parametrize(("starter", "program"), STARTERS)
def test_status_and_arguments_are_passed_on(starter, program, stub, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"input_file={tmp_path}/a  b; exit 0\nmin_max_norm=true\nresume=false\n")
    result = start(config, copied(starter, stub))
    assert result.returncode == 7, result.stderr
    assert (stub / "ANIMAL-SPOT" / program).with_suffix(".json").read_text() == (
        f'["--input_file", "{tmp_path}/a  b; exit 0", "--min_max_norm"]'
    )


def test_evaluation_passes_thresholds_of_classes_on_as_they_are(stub, tmp_path):
    config = tmp_path / "config"
    config.write_text("class_threshold=K1=0.8 big whale=0.6\n")
    assert start(config, copied(Path(start_evaluation.__file__), stub)).returncode == 7
    assert (stub / "ANIMAL-SPOT" / "evaluate.json").read_text() == (
        '["--class_threshold", "K1=0.8 big whale=0.6"]'
    )


@pytest.mark.parametrize(("starter", "program"), STARTERS)
def test_no_other_copy_of_a_program_is_run(starter, program, stub, tmp_path):
    """Configs of the original name the folder of its program, which is not there or another."""
    other = tmp_path / "other"
    other.mkdir()
    (other / program).write_text("raise SystemExit(9)\n")
    for given, warned in ((other, True), (tmp_path / "none", True), (stub / "ANIMAL-SPOT", False)):
        config = tmp_path / "config"
        config.write_text(f"src_dir={given}\ndebug=true\n")
        result = start(config, copied(starter, stub))
        assert result.returncode == 7, result.stderr
        warnings = [line for line in result.stderr.splitlines() if " WARNING - " in line]
        assert len(warnings) == warned
        assert all(f"src_dir {given} is not read" in line for line in warnings)


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("data_dir=-clips", ["--data_dir=-clips"]),
        ("model_path=-model.pk", ["--model_path", "./-model.pk"]),
        ("lr=-1", ["--lr=-1"]),
        ("gain=-6 2", ["--gain", "-6", "2"]),
    ],
)
def test_a_value_that_begins_with_a_dash_is_no_flag(key, arguments):
    settings = read_config(key)
    assert arguments == arguments_of(settings, list_keys=["gain"], path_list_keys=["model_path"])


@pytest.mark.parametrize(
    "value",
    [
        r"\\server\share\my clips",
        r'"\\server\share\my clips"',
        r"'\\server\share\my clips'",
    ],
)
def test_a_network_path_of_windows_keeps_its_backslashes(value, monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    path = r"\\server\share\my clips"
    assert arguments_of({"data_dir": value}) == ["--data_dir", path]
    assert arguments_of({"model_path": value}, path_list_keys=["model_path"]) == [
        *("--model_path", path)
    ]


def test_two_quoted_paths_of_windows(monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    value = r'"\\server\a b.pk" "C:\c d.pk"'
    assert arguments_of({"model_path": value}, path_list_keys=["model_path"]) == [
        *("--model_path", r"\\server\a b.pk", r"C:\c d.pk")
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"debug=true\ndata_dir=/a\0b\n", "line 2 holds a NUL character; save the file as UTF-8"),
        ("debug=true\n".encode("utf-16"), "is no UTF-8 text"),
        ("debug=true\n".encode("utf-16-le"), "line 1 holds a NUL character"),
        ("data_dir=/h\xfctte\n".encode("cp1252"), "is no UTF-8 text"),
    ],
    ids=["nul", "utf-16", "utf-16-without-mark", "cp1252"],
)
@pytest.mark.parametrize(("starter", "program"), STARTERS)
def test_a_config_that_is_no_text_is_one_line(content, said, starter, program, tmp_path):
    (tmp_path / "config").write_bytes(content)
    result = start(tmp_path / "config", starter)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert said in line
    assert str(tmp_path / "config") in line


@pytest.mark.parametrize(("starter", "program"), STARTERS)
def test_placeholder_is_refused(starter, program):
    result = start(starter.parent / "config", starter)
    assert result.returncode == 1
    assert "put your own folder" in result.stderr


@pytest.mark.parametrize(
    ("starter", "parser"),
    [
        (STARTERS[1].values[0], "animal_spot.prediction.config"),
        (STARTERS[2].values[0], "animal_spot.evaluation.config"),
    ],
    ids=["prediction", "evaluation"],
)
def test_shipped_config_is_understood(starter, parser, tmp_path):
    text = (starter.parent / "config").read_text()
    commented = re.sub(r"^# (?=\w+=)", "", text, flags=re.MULTILINE)  # the examples too
    for variant in (text, commented):
        settings = read_config(variant.replace("/*USER-SPECIFIC-DIRECTORY*/", str(tmp_path)))
        arguments = arguments_of(
            settings,
            list_keys=start_prediction.LIST_KEYS,
            path_list_keys=start_prediction.PATH_LIST_KEYS,
        )
        parsed = vars(importlib.import_module(parser).parse_config(arguments))
        assert set(settings) - {"src_dir", "no_cuda"} <= set(parsed)


def test_old_evaluation_config_has_its_meaning():
    text = (
        "prediction_dir=/p q\noutput_dir=/o\nthreshold=0.85\nnoise_in_anno=true\n"
        "use_probability_priority=true\nmin_annotation_duration=0.2\nmerge_gap=0\n"
    )
    config = evaluate_config.parse_config(arguments_of(read_config(text)))
    assert config == evaluate_config.EvaluateConfig(
        prediction_dir="/p q",
        output_dir="/o",
        threshold=0.85,
        noise_in_anno=True,
        use_probability_priority=True,
        min_annotation_duration=0.2,
        merge_gap=0,
    )
    off = text.replace("priority=true", "priority=false")
    assert not evaluate_config.parse_config(arguments_of(read_config(off))).use_probability_priority


def test_unknown_key_is_refused_by_the_program(tmp_path):
    config = tmp_path / "config"
    config.write_text("no_such_key=1\n")
    result = start(config)
    assert result.returncode == 2
    assert "--no_such_key" in result.stderr


def test_shipped_config_asks_for_folders_and_then_is_understood(tmp_path):
    config = (ROOT / "TRAINING" / "config").read_text()
    result = start(ROOT / "TRAINING" / "config")
    assert result.returncode == 1
    assert "put your own folder" in result.stderr
    mine = tmp_path / "config"
    mine.write_text(config.replace("/*USER-SPECIFIC-DIRECTORY*/", str(tmp_path / "here")))
    result = start(mine)
    assert result.returncode == 1
    assert "the data folder" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "one argument"), (["a", "b"], "one argument"), (["none"], "none cannot be read")],
)
def test_wrong_call(arguments, message, tmp_path):
    result = run_python(STARTER, *arguments, cwd=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr


SLEEPER = """\
import os, signal, sys, time
def stop(number, _):
    print("got", int(number), flush=True)
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
print("ready", os.getpid(), flush=True)
for _ in range(1200):  # a signal that comes just before a sleep does not end it
    time.sleep(0.05)
"""


@pytest.fixture
def sleeping(stub, tmp_path):
    """Start a starter whose program sleeps; return it and the number of the program's process."""
    started = []

    def run(starter: Path, program: str) -> tuple[subprocess.Popen, int]:
        (stub / "ANIMAL-SPOT" / program).write_text(SLEEPER)
        (tmp_path / "config").write_text("debug=true\n")
        process = subprocess.Popen(
            [sys.executable, str(copied(starter, stub)), str(tmp_path / "config")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        started.append(process)
        return process, int(process.stdout.readline().split()[1])

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("to_group", [True, False], ids=["terminal", "starter-alone"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("starter", "program"), STARTERS)
def test_a_signal_reaches_the_program_once(starter, program, number, to_group, sleeping):
    process, _ = sleeping(starter, program)
    (os.killpg if to_group else os.kill)(process.pid, number)
    assert process.wait(timeout=20) == 128 + number
    assert process.stdout.read() == f"got {int(number)}\n"


def test_a_killed_starter_leaves_nothing_running(sleeping):
    process, program = sleeping(STARTER, "main.py")
    process.kill()
    process.wait(timeout=20)
    with pytest.raises(ProcessLookupError):
        os.kill(program, 0)
