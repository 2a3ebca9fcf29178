"""Paths and shared fixtures."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

# The networks here are small: more threads, also in the programs that tests start, only wait for
# each other. Set before PyTorch reads it.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell lets what it starts in the background ignore Ctrl-C, and so would all test processes.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from hypothesis import HealthCheck, settings

from tests.helpers.places import GOLDEN, SHARED

settings.register_profile(
    "repository",
    deadline=None,  # shared machines are slow at times
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repository")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Write file names that are not UTF-8 so that test processes can send them to each other."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Let each test begin with the log levels of a started program, whatever ran before it."""
    for handler in logging.root.handlers:  # of pytest, which Ultralytics takes for its own
        handler.setLevel(logging.NOTSET)
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("animal_spot"):
            level = logging.INFO if name == "animal_spot" else logging.NOTSET
            logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of numbers measured on the original program."""
    return GOLDEN


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings, which are not part of the repository."""
    folder = Path(os.environ.get("ANIMAL_SPOT_TEST_DATA", SHARED / "data"))
    if not (folder / "orca_calls").is_dir():
        pytest.skip(f"the real data is absent: no orca_calls in {folder}")
    return folder


@pytest.fixture
def write_wav() -> Callable[..., Path]:
    """Return a function that writes samples ``(samples,)`` or ``(samples, channel)``."""

    def write(path: Path, samples: np.ndarray, rate: int, subtype: str = "FLOAT") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.asarray(samples), rate, subtype=subtype, format="WAV")
        return path

    return write


@pytest.fixture(name="make_corpus")
def make_corpus_fixture() -> Callable[..., Path]:
    """Return ``helpers.clips.make_corpus``."""
    from tests.helpers.clips import make_corpus

    return make_corpus


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Small model files for prediction, by name; see ``helpers.prediction.Models``."""
    from tests.helpers.prediction import Models

    return Models(tmp_path_factory.mktemp("models"))
