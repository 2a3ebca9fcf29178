"""What files hold, as values of known types and bounds; one clear error for all else.

Files may be damaged, made by other programs, or made to do harm. What is read of them passes
through here before anything is done with it.
"""

from __future__ import annotations

import functools
import json
import math
import re
import stat
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from animal_spot.utils.text import printable

LARGEST_INTEGER = 2**53  # above, a file of JSON does not say which whole number it means
LARGEST_FILE = 2**30  # bytes of JSON
T = TypeVar("T")


class ContentError(ValueError):
    """Content of a file that is not what it should be."""


def read_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        FileNotFoundError: If there is none.
        ContentError: If it holds no JSON, a number that is none, is too large or no file.
        OSError: If it cannot be read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise ContentError(f"{path} is not a file")
    if state.st_size > LARGEST_FILE:
        raise ContentError(f"{path} is too large: {state.st_size} bytes, at most {LARGEST_FILE}")
    return parse_json(path.read_bytes(), str(path))


def parse_json(content: bytes, where: str) -> Any:
    """Read JSON; ``where`` is what the error calls it.

    Raises:
        ContentError: If it is none, or holds a number that is none.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(content, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ContentError(f"{where} holds no JSON: {error}") from error


def typed(kind: type[T], content: Any, where: str) -> T:
    """Return content as a value of a type, which may be nested.

    Args:
        kind: ``int``, ``float``, ``str``, ``bool``, ``None``, ``list[...]``, ``tuple[..., ...]``,
            ``dict[str, ...]``, ``Literal``, a union of them, a dataclass of such fields, or
            ``Any``. Numbers are finite, whole ones at most ``LARGEST_INTEGER``; a ``float`` may be
            written as a whole number.
        content: What was read.
        where: What the error calls it.

    Raises:
        ContentError: If it is of another type, has keys that are not known, or lacks one.
    """
    if kind is Any:
        return content
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), content, where)
    if origin is Literal:
        if not any(type(content) is type(v) and content == v for v in get_args(kind)):
            choices = ", ".join(map(repr, get_args(kind)))
            raise ContentError(f"{where} is {_shown(content)}, not one of {choices}")
        return content
    if origin in (list, tuple):
        _require(isinstance(content, (list, tuple)), content, "a list", where)
        inner = get_args(kind)[0]
        return origin(typed(inner, value, f"{where}[{i}]") for i, value in enumerate(content))
    if origin is dict:
        return _mapping(get_args(kind)[1], content, where)
    if is_dataclass(kind):
        return _dataclass(kind, content, where)
    return _plain(kind, content, where)


def number(content: Any, where: str, *, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a finite number in a range.

    Raises:
        ContentError: If it is none.
    """
    value = typed(float, content, where)
    if not least <= value <= most:
        raise ContentError(f"{where} is {value:g}, which is not in {least:g}..{most:g}")
    return value


def integer(content: Any, where: str, *, least: int, most: int) -> int:
    """Return a whole number in a range.

    Raises:
        ContentError: If it is none.
    """
    value = typed(int, content, where)
    if not least <= value <= most:
        raise ContentError(f"{where} is {value}, which is not in {least}..{most}")
    return value


def _one_of(kinds: tuple[Any, ...], content: Any, where: str) -> Any:
    errors = []
    for kind in kinds:
        try:
            return typed(kind, content, where)
        except ContentError as error:
            errors.append(error)
    raise errors[0]


def _mapping(kind: Any, content: Any, where: str) -> dict[str, Any]:
    _require(isinstance(content, Mapping), content, "an object", where)
    for key in content:
        _require(isinstance(key, str), key, "a text", f"a key of {where}")
    return {key: typed(kind, value, f"{where}.{key}") for key, value in content.items()}


def _dataclass(kind: Any, content: Any, where: str) -> Any:
    values = _mapping(Any, content, where)
    hints = _hints(kind)
    known = {declared.name: declared for declared in fields(kind) if declared.init}
    if unknown := sorted(set(values) - set(known)):
        raise ContentError(f"{where} has {printable(', '.join(unknown))}, which is not known")
    for name, declared in known.items():
        if name not in values and declared.default is MISSING is declared.default_factory:
            raise ContentError(f"{where} has no {name}")
    return kind(**{k: typed(hints[k], v, f"{where}.{k}") for k, v in values.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _plain(kind: Any, content: Any, where: str) -> Any:
    if kind is None or kind is types.NoneType:
        _require(content is None, content, "null", where)
    elif kind is bool:
        _require(isinstance(content, bool), content, "true or false", where)
    elif kind is str:
        _require(isinstance(content, str), content, "a text", where)
    elif kind is int:
        is_whole = isinstance(content, int) and not isinstance(content, bool)
        _require(is_whole and abs(content) <= LARGEST_INTEGER, content, "a whole number", where)
    elif kind is float:
        is_number = isinstance(content, (int, float)) and not isinstance(content, bool)
        is_sane = isinstance(content, float) or (is_number and abs(content) <= LARGEST_INTEGER)
        _require(is_number and is_sane, content, "a number", where)
        _require(math.isfinite(content), content, "a finite number", where)
        return float(content)
    else:
        raise TypeError(f"{kind} is no type of content")
    return content


def _require(holds: bool, content: Any, expected: str, where: str) -> None:
    if not holds:
        raise ContentError(f"{where} is {_shown(content)}, not {expected}")


def _shown(content: Any) -> str:
    if isinstance(content, (str, int, float, bool, type(None))):
        try:
            text = re.sub(r"^(.{60}).*", r"\1…", printable(repr(content)))
        except ValueError:  # a whole number of thousands of digits
            text = "a huge number"
        return text
    return f"of type {type(content).__name__}"
