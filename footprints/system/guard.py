"""What our programs do before they import anything: see ``guard_program``.

Nothing is imported here, ``__future__`` included, that the interpreter has not loaded itself: the
current folder is still the first place where it would be looked for.
"""

import _signal  # the part of `signal` that is built in, and not looked for
import atexit  # built in too
import os
import sys

_ROOT = os.path.realpath(__file__).rsplit(os.sep, 3)[0]  # where the package footprints lies


def guard_start() -> None:
    """Guard ``python -m footprints.X``; does nothing in a program that imports this package."""
    if sys.argv[:1] == ["-m"]:  # what it is while `python -m` looks for its module
        guard_program()


def guard_program(*, needs_packages: bool = True) -> None:
    """Keep Python from running files of the current folder, and let Ctrl-C end the first seconds.

    ``python -m`` looks for modules in the current folder first: a ``numpy.py`` among somebody's
    photos would be run. Where packages that it needs are missing, see ``environment``.
    """
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _leave)  # until errors.run has its own
        # All is done when this is called; Python itself would end by the signal, without a word.
        atexit.register(_signal.signal, _signal.SIGINT, _signal.SIG_IGN)
    safe = without_current_folder(sys.path, os.environ.get("PYTHONPATH", ""))
    if safe != sys.path:
        sys.path[:] = safe
        os.environ["PYTHONSAFEPATH"] = "1"  # for the processes that libraries start
    if needs_packages:
        from footprints.system.environment import use_environment

        use_environment()


def environment_for_children() -> dict[str, str]:
    """Return the environment of processes of ours: they find this package, wherever they start.

    They look for no modules in the current folder.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = [_ROOT, *(place for place in given if os.path.isabs(place))]
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(places)}


def without_current_folder(path: list[str], given: str) -> list[str]:
    """Return a search path without the current folder, unless that holds this package.

    Args:
        path: As ``sys.path``.
        given: As ``PYTHONPATH``; a folder that is named there in full stays.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except OSError:  # it was deleted
        return [entry for entry in path if entry]
    asked = {os.path.realpath(p) for p in given.split(os.pathsep) if os.path.isabs(p)}
    if here == _ROOT or here in asked:
        return list(path)
    return [entry for entry in path if os.path.realpath(entry or ".") != here]


def _leave(number: int, _frame: object) -> None:
    os.write(2, b"stopped\n")
    os._exit(128 + number)
