"""Presets: settings with a name, in small files of ``key=value`` lines; standard library only.

A preset is read by the rules of a config file (``settings.config_file``). The keys are the long
flags of ``main.py``; flags on the command line win. ``preset=NAME`` takes the settings of another
preset, over which the other lines win; ``false`` then sets a setting back to what it is without a
preset.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
from pathlib import Path
from typing import Any, NoReturn

from animal_spot.settings.config_file import ConfigFileError, arguments_of, config_lines
from animal_spot.settings.flags import Parser

_HERE = Path(__file__).resolve()
# Beside the scripts that use them, or where an installed package has them.
FOLDERS = (_HERE.parents[2] / "TRAINING" / "presets", _HERE.parents[1] / "presets")
FORMER_NAMES = {"transfer": "recommended"}  # understood, but not listed
FOLDER = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])


class PresetError(ValueError):
    """A preset that cannot be used; one line says where and why."""


def preset_path(name: str) -> Path:
    """Return the file of a preset: one of the folder ``TRAINING/presets``, or any other file.

    Raises:
        PresetError: If there is none; the message lists those that there are.
    """
    name = FORMER_NAMES.get(name, name)
    shipped = sorted(p.name for p in FOLDER.iterdir()) if FOLDER.is_dir() else []
    if name in shipped:
        return FOLDER / name
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        if Path(name).is_file():
            return Path(name)
    raise PresetError(
        f"there is no preset and no file {name}; the presets are {', '.join(shipped)}"
        + _nearest(name, shipped)
    )


def read_preset(name: str, parser: Parser) -> dict[str, Any]:
    """Read a preset by the flags of a program.

    Args:
        name: Of a preset or a file.
        parser: Command line whose flags, types and choices count.

    Returns:
        Value of each setting that the preset names, by the ``dest`` of its flag.

    Raises:
        PresetError: If there is no such preset, or a line of it cannot be used; file and line are
            named, and for an unknown key those that look like it.
    """
    return _read(preset_path(name), parser, ())


def _read(path: Path, parser: Parser, within: tuple[Path, ...]) -> dict[str, Any]:
    """Read a preset on which those of ``within`` build."""
    flags = {
        flag[2:]: action
        for flag, action in parser.long_flags.items()
        if action.dest not in ("help", "preset")
    }
    within = (*within, path.resolve())
    base: dict[str, Any] | None = None
    values: dict[str, Any] = {}
    number = 0
    try:
        for number, key, value in config_lines(path.read_text(encoding="utf-8-sig")):
            if key == "preset":
                if base is not None:
                    raise ConfigFileError(f"line {number}: a preset can build on one other only")
                base = _read(_base_path(value, path, within, number), parser, within)
                continue
            if key not in flags:
                raise ConfigFileError(
                    f"line {number}: there is no setting {key}{_nearest(key, list(flags))}"
                )
            dest = flags[key].dest
            if value == "false":
                if flags[key].help != argparse.SUPPRESS:  # else it takes nothing away: --no_...
                    values[dest] = flags[key].default
                continue
            several = [key] if flags[key].nargs not in (None, 0) else []
            arguments = arguments_of({key: "" if value == "true" else value}, list_keys=several)
            values[dest] = getattr(_parse_quietly(parser, arguments), dest)
    except argparse.ArgumentError as error:
        raise PresetError(f"{path}, line {number}: {error}") from error
    except ConfigFileError as error:
        raise PresetError(f"{path}, {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"the preset {path} cannot be read: {error}") from error
    return (base or {}) | values


def _base_path(value: str, path: Path, within: tuple[Path, ...], number: int) -> Path:
    """Return the preset that a line of the preset ``path`` names: also a file beside that."""
    if not value:
        raise ConfigFileError(f"line {number}: preset= names none")
    _, name = arguments_of({"preset": value})
    try:
        beside = path.parent / name
        found = beside if beside.is_file() else preset_path(name)
    except PresetError as error:
        raise ConfigFileError(f"line {number}: {error}") from error
    if found.resolve() in within:
        raise ConfigFileError(f"line {number}: the preset {name} builds on this one")
    return found


def preset_text(values: dict[str, Any], parser: Parser, title: str) -> str:
    """Write settings as a preset.

    Args:
        values: Value of each setting by the ``dest`` of its flag. None and switches that are as
            without a flag are left out.
        parser: Command line that the preset is for.
        title: One line or several that say what it is.
    """
    lines = [f"# {line}" for line in title.splitlines()]
    for action in parser.actions:
        if action.dest not in values or action.help == argparse.SUPPRESS:
            continue
        key = next(flag[2:] for flag in action.option_strings if flag.startswith("--"))
        value = values[action.dest]
        if action.nargs == 0:
            lines += [f"{key}=true"] if value == action.const else []
        elif isinstance(value, (list, tuple)):
            lines.append(f"{key}={' '.join(map(str, value))}")
        elif value is not None:
            lines.append(f"{key}={value}")
    return "\n".join(lines) + "\n"


def _nearest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _parse_quietly(parser: Parser, arguments: list[str]) -> argparse.Namespace:
    """Parse, with an exception in the place of the end of the program."""

    def refuse(message: str) -> NoReturn:
        raise argparse.ArgumentError(None, message)

    parser.error = refuse
    try:
        return parser.parse_args(arguments)
    finally:
        del parser.error
