"""A Python that has the packages of footprints, for ``python -m footprints.X``.

Where packages are missing it goes on in the Python of the folder ``.venv`` beside this one, if
there is one, or ends with one line that says what to type. Standard library only.
"""

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 10)
# What every installation has, by the names that are imported.
PACKAGES = ("numpy", "PIL", "scipy", "matplotlib", "imagehash", "simplejpeg", "yaml", "footprints")


def use_environment() -> None:
    """Go on if this Python has all packages, else in the project's environment.

    Raises:
        SystemExit: If there is none that can be used; with one line and status 1.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if not missing and sys.version_info >= OLDEST:
        return
    place = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    for folder in (ROOT / ".venv", ROOT / "venv"):
        if (folder / place).is_file() and Path(sys.prefix).resolve() != folder.resolve():
            arguments = [str(folder / place), *getattr(sys, "orig_argv", sys.argv)[1:]]
            if os.name == "nt":  # exec there does not wait
                sys.exit(subprocess.run(arguments, check=False).returncode)
            os.execv(arguments[0], arguments)
    sys.exit(advice(missing))


def advice(missing: list[str]) -> str:
    """Return the line that says what is wrong with this Python, and what to type."""
    python = sys.executable
    if sys.version_info < OLDEST:
        reason = f"{python} is too old, Python 3.10 to 3.13 is needed"
    else:
        reason = f"{python} has no {', '.join(missing)}"
    if not (ROOT / "pyproject.toml").is_file():  # installed without its sources
        return f"{reason}; type: {pip_install('animal-spot[footprints]')}"
    project = f"{ROOT}[footprints]"
    if os.name == "nt":
        local = ROOT / ".venv" / "Scripts" / "python.exe"
        return (
            f"{reason}; type: python -m venv {ROOT / '.venv'}; {local} -m pip install -e {project}"
        )
    return (
        f"{reason}; type make in {ROOT}, or python3 -m pip install -e '{project}' in an "
        "environment of yours"
    )


def pip_install(*packages: str) -> str:
    """Return what to type so that packages are installed for the Python that runs."""
    return " ".join(map(_quoted, (sys.executable, "-m", "pip", "install", *packages)))


def _quoted(text: str) -> str:
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)
