"""The command animal-spot: each program under one name, from any folder."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys

import pytest

from animal_spot import cli
from tests.helpers.places import ROOT, SOUND
from tests.helpers.programs import run_python

SCRIPT = """import sys
from animal_spot.cli import main
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit(main())
"""  # as pip writes it


@pytest.fixture
def command(tmp_path):
    """Return a function that runs the command in a folder of its own."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "bin" / "animal-spot"

    script.write_text(SCRIPT)

    def run(*arguments, **environ) -> subprocess.CompletedProcess:
        return run_python(script, *arguments, cwd=tmp_path / "elsewhere", env=os.environ | environ)

    return run


def test_every_program_is_listed_with_a_line(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    modules = {path.stem for path in SOUND.glob("*.py") if "def main(" in path.read_text()}
    assert {program.module for program in cli.PROGRAMS.values()} == modules - {"cli"}
    for name, program in cli.PROGRAMS.items():
        (line,) = (line for line in shown.splitlines() if line.split()[:1] == [name])
        assert line.endswith(program.summary)
        assert len(line) <= 100


@pytest.mark.parametrize("name", cli.PROGRAMS)
def test_help_is_that_of_the_script_under_its_new_name(name, capsys):
    module = cli.PROGRAMS[name].module
    for main, arguments in (
        (cli.main, [name]),
        (importlib.import_module(f"animal_spot.{module}").main, []),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--help"])
        assert ended.value.code == 0
    ours, theirs = capsys.readouterr().out.split("usage: ")[1:]
    assert ours.startswith(f"animal-spot {name} [-h]")
    assert theirs.startswith(f"{module}.py [-h]")
    assert ours.partition("\n\n")[2] == theirs.partition("\n\n")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["trian"], "no program 'trian'; did you mean train?", id="misspelt"),
        pytest.param(["Synthesise_Corpus"], "did you mean synthesise-corpus?", id="as-the-file"),
        pytest.param(["xyz", "--help"], "there are clips, train, predict", id="nothing-near"),
        pytest.param(["a\033[2Jb"], r"no program 'a\x1b[2Jb'", id="escape"),
        pytest.param(["--lr", "1"], "unrecognized arguments: --lr 1", id="flag-first"),
        pytest.param(["train", "--lr", "x"], "animal-spot train: error: argument --lr", id="its"),
    ],
)
def test_what_is_mistyped_ends_with_status_2_and_a_hint(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_without_arguments_help_goes_to_standard_error(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr()
    assert "synthesise-recording" in shown.err
    assert shown.out == ""


def test_version_is_that_of_the_project(command):
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"$', settings, re.MULTILINE)[1]
    result = command("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"animal-spot {version}\n"


def test_a_copy_that_pip_does_not_know_has_no_version(monkeypatch, capsys):
    monkeypatch.setattr(cli, "COMMAND", "animal-spot-of-nobody")
    assert cli.main(["--version"]) == 0
    assert "unknown version" in capsys.readouterr().out


def test_it_makes_what_the_script_makes(command, tmp_path):
    flags = ("--minutes", "0.2", "--seed", "3")
    result = command("synthesise-recording", "--output_dir", "ours", *flags)
    assert result.returncode == 0, result.stderr
    script = [sys.executable, str(SOUND / "synthesise_recording.py")]
    subprocess.run([*script, "--output_dir", tmp_path / "theirs", *flags], check=True)
    theirs = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    ours = {path.name: path.read_bytes() for path in (tmp_path / "elsewhere/ours").iterdir()}
    assert ours == theirs
    assert len(ours) == 2


def test_status_and_log_are_those_of_the_program(command, tmp_path):
    """The log begins with the command line as it was typed."""
    (tmp_path / "elsewhere/none").mkdir()
    result = command("train", "--data_dir", "none", "--log_dir", "logs", "--model_dir", "model")
    assert result.returncode == 1
    log = (tmp_path / "elsewhere/logs/TRAIN.log").read_text(encoding="utf-8")
    assert f"{tmp_path / 'bin/animal-spot'} train --data_dir none --log_dir logs" in log
    assert "none" in result.stderr.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")
def test_ctrl_c_while_packages_are_imported_is_one_line(command, tmp_path):
    """The first package that is imported stands for all: in it Ctrl-C comes."""
    (tmp_path / "tqdm.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    result = command("calibrate", "m", "--data_dir", "x", PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stderr) == (130, "stopped before it began\n")
