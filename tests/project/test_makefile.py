"""``make`` installs what is asked for."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.helpers.places import ROOT
from tests.helpers.programs import run_process


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
    (tmp_path / "ANIMAL-SPOT" / "synthesise_recording.py").touch()
    make = ["make", "-n", "PYTHON=python3"]
    said = run_process(*make, target, cwd=tmp_path, check=True).stdout
    assert re.findall(r"pip install .* (-[re] \S+)", said.replace("'", "")) == [installed]
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / stamp).touch()
    again = run_process(*make, target, cwd=tmp_path)
    assert "pip install" not in again.stdout
