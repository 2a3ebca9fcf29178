"""The help of a program comes at once, since nothing heavy is imported for it."""

from __future__ import annotations

import sys

import pytest

from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

PROGRAMS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("ANIMAL-SPOT", "TRAINING")
    for path in (ROOT / folder).glob("*.py")
    if "build_parser" in (text := path.read_text(encoding="utf-8")) or "parse_config" in text
)
LIGHT = {"animal_spot", "filelock", "tqdm"}
SECONDS = 0.3  # of the processor
CODE = """
import contextlib, io, runpy, sys, time
before = set(sys.modules)
del sys.argv[0]
shown = io.StringIO()
with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
    runpy.run_path(sys.argv[0], run_name="__main__")
seconds = time.process_time()
print(len(shown.getvalue()))
print(seconds)
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""


def test_all_programs_are_here():
    assert {"ANIMAL-SPOT/main.py", "ANIMAL-SPOT/predict.py", "ANIMAL-SPOT/tune.py"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_imports_nothing_heavy(program, tmp_path):
    result = run_python("-c", CODE, ROOT / program, "--help", cwd=tmp_path, check=True)
    length, seconds, modules = result.stdout.splitlines()
    assert int(length) > 200
    assert not set(modules.split()) - sys.stdlib_module_names - LIGHT
    assert float(seconds) < SECONDS
