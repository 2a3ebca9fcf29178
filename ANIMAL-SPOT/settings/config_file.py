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
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from animal_spot.utils.status import FAILED
from animal_spot.utils.text import printable

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
    original_keys: Collection[str] = (),
    for_original: Sequence[str] = (),
) -> int:
    """Run a program of this folder with a config file as its command line.

    ``src_dir``, with which configs of the original name the program's folder, counts no longer.

    Args:
        program: File name of the program, such as ``main.py``.
        argv: The one argument of the starter script, the config file.
        list_keys: Flags that take several values.
        path_list_keys: Flags that take several paths.
        original_keys: What config files of the original program, or of its fork, may hold.
        for_original: Arguments that are added for a config file that holds nothing else.

    Returns:
        The exit status of the program; 1 if it could not be started.
    """
    logging.basicConfig(
        level=logging.DEBUG, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    )
    if len(argv) != 1:
        script = Path(sys.argv[0]).name
        log.error("one argument is needed, the config file: %s CONFIG", script)
        return FAILED
    path = Path(argv[0])
    try:
        settings = read_config(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        log.error("the config file %s is no UTF-8 text; save it as that", printable(str(path)))
        return FAILED
    except ConfigFileError as error:
        log.error("%s, %s", printable(str(path)), printable(str(error)))
        return FAILED
    except (OSError, ValueError) as error:
        log.error(
            "the config file %s cannot be read: %s", printable(str(path)), printable(str(error))
        )
        return FAILED
    given = settings.get("src_dir")
    if given and os.path.realpath(_expand(given)) != str(
        SOURCE
    ):  # a folder's main.py might be anything
        log.warning(
            "src_dir %s is not read: this copy of the program runs, %s; take the line out",
            *(printable(given), SOURCE),
        )
    arguments = arguments_of(settings, list_keys=list_keys, path_list_keys=path_list_keys)
    if set(settings) - {"src_dir"} <= set(original_keys):
        arguments += for_original
    command = [sys.executable, "-W", "ignore::UserWarning", str(SOURCE / program), *arguments]
    log.info("settings: %s", settings)
    log.info("command: %s", printable(shlex.join(command)))
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
        ConfigFileError: If a line has no ``=`` or holds a NUL, or a placeholder was left in.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if "\0" in line:
            raise ConfigFileError(
                f"line {number} holds a NUL character; save the file as UTF-8 text"
            )
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
        if key in list_keys or key in path_list_keys:
            values = _split(value, at_blanks=key in list_keys)
            if key in path_list_keys:  # a name that begins with - is no flag
                values = [f"./{path}" if path.startswith("-") else path for path in values]
            arguments += [f"--{key}", *values]
        elif not value:
            arguments.append(f"--{key}")
        elif value.startswith("-"):
            arguments.append(f"--{key}={_expand(value)}")
        else:
            arguments += [f"--{key}", _expand(value)]
    return arguments


def _split(value: str, *, at_blanks: bool) -> list[str]:
    if "'" in value or '"' in value:
        with contextlib.suppress(ValueError):  # a lone quote belongs to the name
            return [_expand_names(word) for word in _words(value)]
    parts = re.split(r"[\s,]+", value) if at_blanks else [value]
    return [_expand(part) for part in parts if part]


def _expand(value: str) -> str:
    quoting = "\"'" if os.name == "nt" else "\"'\\"
    if any(character in value for character in quoting):
        with contextlib.suppress(ValueError):
            value = " ".join(_words(value))
    return _expand_names(value)


def _words(value: str) -> list[str]:
    """Split a value as a shell does; on Windows a backslash is a part of a path.

    Raises:
        ValueError: If a quote is not closed.
    """
    words = shlex.shlex(value, posix=True)
    words.whitespace_split = True
    words.commenters = ""
    if os.name == "nt":
        words.escape = ""
    return list(words)


def _expand_names(value: str) -> str:
    return os.path.expandvars(os.path.expanduser(value))


def run(command: list[str]) -> int:
    """Become a program, so that signals to this process reach it; return its exit status.

    On Windows, where no process can do that, run it; Ctrl-C there reaches both.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what it does is for the program
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, previous)
