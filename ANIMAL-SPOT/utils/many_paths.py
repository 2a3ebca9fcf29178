"""Millions of paths in little memory, and what is known of each."""

from __future__ import annotations

import itertools
import os
from collections.abc import (
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    ValuesView,
)
from pathlib import Path
from typing import Generic, TypeVar

from animal_spot.utils.compact import TextIndex, TextList

Value = TypeVar("Value")


class PathList(Sequence[Path]):
    """Paths, each once, that are made when they are asked for.

    Args:
        paths: They, or their texts as ``str`` of a path gives them.

    Attributes:
        texts: They as text.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        self.texts = TextList(map(os.fspath, paths))
        self._index: TextIndex | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None

    def __getitem__(self, index):
        if isinstance(index, slice):
            return list(map(Path, self.texts[index]))
        return Path(self.texts[index])

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.texts)

    def number_of(self, path: str | os.PathLike[str]) -> int | None:
        """Return the place of a path in the list, from 0; None if it is not there."""
        if self._index is None:
            self._index = TextIndex()
            for number, text in enumerate(self.texts):
                self._index[text] = number
        return self._index.get(os.fspath(path))

    def __contains__(self, path: object) -> bool:
        return isinstance(path, (str, os.PathLike)) and self.number_of(path) is not None


class PathMap(Mapping[Path, Value], Generic[Value]):
    """What is known of each path of a list.

    Args:
        paths: The list.
        values: Of each path, in the same order.
    """

    def __init__(self, paths: PathList, values: Sequence[Value]) -> None:
        if len(paths) != len(values):
            raise ValueError(f"{len(values)} values for {len(paths)} paths")
        self._paths, self._values = paths, values

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._paths)

    def __getitem__(self, path: Path) -> Value:
        number = self._paths.number_of(path)
        if number is None:
            raise KeyError(path)
        return self._values[number]

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def items(self) -> ItemsView[Path, Value]:
        """Return each path with what is known of it."""
        return _Items(self)

    def values(self) -> ValuesView[Value]:
        """Return what is known of each path."""
        return _Values(self)


class _Items(ItemsView):
    """Goes along both lists, rather than look each path up."""

    def __iter__(self) -> Iterator[tuple[Path, Value]]:
        return zip(self._mapping._paths, self._mapping._values, strict=True)


class _Values(ValuesView):
    """The same without paths."""

    def __iter__(self) -> Iterator[Value]:
        return iter(self._mapping._values)


class PathSet(Collection[Path]):
    """Some of the paths of a list, in its order."""

    def __init__(self, paths: PathList) -> None:
        self._paths = paths
        self._is_in = bytearray(len(paths))
        self._n = 0

    def add(self, path: Path) -> None:
        """Take in a path of the list."""
        number = self._paths.number_of(path)
        if number is None:
            raise KeyError(path)
        self._n += not self._is_in[number]
        self._is_in[number] = 1

    def __contains__(self, path: object) -> bool:
        number = self._paths.number_of(path) if isinstance(path, os.PathLike) else None
        return number is not None and self._is_in[number] == 1

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Path]:
        return map(Path, itertools.compress(self._paths.texts, self._is_in))
