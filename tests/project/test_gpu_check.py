"""The script that checks a GPU: what it says where there is none, and how it judges."""

import importlib.util
import os
import shutil
import sys

import pytest

from tests.bench import gpu_check
from tests.helpers.places import ROOT
from tests.helpers.programs import run_process

LINE = "torch bf16 on cuda, 30 min: 0.10 ms a window, network alone 0.07 ms: {} x; 1 x real time"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends():
    script = ROOT / "tests" / "bench" / "gpu_check.sh"
    done = run_process("bash", script, env=os.environ | {"PYTHON": sys.executable})
    assert done.returncode == 1
    assert "no cuda: DEVICE=cpu shows that the script works" in done.stdout
    assert "floor" not in done.stdout


@pytest.mark.parametrize(("ratio", "good"), [("1.250", True), ("1.251", False), ("0.9", True)])
def test_a_ratio_is_held_against_its_limit(ratio, good):
    row = gpu_check._ratio("floor", 0, f"16 cores\n{LINE.format(ratio)}\n", 1.25)
    assert row.good is good
    assert row.found == LINE.format(ratio)


def test_a_step_that_fails_is_no_result():
    row = gpu_check._ratio("floor", 1, f"{LINE.format('1.0')}\nout of memory\n", 1.25)
    assert row.good is False
    assert row.found == "status 1: out of memory"


def test_what_is_missing_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "soxr" else find(name)
    )
    missing = gpu_check.about_machine("cpu")[0]
    assert (missing.found, missing.good) == ("pip install soxr", False)
