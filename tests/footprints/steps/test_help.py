"""The help of a step comes at once, since nothing heavy is imported for it."""

import pytest

from tests.helpers.places import ROOT
from tests.helpers.programs import run_python

STEPS = sorted(
    path.stem
    for path in (ROOT / "footprints").glob("*.py")
    if "sys.exit(run(main))" in path.read_text(encoding="utf-8")
)
HEAVY = {"tensorflow", "keras", "torch", "ultralytics", "cv2", "sklearn", "scipy"}
HEAVY |= {"matplotlib", "pandas"}
CODE = """
import contextlib, importlib, io, sys
step = importlib.import_module(f"footprints.{sys.argv[1]}")
shown = io.StringIO()
with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
    step.main(["--help"])
print(len(shown.getvalue()))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_all_steps_are_here():
    assert set(STEPS) >= {
        *("audit", "detect", "train_detector", "prepare", "train", "evaluate", "predict"),
        *("export", "synthesise"),
    }


@pytest.mark.parametrize("step", [*STEPS, "cli"])
def test_help_imports_nothing_heavy(step):
    result = run_python("-c", CODE, step, cwd=ROOT, check=True)
    length, modules = result.stdout.splitlines()
    assert int(length) > 200
    assert not HEAVY & set(modules.split())
