"""Programs, run in this process or in one of their own."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable

from tests.helpers.places import SOUND


def run_here(program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a program in this process, which spares seconds of imports.

    Returns:
        Status and what it wrote, as if it had been a process.
    """
    return call(importlib.import_module(f"animal_spot.{program}").main, *arguments)


def call(main: Callable[[list[str]], int], *arguments: object) -> subprocess.CompletedProcess:
    """Call the main function of a program; see ``run_here``."""
    argv = [str(argument) for argument in arguments]
    shown, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            status = main(argv)
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(argv, status, shown.getvalue(), said.getvalue())


def run_process(*command: object, timeout: float = 500, **options) -> subprocess.CompletedProcess:
    """Run a command to its end; ``options`` are those of ``subprocess.run``."""
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        **options,
    )


def run_python(*arguments: object, **options) -> subprocess.CompletedProcess:
    """Run Python, the one of the tests, to its end."""
    return run_process(sys.executable, *arguments, **options)


def run_code(code: str, *arguments: object, **variables: str) -> str:
    """Run code in a process of its own to a good end; return what it printed."""
    done = run_python("-c", code, *arguments, env=os.environ | variables)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_program(program: str, *arguments: object, **options) -> subprocess.CompletedProcess:
    """Run a program of ANIMAL-SPOT as a process of its own."""
    return run_python(SOUND / f"{program}.py", *arguments, **options)


def run_step(step: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """Run ``python -m footprints.<step>`` to its end, with further environment variables."""
    return run_python("-m", f"footprints.{step}", *arguments, env=os.environ | variables)
