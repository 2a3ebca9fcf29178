"""Millions of texts in little memory: as a list, and as keys of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

_FIRST_SIZE = 1024  # places of an index; a power of two
_FULL = 0.6  # share of its places that are taken before there are twice as many
_NUMBER_BITS = 40
_NUMBER = (1 << _NUMBER_BITS) - 1
_64_BITS = (1 << 64) - 1


class TextList(Sequence[str]):
    """Texts one after another as bytes; each takes those and eight more.

    Bytes of file names that are not UTF-8 stay what they are.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")
        for text in texts:
            self.append(text)

    def append(self, text: str) -> None:
        """Add a text at the end."""
        self._bytes += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        end = self._ends[index]
        begin = self._ends[index - 1] if index % len(self) else 0
        return self._bytes[begin:end].decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        begin = 0
        for end in self._ends:
            yield self._bytes[begin:end].decode("utf-8", "surrogatepass")
            begin = end


class TextIndex:
    """A number from 0 to 2**40 - 1 for each text, in 27 to 54 bytes, however long the text is.

    The texts themselves are not kept but 88 bits of their hash, in an open table. Among ten million
    texts two share them once in 10**12 programs; the hash is another one in each.
    """

    def __init__(self) -> None:
        self._marks = array("Q", bytes(8 * _FIRST_SIZE))  # 64 bits of the hash; 0: free
        self._numbers = array("Q", bytes(8 * _FIRST_SIZE))  # the number, above it 24 more bits
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def _find(self, text: str) -> tuple[int, int, int]:
        """Return the place of a text, or the free one where it belongs, and its hash."""
        mark = hash(text) & _64_BITS or 1
        check = (hash(text + "\0") << _NUMBER_BITS) & _64_BITS
        marks, numbers, last = self._marks, self._numbers, len(self._marks) - 1
        place = mark & last
        while (found := marks[place]) and (found != mark or (numbers[place] ^ check) > _NUMBER):
            place = (place + 1) & last
        return place, mark, check

    def get(self, text: str) -> int | None:
        """Return the number of a text; None if it has none."""
        place, _, _ = self._find(text)
        return self._numbers[place] & _NUMBER if self._marks[place] else None

    def __contains__(self, text: str) -> bool:
        return self.get(text) is not None

    def __setitem__(self, text: str, number: int) -> None:
        self._put(text, number, replace=True)

    def setdefault(self, text: str, number: int) -> int:
        """Give a text a number unless it has one; return the one that it has."""
        return self._put(text, number, replace=False)

    def _put(self, text: str, number: int, *, replace: bool) -> int:
        if not 0 <= number <= _NUMBER:
            raise ValueError(f"numbers go from 0 to {_NUMBER}, got {number}")
        place, mark, check = self._find(text)
        if not self._marks[place]:
            if self._n >= _FULL * len(self._marks):
                self._grow()
                place, _, _ = self._find(text)
            self._n += 1
        elif not replace:
            return self._numbers[place] & _NUMBER
        self._marks[place], self._numbers[place] = mark, check | number
        return number

    def _grow(self) -> None:
        old_marks, old_numbers = self._marks, self._numbers
        size = 2 * len(old_marks)
        marks, numbers = array("Q", bytes(8 * size)), array("Q", bytes(8 * size))
        for mark, number in zip(old_marks, old_numbers, strict=True):
            if mark:
                place = mark & (size - 1)
                while marks[place]:
                    place = (place + 1) & (size - 1)
                marks[place], numbers[place] = mark, number
        self._marks, self._numbers = marks, numbers

    def numbers(self) -> Sequence[int]:
        """Return the number of each text, sorted."""
        import numpy as np  # which help need not wait for

        is_taken = np.frombuffer(self._marks, np.uint64) != 0
        numbers = np.frombuffer(self._numbers, np.uint64)[is_taken] & np.uint64(_NUMBER)
        return array("Q", np.sort(numbers).tobytes())
