"""A Python that has the packages of this program; standard library only.

Programs import this module before any package. Where packages are missing they then go on in the
Python of the folder ``.venv``, if there is one, or end with one line that says what to type. Until
a program begins to work, which is seconds later, Ctrl-C ends it with one line too.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

from utils.interrupt import end_in_one_line

ROOT = Path(__file__).resolve().parent.parent.parent
OLDEST = (3, 10)
# What every program of this folder needs sooner or later, by the names that are imported.
PACKAGES = (
    *("numpy", "torch", "torchvision", "soundfile", "soxr", "scipy", "sklearn"),
    *("matplotlib", "PIL", "tqdm", "tensorboard"),
)


def missing_packages(names: Sequence[str] = PACKAGES) -> list[str]:
    """Return those packages that this Python does not find; none of them is imported."""
    return [name for name in names if find_spec(name) is None]


def python_of(folder: Path) -> Path:
    """Return where a virtual environment keeps its Python on this system."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def other_python(prefix: Path, root: Path = ROOT) -> Path | None:
    """Return the Python of the project's own environment; None without one, or if it runs already.

    Args:
        prefix: ``sys.prefix`` of the Python that runs.
        root: The folder of the project.
    """
    for name in (".venv", "venv"):
        python = python_of(root / name)
        if python.is_file() and prefix.resolve() != (root / name).resolve():
            return python
    return None


def advice(missing: Collection[str], version: tuple[int, ...], root: Path = ROOT) -> str:
    """Return the line that says what is wrong with this Python, and what to type."""
    python = sys.executable
    if version[:2] < OLDEST:
        reason = f"{python} is Python {version[0]}.{version[1]}, 3.10 to 3.13 is needed"
    else:
        names = list(missing)
        more = f" and {len(names) - 3} more packages" if len(names) > 3 else ""
        reason = f"{python} has no {', '.join(names[:3])}{more}"
    layer = root / "requirements" / "sound.txt"
    if os.name == "nt":
        local = python_of(root / ".venv")
        return f"{reason}; type: python -m venv {root / '.venv'}; {local} -m pip install -r {layer}"
    return (
        f"{reason}; type make in {root}, or python3 -m pip install -r {layer} in an "
        "environment of yours"
    )


def pip_install(*packages: str) -> str:
    """Return what to type so that packages are installed for the Python that runs."""
    return f"{_quoted(sys.executable)} -m pip install {' '.join(packages)}"


def tensorboard(folder: Path) -> str:
    """Return what to type so that the TensorBoard beside the Python that runs shows a folder."""
    name = "tensorboard.exe" if os.name == "nt" else "tensorboard"
    program = Path(sys.executable).with_name(name)
    if program.is_file():
        return f"{_quoted(str(program))} --logdir {_quoted(str(folder))}"
    return f"{_quoted(sys.executable)} -m tensorboard.main --logdir {_quoted(str(folder))}"


def _quoted(text: str) -> str:
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def use_environment() -> None:
    """Go on if this Python has all packages, else in the project's environment.

    Raises:
        SystemExit: If there is none that can be used; with one line and status 1.
    """
    missing = missing_packages()
    started = Path(sys.argv[0]).resolve() if sys.argv and sys.argv[0] else None
    is_ours = started is not None and started.parent in (ROOT / "ANIMAL-SPOT", ROOT / "TRAINING")
    if not missing and sys.version_info >= OLDEST:
        if is_ours:  # the processes that it starts look for no modules in the current folder
            os.environ["PYTHONSAFEPATH"] = "1"
        return
    python = other_python(Path(sys.prefix))
    if python is None or not is_ours:
        sys.exit(advice(missing, sys.version_info))
    arguments = [str(python), *getattr(sys, "orig_argv", ["", *sys.argv])[1:]]
    if os.name == "nt":  # exec there does not wait
        sys.exit(subprocess.run(arguments, check=False).returncode)
    os.execv(arguments[0], arguments)


def is_program() -> bool:
    """Tell whether Python was started with a program of this project, not with a test."""
    started = getattr(sys.modules["__main__"], "__file__", None) or ""
    return Path(started).resolve().parent in (ROOT / "ANIMAL-SPOT", ROOT / "TRAINING")


if is_program():
    end_in_one_line()
use_environment()
