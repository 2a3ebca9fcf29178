"""Clips that several tests of training learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.clips import make_corpus
from tests.helpers.training import TAPES


@pytest.fixture(scope="package")
def corpus(tmp_path_factory) -> Path:
    """Two classes of calls and half as much noise; the first run writes a split beside them."""
    classes = {"A": TAPES * 2, "B": TAPES * 2, "noise": TAPES}
    return make_corpus(tmp_path_factory.mktemp("corpus") / "data", classes)
