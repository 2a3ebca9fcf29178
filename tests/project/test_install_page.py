"""docs/install.md and the Makefile say what is there; the commands for Windows are understood."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
WINDOWS = PAGE.split("## Windows")[1].split("## Mac")[0]
PARSERS = {
    "main.py": "animal_spot.training.config",
    "predict.py": "animal_spot.prediction.config",
    "evaluate.py": "animal_spot.evaluation.config",
    "synthesise_corpus.py": "animal_spot.synthesise_corpus",
    "synthesise_recording.py": "animal_spot.synthesise_recording",
}


def commands() -> list[list[str]]:
    """Return the words of the commands that call a program of ours."""
    joined = WINDOWS.replace("`\n", " ").replace("\\", "/")
    lines = [line.split("python ", 1) for line in joined.splitlines()]
    return [line[1].split() for line in lines if line[-1].startswith("ANIMAL-SPOT/")]


def test_each_program_of_the_demo_is_called():
    assert [Path(words[0]).name for words in commands()] == [
        *("synthesise_corpus.py", "main.py", "synthesise_recording.py"),
        *("predict.py", "evaluate.py"),
    ]


@pytest.mark.parametrize("words", commands(), ids=lambda words: Path(words[0]).stem)
def test_commands_for_windows_are_understood(words):
    program = ROOT / words[0]
    assert program.is_file()
    importlib.import_module(PARSERS[program.name]).build_parser().parse_args(words[1:])


def test_every_training_script_has_its_command_for_windows():
    rows = dict(re.findall(r"^\| `(train_\w+\.sh)` \| (.*) \|$", WINDOWS, re.MULTILINE))
    scripts = {path.name for path in (ROOT / "TRAINING").glob("train_*.sh")}
    # The commands of the first are above, the second is a former name.
    assert set(rows) == scripts - {"train_demo.sh", "train_transfer.sh"}
    for name, row in rows.items():
        text = (ROOT / "TRAINING" / name).read_text()
        presets = re.findall(r"--preset (\w+)", row)
        assert presets == re.findall(r"--preset (\w+)", text.split("start_training")[-1])
        assert all((ROOT / "TRAINING" / "presets" / preset).is_file() for preset in presets)
        assert ("--pretrained" in row) == ("--pretrained \\" in text)
        assert ("--noise_from_class" in row) == ("set_noise_flags" in text)


def test_files_of_requirements_are_there():
    named = {Path(name).name for name in re.findall(r"[\w./\\]+\.txt", PAGE.replace("\\", "/"))}
    for name in named:
        assert (ROOT / "requirements" / name).is_file() or (ROOT / name).is_file()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "file"),
    [
        ([], "requirements.txt"),
        (["install-sound"], "requirements/sound.txt"),
        (["install-footprints"], "requirements/footprints.txt"),
        (["demo-data"], "requirements/sound.txt"),
        (["test"], "requirements.txt"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) and value else "",
)
def test_make_installs_what_is_asked_for(target, file, tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "ANIMAL-SPOT").mkdir()
    (tmp_path / "ANIMAL-SPOT" / "synthesise_corpus.py").touch()
    make = ["make", "-n", "PYTHON=python3"]
    said = subprocess.run(
        [*make, *target], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"pip install .* -r (\S+)", said) == [file]
    stamps = {"requirements.txt": ".installed", "requirements/sound.txt": ".sound"}
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / stamps.get(file, ".footprints")).touch()
    again = subprocess.run([*make, *target], cwd=tmp_path, capture_output=True, text=True)
    assert "pip install" not in again.stdout
