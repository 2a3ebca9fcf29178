"""TRAINING/start_training.py: config files that worked before work the same, without a shell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from TRAINING.start_training import LIST_KEYS, ConfigFileError, arguments_of, read_config

ROOT = Path(__file__).resolve().parent.parent
STARTER = ROOT / "TRAINING" / "start_training.py"


def start(config: Path, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(STARTER), str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        **kwargs,
    )


@pytest.fixture
def stub(tmp_path):
    """A program in the place of main.py that writes down its arguments and exits with 7."""
    source = tmp_path / "source with blank"
    source.mkdir()
    (source / "main.py").write_text(
        "import json, sys, pathlib\n"
        "pathlib.Path(__file__).with_name('seen.json').write_text(json.dumps(sys.argv[1:]))\n"
        "sys.exit(7)\n"
    )
    return source


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
    assert arguments_of(settings) == [
        *("--data_dir", "/data/my calls", "--log_dir", "/a b"),
        *("--model_dir", "/x; touch /tmp/y", "--conv_kernel_size", "7", "3"),
        *("--debug", "--noise_dir", "$(id)"),
    ]


def test_flags_of_several_numbers_are_those_of_the_program():
    from utils.config import build_parser

    several = {a.dest for a in build_parser()._actions if a.nargs not in (None, 0)}
    assert several == LIST_KEYS


def test_status_and_arguments_are_passed_on(stub, tmp_path):
    config = tmp_path / "config"
    config.write_text(f"src_dir={stub}\ndata_dir={tmp_path}/a  b; exit 0\nmin_max_norm=true\n")
    result = start(config)
    assert result.returncode == 7, result.stderr
    assert (stub / "seen.json").read_text() == (
        f'["--data_dir", "{tmp_path}/a  b; exit 0", "--min_max_norm"]'
    )


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
    result = subprocess.run(
        [sys.executable, str(STARTER), *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 1
    assert message in result.stderr


def test_wrong_source_folder(tmp_path):
    (tmp_path / "config").write_text(f"src_dir={tmp_path}\n")
    result = start(tmp_path / "config")
    assert result.returncode == 1
    assert "holds no main.py" in result.stderr


def test_ctrl_c_is_left_to_the_program(tmp_path):
    (tmp_path / "main.py").write_text(
        "import time, sys\nprint('ready', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(130)\n"
    )
    (tmp_path / "config").write_text(f"src_dir={tmp_path}\n")
    process = subprocess.Popen(
        [sys.executable, str(STARTER), str(tmp_path / "config")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130
    process.stdout.close()
