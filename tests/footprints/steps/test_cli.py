"""One command for all steps, as it is typed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footprints import cli
from tests.helpers.photo_sets import make_real
from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

STEPS = {
    path.stem
    for path in (ROOT / "footprints").glob("*.py")
    if "sys.exit(run(main))" in path.read_text(encoding="utf-8")
}
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> Path:
    """What pip writes for the entry point."""
    found = re.search(r'^footprints = "(\S+):(\w+)"', PROJECT, re.MULTILINE)
    module, function = found.groups()
    path = tmp_path_factory.mktemp("bin") / "footprints"
    path.write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    return path


def typed(command: Path, *arguments: object, cwd: Path | None = None) -> tuple[int, str, str]:
    """Run the command in a folder; return its status and what it said."""
    done = run_python(command, *arguments, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def test_help_has_a_line_for_each_step(command, tmp_path) -> None:
    status, text, _ = typed(command, "--help", cwd=tmp_path)
    assert status == 0
    lines = dict(re.findall(r"^  (\w+) {2,}(\w.*)$", text, re.MULTILINE))
    assert lines.keys() >= STEPS == {*cli.STEPS}
    assert all(len(line) < 90 for line in lines.values())


def test_version_is_that_of_the_project(command) -> None:
    version = re.search(r'^version = "(.*)"', PROJECT, re.MULTILINE)
    assert typed(command, "--version")[:2] == (0, f"footprints {version[1]}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "no step 'trian'; did you mean train?"),
        (["evalute", "--model", "x"], "did you mean evaluate?"),
        (["zzz"], "there are synthesise, audit"),
        ([], "required: STEP"),
    ],
)
def test_what_is_no_step_is_a_usage_error(command, arguments, said) -> None:
    status, out, err = typed(command, *arguments)
    assert (status, out) == (2, "")
    assert said in err.splitlines()[-1]


@pytest.mark.parametrize("step", cli.STEPS)
def test_a_step_takes_its_flags_and_is_called_by_what_was_typed(command, step) -> None:
    status, text, _ = typed(command, step, "--help")
    assert (status, text.split(" [-h]")[0]) == (0, f"usage: footprints {step}")


def test_a_step_does_its_work_and_says_its_errors_in_a_line(command, tmp_path) -> None:
    make_real(tmp_path / "photos", {"fox": 1})
    status, text, _ = typed(command, "audit", "photos", cwd=tmp_path)
    assert (status, text.splitlines()[0]) == (0, "photos: 1 photos, 1 usable")
    assert typed(command, "audit", "nowhere", cwd=tmp_path) == (
        *(1, ""),
        "error: nowhere: there is no such folder\n",
    )


def test_ctrl_c_ends_the_first_second_with_one_line(command) -> None:
    run = subprocess.Popen(
        [sys.executable, "-X", "importtime", str(command), "--help"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in run.stderr:
        if "footprints.cli" in line:
            break
    time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    said = [line for line in run.stderr if not line.startswith("import time:")]
    assert (run.wait(30), said) == (130, ["stopped\n"])


def test_a_python_without_packages_says_so_in_a_line(command, tmp_path) -> None:
    """It has none but the standard library and this package."""
    package = tmp_path / "site" / "footprints"
    package.parent.mkdir()
    package.symlink_to(ROOT / "footprints")
    code = (
        f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
        f"sys.path.append({str(package.parent)!r}); sys.argv = ['footprints', 'audit', '.']; "
        "from footprints.system import environment; environment.ROOT = __import__('pathlib').Path("
        f"{str(tmp_path)!r}); from footprints.cli import main; sys.exit(main())"
    )
    done = run_python("-I", "-c", code)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "has no numpy" in line
    assert "pip install" in line
