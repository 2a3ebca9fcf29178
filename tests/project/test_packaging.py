"""What is installed: every package of both halves, with its data, under the names of pyproject."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

tomllib = pytest.importorskip("tomllib", reason="in Python since 3.11")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {"animal_spot": ROOT / "ANIMAL-SPOT", "footprints": ROOT / "footprints"}


def packages_of(name: str) -> set[str]:
    folder = FOLDERS[name]
    found = (path.parent.relative_to(folder).parts for path in folder.rglob("__init__.py"))
    return {".".join((name, *parts)) for parts in found}


def test_every_room_is_installed():
    listed = SETTINGS["tool"]["setuptools"]["packages"]
    expected = packages_of("animal_spot") | packages_of("footprints") | {"animal_spot.presets"}
    assert sorted(listed) == sorted(expected)


def test_every_module_lies_in_a_room():
    for folder in FOLDERS.values():
        for module in folder.rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), module


def test_names_mean_these_folders():
    for name, folder in FOLDERS.items():
        code = f"import {name}; print({name}.__path__[0])"
        done = run_python("-c", code, cwd="/", check=True)
        assert Path(done.stdout.strip()).resolve() == folder


def test_version_is_that_of_the_project():
    assert importlib.metadata.version("animal-spot") == SETTINGS["project"]["version"]


def test_names_of_rooms_are_free_for_other_packages(tmp_path):
    """A notebook beside packages of its own that are called like rooms and modules here."""
    ours = {path.stem for path in FOLDERS["animal_spot"].iterdir() if path.suffix in ("", ".py")}
    ours -= {"__init__", "__pycache__"}
    assert {"utils", "data", "models", "main", "trainer"} <= ours
    for name in ours:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("whose = 'theirs'\n")
    (tmp_path / "utils" / "metrics.py").write_text("whose = 'theirs'\n")
    code = f"""
import {", ".join(sorted(ours))}, utils.metrics
import torch
from animal_spot.utils.metrics import PerClassAccuracy
metric = PerClassAccuracy(num_classes=3)
metric.update(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
print(metric.get(), utils.metrics.whose, *{{module.whose for module in ({", ".join(ours)})}})
"""
    done = run_python("-c", code, cwd=tmp_path, check=True)
    assert done.stdout == "[0.5, 1.0, nan] theirs theirs\n"
