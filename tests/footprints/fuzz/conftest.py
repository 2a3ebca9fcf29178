"""Steps that run in this process leave its signals as they were."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(autouse=True)
def signal_handlers():
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
