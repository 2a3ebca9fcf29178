from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from footprints.system.guard import without_current_folder
from tests.helpers.photo_sets import make_real
from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

STEPS = sorted(
    path.stem
    for path in (ROOT / "footprints").glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")
)
EVIL = "open(__file__ + '.ran', 'w').close()\nraise SystemExit('ran a foreign file')\n"
NAMES = ("numpy", "PIL", "cv2", "typing", "signal", "__future__", "argparse", "yaml", "json")


@pytest.fixture
def hostile(tmp_path):
    """A folder of photos among which somebody has put Python files."""
    folder = tmp_path / "photos"
    make_real(folder, {"hare": 3, "otter": 3})
    for name in NAMES:
        (folder / f"{name}.py").write_text(EVIL)
    (folder / "footprints").mkdir()
    (folder / "footprints" / "__init__.py").write_text(EVIL)
    return folder


def _environment(pythonpath: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    return {**kept, "PYTHONPATH": pythonpath}


@pytest.mark.parametrize("pythonpath", [f"{ROOT}", f":{ROOT}:"], ids=["root", "empty-parts"])
def test_files_of_the_current_folder_are_not_run(hostile, pythonpath, tmp_path) -> None:
    """As it is typed, with processes of the pool: neither may run what lies beside the photos."""
    for path in (hostile / "footprints").iterdir():
        path.unlink()  # `python -m footprints` itself is looked for there; scripts use -P
    (hostile / "footprints").rmdir()
    (hostile / "__future__.py").unlink()  # an empty part of PYTHONPATH is the current folder: what
    # pip has installed to be edited begins there, before any program
    done = run_python(
        *("-m", "footprints.prepare", "--real_dir", ".", "--detector", "none"),
        *("--output_dir", tmp_path / "out", "--processes", "1"),
        cwd=hostile,
        env=_environment(pythonpath),
    )
    assert done.returncode == 0, done.stderr
    assert not list(hostile.rglob("*.ran"))
    assert len(list((tmp_path / "out" / "real").rglob("*.png"))) == 6


def test_the_pool_does_not_run_files_of_the_current_folder(hostile, tmp_path) -> None:
    """Also where a program of the user's started it, and with the package's name."""
    code = """
import sys
sys.path.remove('')
from pathlib import Path
from footprints.cropping.crop_pool import CropPool, Job
from footprints.system.settings import Settings
sys.path.insert(0, "")
with CropPool(None, Settings(), 1) as pool:
    (result,) = pool.map([Job(Path("otter/otter0.jpg").resolve(), "centre")])
assert result.reason is None, result
"""
    done = run_python("-c", code, cwd=hostile, env=_environment(""))
    assert done.returncode == 0, done.stderr
    assert not list(hostile.rglob("*.ran"))


def test_the_search_path_keeps_what_was_asked_for(tmp_path, monkeypatch) -> None:
    here = str(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = [here, "", "/lib", ".", str(ROOT)]
    assert without_current_folder(path, "") == ["/lib", str(ROOT)]
    assert without_current_folder(path, f".{os.pathsep}/x") == ["/lib", str(ROOT)]
    assert without_current_folder(path, here) == path
    monkeypatch.chdir(ROOT)
    assert without_current_folder(["", "/lib"], "") == ["", "/lib"]
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert without_current_folder(["", "/lib"], "") == ["/lib"]


@pytest.mark.parametrize("step", STEPS)
def test_ctrl_c_ends_the_first_second_with_one_line(step, tmp_path) -> None:
    """While modules are imported, which takes longest; the moments differ from step to step."""
    run = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", f"footprints.{step}", "--help"],
        cwd=tmp_path,
        env=_environment(str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in run.stderr:  # with importtime: one line a module
        if "footprints.system.guard" in line:
            break
    time.sleep(0.02 * (1 + STEPS.index(step)))
    run.send_signal(signal.SIGINT)
    said = [line for line in run.stderr if not line.startswith("import time:")]
    run.stderr.close()
    status = run.wait(30)
    assert (status, len(said)) in ((130, 1), (0, 0)), said  # 0: it was through
