"""Keras runs in these test processes; few threads, and no chatter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"

from tests.helpers.keras_steps import OAT, REAL, even, make_prepared  # noqa: E402 - see above


@pytest.fixture(scope="session")
def keras():
    """Keras on TensorFlow."""
    from footprints.network.backbones import import_keras

    return import_keras()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """Both data sets, small; not to be changed."""
    sets = {"oat": even(OAT, train=8, val=5), "real": even(REAL, train=7, val=5, test=4)}
    return make_prepared(tmp_path_factory.mktemp("prepared"), sets)


@pytest.fixture(scope="session")
def model_file(tmp_path_factory) -> Path:
    """A model of four classes for pictures of 32 pixels; see ``helpers.keras_models``."""
    from tests.helpers.keras_models import write_model

    return write_model(tmp_path_factory.mktemp("models") / "mobilenet_real.keras")
