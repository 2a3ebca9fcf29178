"""Limits and folders of the fuzz tests."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

MEMORY = 6 * 2**30  # bytes that a run may add


@pytest.fixture(autouse=True, scope="module")
def memory_limit():
    """Let what would fill the computer's memory fail."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc").is_dir() else 0
    used = pages * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def place(tmp_path):
    """Return folders: in, out, and elsewhere, where nothing may happen."""
    place = SimpleNamespace(root=tmp_path, number=0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_text("kept")
    place.elsewhere = elsewhere

    def fresh() -> tuple[Path, Path]:
        """Return empty folders of an example."""
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        for name in ("in", "out"):
            (tmp_path / "run" / name).mkdir(parents=True)
        return tmp_path / "run" / "in", tmp_path / "run" / "out"

    place.fresh = fresh
    return place
