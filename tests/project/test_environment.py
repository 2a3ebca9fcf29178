"""A Python without the packages: one line, or the project's own environment."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from animal_spot.utils import environment
from tests.helpers.places import ROOT, as_installed
from tests.helpers.programs import run_process, run_python

PROGRAMS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("ANIMAL-SPOT", "TRAINING")
    for path in (ROOT / folder).glob("*.py")
    if "__main__" in path.read_text() and path.name != "run_module.py"
)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> Path:
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The programs without a .venv beside them."""
    root = tmp_path_factory.mktemp("copy") / "my programs"
    for folder in ("ANIMAL-SPOT", "footprints", "TRAINING", "PREDICTION", "EVALUATION"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pyproject.toml").touch()
    return root


def test_all_programs_are_looked_at():
    assert {"ANIMAL-SPOT/main.py", "ANIMAL-SPOT/tune.py", "TRAINING/start_training.py"} <= set(
        PROGRAMS
    )


STANDARD_LIBRARY = "footprints_demo_answers.py"  # needs nothing else


@pytest.mark.parametrize(
    "program",
    [name for name in PROGRAMS if not name.endswith(("start_training.py", STANDARD_LIBRARY))],
)
def test_without_packages_one_line_says_what_to_type(program, copy, bare_python):
    result = run_process(bare_python, copy / program, "--seed", "1")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{bare_python} has no numpy, torch, torchvision and ")
    assert f"type make in {copy}" in line
    assert f"pip install -e '{copy}[sound]'" in line
    assert result.stdout == ""


def test_without_packages_the_command_says_the_same(copy, bare_python, tmp_path):
    command = tmp_path / "animal-spot"  # as pip writes it
    command.write_text("import sys\nfrom animal_spot.cli import main\nsys.exit(main())\n")
    environ = os.environ | {"PYTHONPATH": as_installed(copy)}
    result = run_process(bare_python, command, "--help", env=environ)
    assert (result.returncode, result.stderr) == (0, ""), "its own help needs none of them"
    assert "train a network" in result.stdout
    result = run_process(bare_python, command, "train", "--help", env=environ)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{bare_python} has no numpy, torch, torchvision and ")
    assert f"type make in {copy}" in line


@pytest.mark.parametrize(
    ("started", "is_ours"),
    [
        pytest.param("bin/animal-spot", True, id="unix"),
        pytest.param("Scripts/animal-spot.exe/__main__.py", True, id="windows"),
        pytest.param("Scripts/animal-spot-script.py", True, id="windows-setuptools"),
        pytest.param("bin/pytest", False, id="another"),
        pytest.param("lib/pytest/__main__.py", False, id="another-module"),
    ],
)
def test_the_command_is_known_on_every_system(started, is_ours, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / started), raising=False)
    assert environment.is_program() == is_ours


STEPS = sorted(
    path.stem for path in (ROOT / "footprints").glob("*.py") if "__main__" in path.read_text()
)


@pytest.mark.parametrize("how", ["-m", "TRAINING/run_module.py"])
@pytest.mark.parametrize("step", STEPS)
def test_without_packages_a_step_of_footprints_says_the_same(step, how, copy, bare_python):
    result = run_process(bare_python, how, f"footprints.{step}", "--help", cwd=copy)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{bare_python} has no numpy, PIL, ")
    assert f"type make in {copy}" in line
    assert f"pip install -e '{copy}[footprints]'" in line


@pytest.mark.parametrize(
    "starter",
    ["TRAINING/start_training.py", "PREDICTION/start_prediction.py"],
)
def test_starter_without_packages_says_the_same(starter, copy, bare_python, tmp_path):
    (tmp_path / "config").write_text("debug=true\n")
    result = run_process(bare_python, copy / starter, tmp_path / "config")
    assert result.returncode == 1
    assert "has no numpy" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_the_projects_own_environment_is_used(copy, bare_python, tmp_path):
    """A stand-in for the Python there writes down how it was called."""
    root = tmp_path / "root"
    shutil.copytree(copy, root)
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
    python.chmod(0o755)
    for program in ([str(root / "ANIMAL-SPOT" / "main.py")], ["-m", "footprints.train"]):
        arguments = ["-W", "ignore", *program]
        result = run_process(bare_python, *arguments, "--data_dir", "a b", cwd=root)
        assert result.returncode == 7
        assert result.stdout.splitlines() == [*arguments, "--data_dir", "a b"]
        assert result.stderr == ""


def test_an_environment_that_runs_already_is_no_way_out(tmp_path):
    python = environment.python_of(tmp_path / ".venv")
    assert environment.other_python(tmp_path / "elsewhere", tmp_path) is None
    python.parent.mkdir(parents=True)
    python.touch()
    assert environment.other_python(tmp_path / "elsewhere", tmp_path) == python
    assert environment.other_python(tmp_path / ".venv", tmp_path) is None


def test_an_old_python_is_named():
    line = environment.advice([], (3, 8, 10))
    assert "is Python 3.8, 3.10 to 3.13 is needed" in line
    assert f"type make in {ROOT}" in line


def test_an_installed_package_has_no_makefile(tmp_path):
    line = environment.advice(["timm"], sys.version_info, tmp_path)
    assert line.endswith("-m pip install 'animal-spot[sound]'")


def test_the_program_of_another_copy_is_not_run_with_this_ones_code(copy):
    result = run_python(copy / "ANIMAL-SPOT/main.py", "--help")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert f"has the copy of this program in {ROOT}" in line
    assert f"type make in {copy}" in line


def test_on_windows_the_commands_are_windows_own(monkeypatch):
    monkeypatch.setattr(environment.os, "name", "nt")
    line = environment.advice(["numpy"], (3, 11), ROOT)
    assert "python -m venv" in line
    assert "Scripts/python.exe" in line
    assert "make" not in line.split(";", 1)[1]


def test_the_printed_tensorboard_line_runs_as_printed(tmp_path):
    """The program beside the running Python, which need not be on the PATH, and a folder."""
    words = shlex.split(environment.tensorboard(tmp_path / "it's a run"))
    assert words[1:] == ["--logdir", str(tmp_path / "it's a run")]
    assert os.access(words[0], os.X_OK)
    assert Path(words[0]).parent == Path(sys.executable).parent


def test_without_that_program_the_module_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my python"))
    words = shlex.split(environment.tensorboard(tmp_path))
    assert words[:3] == [str(tmp_path / "my python"), "-m", "tensorboard.main"]
    assert shlex.split(environment.pip_install("timm", "onnx")) == [
        *(str(tmp_path / "my python"), "-m", "pip", "install", "timm", "onnx")
    ]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 knows no safe path")
def test_processes_of_a_program_run_no_file_of_the_current_folder(tmp_path):
    """As on systems where processes are started anew, not forked."""
    for name in ("random", "struct", "socket", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'a').write(__name__ + '\\n')\n")
    program = tmp_path / "elsewhere" / "ANIMAL-SPOT" / "program.py"
    shutil.copytree(ROOT / "ANIMAL-SPOT", program.parent)
    program.write_text(
        "import animal_spot.utils.environment\nimport multiprocessing\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print)\n"
        "    process.start()\n    process.join()\n    raise SystemExit(process.exitcode)\n"
    )
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    environ["PYTHONPATH"] = as_installed(program.parents[1])
    result = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=environ, capture_output=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "ran").exists()
