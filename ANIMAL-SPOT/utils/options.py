"""A command line made from the fields of a dataclass: defaults and meanings in one place.

Standard library only, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection, Mapping
from dataclasses import field, fields
from typing import Any


def option(default: Any, help_text: str, /, **argument: Any) -> Any:
    """Declare a setting; ``argument`` overrides what ``add_argument`` is given."""
    return field(default=default, metadata={"help": help_text, "argument": argument})


class _Parser(argparse.ArgumentParser):
    """Understands shortened flags as the original did, though there are more flags now."""

    preferred: Collection[str] = ()

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        matches = super()._get_option_tuples(option_string)
        matches = [m for m in matches if m[0].help is not argparse.SUPPRESS]
        if len(matches) > 1:
            matches = [m for m in matches if m[0].dest in self.preferred] or matches
        return matches


def parser_of(
    settings: type,
    *,
    prog: str,
    description: str,
    preferred: Collection[str] = (),
    negatable: bool = False,
) -> argparse.ArgumentParser:
    """Build a command line from a dataclass whose fields were declared with ``option``.

    Args:
        settings: The dataclass.
        prog: Name of the program.
        description: What it does.
        preferred: Fields that a shortened flag means where it could also mean others.
        negatable: Let ``--no_<flag>``, which help does not list, take a switch away again.
    """
    parser = _Parser(prog=prog, description=description)
    parser.preferred = preferred
    for declared in fields(settings):
        if "help" not in declared.metadata:
            continue  # a field without a flag
        argument = dict(declared.metadata["argument"])
        flags = argument.pop("flags", (f"--{declared.name}",))
        if declared.type == "bool":
            argument = {"action": "store_true"} | argument
        else:
            types = {"int": int, "float": float}
            argument = {
                "type": types.get(declared.type, str),
                "default": declared.default,
            } | argument
            if argument["default"] is not None:
                argument["help"] = f"{declared.metadata['help']} (default: %(default)s)"
        argument = {"help": declared.metadata["help"], "dest": declared.name} | argument
        action = parser.add_argument(*flags, **argument)
        if negatable and action.const is True:
            parser.add_argument(
                f"--no_{flags[-1].removeprefix('--')}",
                action="store_false",
                default=action.default,
                dest=action.dest,
                help=argparse.SUPPRESS,
            )
    return parser


def refuse_out_of_range(settings: Any, at_least: Mapping[str, float]) -> None:
    """Check numbers of a dataclass; fields that are None are left alone.

    Raises:
        ValueError: If one is below its least value, or not finite.
    """
    for name, least in at_least.items():
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    for declared in fields(settings):
        value = getattr(settings, declared.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"--{declared.name} must be a finite number, got {value}")
