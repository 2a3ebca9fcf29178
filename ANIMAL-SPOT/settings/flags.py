"""A command line made from the fields of a dataclass: defaults and meanings in one place.

Standard library only, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import math
import operator
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, fields
from typing import Any, NoReturn, TypeVar

from animal_spot.utils.text import printable

Settings = TypeVar("Settings")


def option(
    default: Any,
    help_text: str,
    /,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    needs: str | None = None,
    marks: str = "",
    group: str | None = None,
    **argument: Any,
) -> Any:
    """Declare a setting.

    Args:
        default: Its default.
        help_text: Its meaning.
        least: Smallest value of a number, or of each of several; None: any.
        above: What all values are above.
        most: Largest value; what is above it is mistyped, or would take all memory or time.
        below: What all values are below.
        needs: Flag as it is typed, ``--pretrained`` or ``--loss focal``, without which any value
            but the default would do nothing; several are joined by `` or ``.
        marks: Words by which the program picks options out, see ``marked``.
        group: Heading at the end of ``--help`` under which it stands; None: it stands before those.
        argument: Overrides what ``add_argument`` is given.
    """
    bounds = {"least": least, "above": above, "most": most, "below": below}
    metadata = {
        "help": help_text,
        "argument": argument,
        "bounds": {kind: bound for kind, bound in bounds.items() if bound is not None},
        "needs": needs,
        "marks": marks.split(),
        "group": group,
    }
    return field(default=default, metadata=metadata)


class Parser(argparse.ArgumentParser):
    """Command line of every program: refuses empty values, which are no folder, file or number.

    It understands shortened flags as the original did, though there are more flags now.

    Attributes:
        actions: What ``add_argument`` returned, in that order.
        preferred: Fields that a shortened flag means where it could also mean others.
    """

    def __init__(
        self, *, preferred: Collection[str] = (), allow_abbrev: bool = True, **options: Any
    ) -> None:
        self.actions: list[argparse.Action] = []
        self.preferred = preferred
        self._is_shortened = allow_abbrev
        self._groups: dict[str, Any] = {}
        super().__init__(allow_abbrev=False, **options)

    def add_argument(
        self, *names: str, group: str | None = None, **options: Any
    ) -> argparse.Action:
        """Add a flag or an argument, under a heading of its own in help if a group is named."""
        if group is None:
            action = super().add_argument(*names, **options)
        else:
            if group not in self._groups:
                self._groups[group] = self.add_argument_group(group)
            action = self._groups[group].add_argument(*names, **options)
        self.actions.append(action)
        return action

    @property
    def long_flags(self) -> dict[str, argparse.Action]:
        """Flags that begin with two dashes, also those that help does not list."""
        every = ((flag, action) for action in self.actions for flag in action.option_strings)
        return {flag: action for flag, action in every if flag.startswith("--")}

    def parse_known_args(  # also called by parse_args
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Read a command line; a wrong one ends the program with status 2."""
        given = sys.argv[1:] if args is None else list(args)
        for before, text in zip(["", *given], given, strict=False):
            flag, has_value, value = text.partition("=")
            if not text.strip():
                self.error(
                    f"{before or 'an argument'}: its value is empty; name one or leave it out"
                )
            if flag.startswith("--") and has_value and not value.strip():
                self.error(f"{flag}: its value is empty; name one or leave it out")
            if "\0" in text:
                self.error(f"{before or 'an argument'}: its value holds a NUL character")
        if self._is_shortened:
            given = self._in_full(given)
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """End the program with status 2 and a line that shows names and does not obey them."""
        super().error(printable(message))

    def _in_full(self, arguments: list[str]) -> list[str]:
        """Write shortened flags out; those that help does not list cannot be shortened."""
        flags = self.long_flags
        n_flags = arguments.index("--") if "--" in arguments else len(arguments)
        in_full = list(arguments)
        for i, text in enumerate(arguments[:n_flags]):
            given, has_value, value = text.partition("=")
            if not given.startswith("--") or given in flags:
                continue
            matches = [
                flag
                for flag, action in flags.items()
                if flag.startswith(given) and action.help is not argparse.SUPPRESS
            ]
            if len(matches) > 1:
                matches = [m for m in matches if flags[m].dest in self.preferred] or matches
            if len(matches) > 1:
                self.error(f"ambiguous option: {text} could match {', '.join(matches)}")
            if matches:
                in_full[i] = f"{matches[0]}{has_value}{value}"
        return in_full


def parser_of(
    settings: type,
    *,
    prog: str,
    description: str,
    preferred: Collection[str] = (),
    negatable: bool = False,
) -> Parser:
    """Build a command line from a dataclass whose fields were declared with ``option``.

    Args:
        settings: The dataclass.
        prog: Name of the program.
        description: What it does.
        preferred: Fields that a shortened flag means where it could also mean others.
        negatable: Let ``--no_<flag>``, which help does not list, take a switch away again.
    """
    parser = Parser(prog=prog, description=description, preferred=preferred)
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
        argument = {"help": declared.metadata["help"]} | argument
        if flags[0].startswith("-"):  # else it is given by its place, and named by that
            argument = {"dest": declared.name} | argument
        action = parser.add_argument(*flags, group=declared.metadata["group"], **argument)
        if negatable and action.const is True:
            parser.add_argument(
                f"--no_{flags[-1].removeprefix('--')}",
                action="store_false",
                default=action.default,
                dest=action.dest,
                help=argparse.SUPPRESS,
            )
    return parser


_HOLDS = {"least": operator.ge, "above": operator.gt, "most": operator.le, "below": operator.lt}
_WORDS = {"least": "at least", "above": "above", "most": "at most", "below": "below"}


def settings_from(
    settings: type[Settings],
    parser: argparse.ArgumentParser,
    argv: list[str] | None,
    *,
    lists: Collection[str] = (),
) -> Settings:
    """Read a command line; a wrong one ends the program with status 2.

    Args:
        settings: The dataclass that the parser was made from.
        parser: See ``parser_of``.
        argv: Its arguments; None: those of this process.
        lists: Fields of several values, which become tuples; not given: empty.
    """
    values = vars(parser.parse_args(argv))
    values |= {name: tuple(values[name] or ()) for name in lists}
    try:
        return settings(**values)
    except ValueError as error:
        parser.error(str(error))


def refuse_out_of_range(settings: Any) -> None:
    """Check the numbers of a dataclass whose fields were declared with ``option``.

    Fields that are None are left alone; of several numbers each is checked.

    Raises:
        ValueError: If one is out of its bounds, or not finite.
    """
    for declared in fields(settings):
        given = getattr(settings, declared.name)
        for value in given if isinstance(given, (list, tuple)) else (given,):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"--{declared.name} must be a finite number, got {value}")
            bounds = declared.metadata.get("bounds", {})
            for kind, bound in bounds.items():
                if not _HOLDS[kind](value, bound):
                    wanted = _share(bounds) or f"{_WORDS[kind]} {_number(bound)}"
                    raise ValueError(f"--{declared.name} must be {wanted}, got {value}")


def marked(settings: Any, marks: str) -> frozenset[str]:
    """Return the names of the options of such a dataclass that have one of these marks."""
    wanted = set(marks.split())
    return frozenset(f.name for f in fields(settings) if wanted & {*f.metadata.get("marks", ())})


def given(settings: Any) -> list[str]:
    """Return the names of the settings of such a dataclass that are not as by default."""
    return [f.name for f in fields(settings) if getattr(settings, f.name) != f.default]


def refuse_without_need(settings: Any) -> None:
    """Refuse settings of such a dataclass that need another one, which is not set.

    Raises:
        ValueError: If there is one.
    """
    needs = {f.name: f.metadata.get("needs") for f in fields(settings)}
    for name in given(settings):
        if needs[name] is None:
            continue
        if not any(_is_set(settings, flag) for flag in needs[name].split(" or ")):
            raise ValueError(f"--{name} needs {needs[name]}")


def _is_set(settings: Any, flag: str) -> bool:
    """Tell whether a flag as it is typed, with or without a value, holds."""
    needed, _, wanted = flag.removeprefix("--").partition(" ")
    found = getattr(settings, needed)
    return found == wanted if wanted else bool(found)


def _share(bounds: Mapping[str, float]) -> str | None:
    """Say the bounds of a share of one; None if they are of something else."""
    if 1 not in (bounds.get("most"), bounds.get("below")):
        return None
    if "above" in bounds and "most" in bounds:
        return "above 0 and at most 1"
    return "in 0..1 (below 1)" if "least" in bounds and "below" in bounds else "in 0..1"


def _number(bound: float) -> str:
    power = int(abs(bound)).bit_length() - 1
    return f"2^{power}" if power > 32 and bound == 2**power else f"{bound:g}"
