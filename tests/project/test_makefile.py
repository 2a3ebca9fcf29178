"""``make`` installs what is asked for."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.helpers.places import ROOT


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "installed", "stamp"),
    [
        ("install", "-r requirements.txt", ".installed"),
        ("install-sound", "-e .[sound]", ".sound"),
        ("install-footprints", "-e .[footprints]", ".footprints"),
        ("demo-data", "-e .[sound]", ".sound"),
        ("test", "-r requirements.txt", ".installed"),
    ],
    ids=["install", "install-sound", "install-footprints", "demo-data", "test"],
)
def test_make_installs_what_is_asked_for(target, installed, stamp, tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "ANIMAL-SPOT").mkdir()
    (tmp_path / "ANIMAL-SPOT" / "synthesise_corpus.py").touch()
    make = ["make", "-n", "PYTHON=python3"]
    said = subprocess.run(
        [*make, target], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"pip install .* (-[re] \S+)", said.replace("'", "")) == [installed]
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / stamp).touch()
    again = subprocess.run([*make, target], cwd=tmp_path, capture_output=True, text=True)
    assert "pip install" not in again.stdout
