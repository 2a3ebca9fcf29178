"""Answers as lines of JSON, exactly as they were, for runs that go on and shards that are merged.

Whatever fields ``Answer`` has go in and come back: each of a kind that ``_typed`` knows.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footprints.scores.answers import Answer, Failure
from footprints.system.typed import as_flag, as_number, as_text, as_whole

_KINDS: tuple[tuple[str, type[Answer] | type[Failure]], ...] = (
    ("answer", Answer),
    ("failure", Failure),
)
_NOT_KEPT = ("source",)  # it depends on where the folder is


def kept(found: Answer | Failure) -> dict[str, Any]:
    """Return it for JSON, with numbers in full."""
    kind = next(name for name, cls in _KINDS if isinstance(found, cls))
    content = {
        field.name: _plain(getattr(found, field.name))
        for field in dataclasses.fields(found)
        if field.name not in _NOT_KEPT
    }
    return {kind: content}


def read_kept(content: dict[str, Any], source: Path) -> Answer | Failure:
    """Return what ``kept`` was given.

    Raises:
        ValueError: If it cannot be that.
    """
    for kind, cls in _KINDS:
        if kind in content:
            return _object(cls, content[kind], {"source": source})
    raise ValueError("is neither an answer nor a failure")


def _plain(value: Any) -> Any:
    """Return plain lists, objects and numbers."""
    if dataclasses.is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    return value.item() if hasattr(value, "item") else value  # a number of numpy


def _object(cls: type, content: Any, known: dict[str, Any]) -> Any:
    if not isinstance(content, dict):
        raise ValueError("is no JSON object")
    hints = typing.get_type_hints(cls)
    values = {
        one.name: known[one.name] if one.name in known else _typed(hints[one.name], content[name])
        for one in dataclasses.fields(cls)
        if (name := one.name) in content or name in known
    }
    if unknown := content.keys() - values.keys():
        raise ValueError(f"has {min(unknown)}, which no answer has")
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _typed(kind: Any, value: Any) -> Any:
    """Return a value of a kind, which is a type as annotations have it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in inner:
            return None
        return _typed(next(one for one in inner if one is not type(None)), value)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError("is no list")
        each = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        if len(each) != len(value):
            raise ValueError(f"has {len(value)} parts, not {len(each)}")
        return tuple(_typed(one, part) for one, part in zip(each, value, strict=True))
    if dataclasses.is_dataclass(kind):
        return _object(kind, value, {})
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ValueError("is no JSON object")
        return value
    return {str: as_text, bool: as_flag, int: as_whole, float: as_number}[kind](value)
