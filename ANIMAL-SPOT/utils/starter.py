"""Start a program of this folder with the settings of a config file; standard library only.

A config file has one ``key=value`` a line; the keys are the long flags of the program. ``true``
sets a switch, ``false`` leaves it out. Lines that start with ``#`` or a blank are skipped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
PLACEHOLDER = "USER-SPECIFIC"

log = logging.getLogger("training animal-spot")


class ConfigFileError(ValueError):
    """A config file that cannot be used; one line says where and why."""


def start(
    program: str,
    argv: list[str],
    *,
    list_keys: Collection[str] = (),
    path_list_keys: Collection[str] = (),
) -> int:
    """Run a program with a config file as its command line.

    Args:
        program: File name of the program, such as ``main.py``.
        argv: The one argument of the starter script, the config file.
        list_keys: Flags that take several values.
        path_list_keys: Flags that take several paths.

    Returns:
        The exit status of the program; 1 if it could not be started.
    """
    logging.basicConfig(
        level=logging.DEBUG, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    )
    if len(argv) != 1:
        script = Path(sys.argv[0]).name
        log.error("one argument is needed, the config file: %s CONFIG", script)
        return 1
    path = Path(argv[0])
    try:
        settings = read_config(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        log.error("the config file %s cannot be read: %s", path, error)
        return 1
    except ConfigFileError as error:
        log.error("%s, %s", path, error)
        return 1
    source = _expand(settings.get("src_dir", "")) or str(SOURCE)
    file = Path(source) / program
    if not file.is_file():
        log.error("src_dir %s holds no %s; leave src_dir out to use this copy", source, program)
        return 1
    arguments = arguments_of(settings, list_keys=list_keys, path_list_keys=path_list_keys)
    command = [sys.executable, "-W", "ignore::UserWarning", str(file), *arguments]
    log.info("settings: %s", settings)
    log.info("command: %s", shlex.join(command))
    return run(command)


def read_config(text: str) -> dict[str, str]:
    """Read the lines of a config file; a switch that is on has an empty value.

    Of a key that is given twice the last value that is not ``false`` counts.

    Raises:
        ConfigFileError: If a line has no ``=``, or a placeholder was left in.
    """
    lines = config_lines(text)
    return {k: "" if value == "true" else value for _, k, value in lines if value != "false"}


def config_lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, key and value of the lines that say something.

    Raises:
        ConfigFileError: If a line has no ``=``, or a placeholder was left in.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line[0] in "# ":
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise ConfigFileError(f"line {number}: {line.strip()!r} is not of the form key=value")
        if PLACEHOLDER in value:
            raise ConfigFileError(f"line {number}: put your own folder in the place of {value}")
        yield number, key, value


def arguments_of(
    settings: dict[str, str],
    *,
    list_keys: Collection[str] = (),
    path_list_keys: Collection[str] = (),
) -> list[str]:
    """Turn settings into an argument list.

    ``~``, ``$NAME`` and quotes around a value mean what they mean in a shell; nothing else does.
    A list is split at blanks and commas. A list of paths is one path, blanks and all, unless it
    has quotes; then it is split as a shell does it.
    """
    arguments: list[str] = []
    for key, value in settings.items():
        if key == "src_dir":
            continue
        arguments.append(f"--{key}")
        if key in list_keys or key in path_list_keys:
            arguments += _split(value, at_blanks=key in list_keys)
        elif value:
            arguments.append(_expand(value))
    return arguments


def _split(value: str, *, at_blanks: bool) -> list[str]:
    if "'" in value or '"' in value:
        with contextlib.suppress(ValueError):  # a lone quote belongs to the name
            parts = shlex.split(value, posix=os.name != "nt")
            return [_expand_names(part.strip("\"'")) for part in parts]
    parts = re.split(r"[\s,]+", value) if at_blanks else [value]
    return [_expand(part) for part in parts if part]


def _expand(value: str) -> str:
    quoting = "\"'" if os.name == "nt" else "\"'\\"
    if any(character in value for character in quoting):
        with contextlib.suppress(ValueError):
            value = " ".join(shlex.split(value, posix=True))
    return _expand_names(value)


def _expand_names(value: str) -> str:
    return os.path.expandvars(os.path.expanduser(value))


def run(command: list[str]) -> int:
    """Run a program and return its exit status; Ctrl-C and SIGTERM are left to it."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        prepare = _default_interrupt if os.name != "nt" else None
        child = subprocess.Popen(command, preexec_fn=prepare)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
    finally:
        signal.signal(signal.SIGINT, previous)
    return status if status >= 0 else 128 - status


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
