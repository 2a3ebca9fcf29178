"""Threads that read recordings a few files ahead of their turn, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from animal_spot.prediction.outcome import RecordingEnd, SectionEdge

_PATIENCE_S = 1.0  # that threads are waited for at the end
_LOOK_S = 0.2  # between two looks at whether the program is to stop, while nothing is ready

# Network inputs of neighbouring windows, one tensor for each detector; last of all the end.
Item = list[Tensor] | SectionEdge | RecordingEnd


def read_ahead(
    paths: Sequence[Path],
    read: Callable[[Path], Generator[Item, None, None]],
    n_readers: int,
    budget: int,
    check: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Path, Iterator[Item]]]:
    """Yield each recording with its items in order, which threads prepare a few files ahead.

    Args:
        paths: Recordings.
        read: Yields the items of one, the last of which is its end.
        n_readers: Threads; 0: the calling one.
        budget: Windows that may lie ready.
        check: Called while nothing is ready; may raise to stop.
    """
    if n_readers == 0:
        for path in paths:
            yield path, read(path)
        return
    shelf = _Shelf(budget, n_files=8 * n_readers)
    numbers = iter(range(len(paths)))

    def fill_shelf() -> None:
        torch.set_num_threads(1)  # of this thread; the network has the others
        while (number := shelf.begin(numbers)) is not None:
            items = read(paths[number])
            try:
                for item in items:
                    if not shelf.put(number, item):
                        return
            except Exception as error:  # of memory: the run cannot go on
                shelf.put(number, error)
            finally:
                items.close()

    threads = [threading.Thread(target=fill_shelf, daemon=True) for _ in range(n_readers)]
    for thread in threads:
        thread.start()
    try:
        for number, path in enumerate(paths):
            yield path, shelf.take(number, check)
    finally:
        shelf.stop()
        for thread in threads:
            thread.join(_PATIENCE_S)


class _Shelf:
    """Where reading threads put network inputs until their recording's turn comes.

    The recording in hand may fill the whole shelf, those after it half of it; when it is full the
    recording in hand still gets one item through, so that nothing waits for ever.

    Args:
        budget: Windows that may lie there.
        n_files: Recordings that may be there or in reading.
    """

    def __init__(self, budget: int, n_files: int) -> None:
        self._budget, self._n_files = budget, n_files
        self._lanes: dict[int, deque[Item | Exception]] = {}
        self._n_windows = 0
        self._in_hand = 0
        self._stopped = False
        self._changed = threading.Condition()

    def begin(self, numbers: Iterator[int]) -> int | None:
        """Wait until another recording may be read and return its number; None for no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._lanes) < self._n_files)
            number = None if self._stopped else next(numbers, None)
            if number is not None:
                self._lanes[number] = deque()
                self._changed.notify_all()
            return number

    def put(self, number: int, item: Item | Exception) -> bool:
        """Wait until there is room for an item and put it there; False to stop reading."""
        n = len(item[0]) if isinstance(item, list) else 0
        with self._changed:
            lane = self._lanes[number]

            def has_room() -> bool:
                in_hand = number == self._in_hand
                budget = self._budget if in_hand else self._budget // 2
                return self._n_windows + n <= budget or n == 0 or (in_hand and not lane)

            self._changed.wait_for(lambda: self._stopped or has_room())
            lane.append(item)
            self._n_windows += n
            self._changed.notify_all()
            return not self._stopped

    def take(self, number: int, check: Callable[[], None]) -> Iterator[Item]:
        """Yield the items of a recording as they come."""
        item = None
        with self._changed:
            self._in_hand = number
            self._changed.notify_all()
        while not isinstance(item, RecordingEnd):
            with self._changed:
                while not self._changed.wait_for(lambda: self._lanes.get(number), _LOOK_S):
                    check()
                item = self._lanes[number].popleft()
                self._n_windows -= len(item[0]) if isinstance(item, list) else 0
                if isinstance(item, RecordingEnd):
                    del self._lanes[number]
                self._changed.notify_all()
            if isinstance(item, Exception):
                raise item
            yield item

    def stop(self) -> None:
        """Let all reading end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
