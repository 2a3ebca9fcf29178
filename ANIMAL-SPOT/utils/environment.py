"""A Python that has the packages of this program; standard library only.

Programs import this module before any package. Where packages are missing they then go on in the
Python of the folder ``.venv``, if there is one, or end with one line that says what to type. Until
a program begins to work, which is seconds later, Ctrl-C ends it with one line too.

Where the project itself is not installed, programs run this file by its path; that is why nothing
of the project is imported here before it is known to be there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OLDEST = (3, 10)
STARTERS = ("TRAINING", "PREDICTION", "EVALUATION")
# What every program of this folder needs sooner or later, by the names that are imported.
PACKAGES = (
    *("numpy", "torch", "torchvision", "soundfile", "soxr", "scipy", "sklearn"),
    *("matplotlib", "PIL", "tqdm", "tensorboard"),
    "animal_spot",
)


def missing_packages() -> list[str]:
    """Return those of ``PACKAGES`` that this Python does not find; none of them is imported."""
    return [name for name in PACKAGES if find_spec(name) is None]


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
    if not (root / "pyproject.toml").is_file():  # installed without its sources
        return f"{reason}; type: {pip_install('animal-spot[sound]')}"
    project = f"{root}[sound]"
    if os.name == "nt":
        local = python_of(root / ".venv")
        return (
            f"{reason}; type: python -m venv {root / '.venv'}; {local} -m pip install -e {project}"
        )
    return (
        f"{reason}; type make in {root}, or python3 -m pip install -e '{project}' in an "
        "environment of yours"
    )


def pip_install(*packages: str) -> str:
    """Return what to type so that packages are installed for the Python that runs."""
    return f"{_quoted(sys.executable)} -m pip install {' '.join(map(_quoted, packages))}"


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
        SystemExit: If there is none that can be used, or this Python has another copy of the
            project than the one whose program was started; with one line and status 1.
    """
    missing = missing_packages()
    started = _started()
    root = _root_of(started)
    if not missing and sys.version_info >= OLDEST and root in (None, ROOT):
        if root is not None:  # the processes that it starts look for no modules in that folder
            os.environ["PYTHONSAFEPATH"] = "1"
        return
    root = root or ROOT
    python = other_python(Path(sys.prefix), root)
    if python is None or started is None:
        if not missing and root != ROOT:
            sys.exit(
                f"{sys.executable} has the copy of this program in {ROOT}, and {started} is of "
                f"another; type make in {root}, or {pip_install('-e', str(root))}"
            )
        sys.exit(advice(missing, sys.version_info, root))
    arguments = [str(python), *getattr(sys, "orig_argv", ["", *sys.argv])[1:]]
    if os.name == "nt":  # exec there does not wait
        sys.exit(subprocess.run(arguments, check=False).returncode)
    os.execv(arguments[0], arguments)


def is_program() -> bool:
    """Tell whether Python was started with a program of this project, not with a test."""
    return _root_of(_started()) is not None


def _started() -> Path | None:
    """Return the file that Python was started with."""
    name = getattr(sys.modules["__main__"], "__file__", None) or (sys.argv[0] if sys.argv else "")
    return Path(name).resolve() if name and name not in ("-c", "-m") else None


def _is_command(started: Path) -> bool:
    """Tell whether a started file is the command that pip has written.

    On Windows it is a program that holds a ``__main__.py``, or a script ``-script.py`` beside it.
    """
    name = started.parent.stem if started.name == "__main__.py" else started.stem
    return name.removesuffix("-script") == "animal-spot"


def _root_of(started: Path | None) -> Path | None:
    """Return the folder of the project that a started file belongs to; None: to none."""
    if started is None:
        return None
    if _is_command(started):
        return ROOT
    root = started.parent.parent
    is_ours = (root / "ANIMAL-SPOT" / "utils" / "environment.py").is_file()
    return root if is_ours and started.parent.name in ("ANIMAL-SPOT", *STARTERS) else None


if is_program() and find_spec("animal_spot") is not None:
    from animal_spot.utils.interrupt import end_in_one_line

    end_in_one_line()
use_environment()
