"""What tests of files elsewhere share."""

from __future__ import annotations

import fsspec
import pytest

from animal_spot.remote import stores


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    """Let each test begin as a process does, and wait a thousandth of the time."""
    monkeypatch.setattr(stores, "_FIRST_WAIT_S", 0.0005)
    stores._states.clear()
    stores._given_up.clear()
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def memory(tmp_path):
    """Write bytes to places of ``memory://``."""
    store = fsspec.filesystem("memory")

    def put(files: dict[str, bytes]) -> None:
        for name, content in files.items():
            store.pipe_file(f"/{name}", content)

    return put
