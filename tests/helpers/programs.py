"""Programs of ANIMAL-SPOT, run in this process or in one of their own."""

from __future__ import annotations

import contextlib
import importlib
import io
import subprocess
import sys

from tests.helpers.places import SOUND


def run_here(program: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a program in this process, which spares seconds of imports.

    Returns:
        Status and what it wrote, as if it had been a process.
    """
    module = importlib.import_module(f"animal_spot.{program}")
    argv = [str(argument) for argument in arguments]
    shown, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            status = module.main(argv)
        except SystemExit as end:
            status = end.code
    return subprocess.CompletedProcess(argv, status, shown.getvalue(), said.getvalue())


def run_program(
    program: str, *arguments: object, timeout: float = 300, **options
) -> subprocess.CompletedProcess:
    """Run a program as a process of its own; ``options`` are those of ``subprocess.run``."""
    return subprocess.run(
        [sys.executable, str(SOUND / f"{program}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        **options,
    )
