"""Train with the settings of a config file: ``python TRAINING/start_training.py CONFIG``.

A config file has one ``key=value`` a line; the keys are the long flags of ``main.py``. ``true``
sets a switch, ``false`` leaves it out. Lines that start with ``#`` or a blank are skipped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Flags that take several numbers.
LIST_KEYS = frozenset({"conv_kernel_size", "pitch_range", "stretch_range"})
PLACEHOLDER = "USER-SPECIFIC"

log = logging.getLogger("training animal-spot")


class ConfigFileError(ValueError):
    """A config file that cannot be used; one line says where and why."""


def read_config(text: str) -> dict[str, str]:
    """Read the lines of a config file; a switch that is on has an empty value.

    Of a key that is given twice the last value that is not ``false`` counts.

    Raises:
        ConfigFileError: If a line has no ``=``, or a placeholder was left in.
    """
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line[0] in "# ":
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise ConfigFileError(f"line {number}: {line.strip()!r} is not of the form key=value")
        if PLACEHOLDER in value:
            raise ConfigFileError(f"line {number}: put your own folder in the place of {value}")
        if value != "false":
            settings[key] = "" if value == "true" else value
    return settings


def arguments_of(settings: dict[str, str]) -> list[str]:
    """Turn settings into an argument list.

    ``~``, ``$NAME`` and quotes around a value mean what they mean in a shell; nothing else does.
    """
    arguments: list[str] = []
    for key, value in settings.items():
        if key == "src_dir":
            continue
        arguments.append(f"--{key}")
        if value:
            arguments += value.split() if key in LIST_KEYS else [_expand(value)]
    return arguments


def _expand(value: str) -> str:
    quoting = "\"'" if os.name == "nt" else "\"'\\"
    if any(character in value for character in quoting):
        with contextlib.suppress(ValueError):  # a lone quote belongs to the name
            value = " ".join(shlex.split(value, posix=True))
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


def main(argv: list[str] | None = None) -> int:
    """Start training; return its exit status."""
    logging.basicConfig(
        level=logging.DEBUG, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s"
    )
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 1:
        log.error("one argument is needed, the config file: start_training.py CONFIG")
        return 1
    path = Path(argv[0])
    try:
        settings = read_config(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        log.error("the config file %s cannot be read: %s", path, error)
        return 1
    except ConfigFileError as error:
        log.error("%s, %s", path, error)
        return 1
    source = _expand(settings.get("src_dir", "")) or str(ROOT / "ANIMAL-SPOT")
    program = Path(source) / "main.py"
    if not program.is_file():
        log.error("src_dir %s holds no main.py; leave src_dir out to use this copy", source)
        return 1
    command = [
        sys.executable,
        "-W",
        "ignore::UserWarning",
        str(program),
        *arguments_of(settings),
    ]
    log.info("settings: %s", settings)
    log.info("command: %s", shlex.join(command))
    return run(command)


if __name__ == "__main__":
    sys.exit(main())
