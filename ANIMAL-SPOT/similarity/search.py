"""Nearest windows: exact search among all vectors, and one hit for each event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 2**15  # vectors whose lengths are computed at once
_SMALLEST = 1e-12  # length of a vector that has a direction
_FIRST = 512  # windows that are looked at first; four times as many each time they do not suffice
_REACH = 0.25  # of a window: how far a call may reach beyond the window that hears it best
_SHARE = 0.5  # of the shorter of two stretches, from which on they are the same

Stretch = tuple[float, float]  # begin and end in seconds


@dataclass(frozen=True)
class Hit:
    """A window that sounds alike.

    Attributes:
        place: Number of the window.
        recording: Number of its recording.
        begin_s: Begin.
        end_s: End.
        similarity: Cosine of the angle between the vectors less the mean of all, -1 to 1.
    """

    place: int
    recording: int
    begin_s: float
    end_s: float
    similarity: float


class Windows:
    """Vectors of windows, in memory, ready to be searched.

    What all windows have in common, such as the noise of a place, says nothing of calls: vectors
    are compared by their cosine after the mean of all was taken away. Every vector is looked at,
    so the result is exact: a million of 512 numbers are 2 GB, which a product of matrix and
    vector reads in a fraction of a second.

    Args:
        vectors: Shape ``(windows, dim)``, float32; kept, not copied.
        recording: Number of the recording of each window.
        begin_s: Begin of each.
        end_s: End of each.
    """

    def __init__(
        self, vectors: np.ndarray, recording: np.ndarray, begin_s: np.ndarray, end_s: np.ndarray
    ) -> None:
        self._vectors = vectors
        self.recording, self.begin_s, self.end_s = recording, begin_s, end_s
        blocks = [vectors[i : i + _BLOCK] for i in range(0, len(vectors), _BLOCK)]
        total = sum((block.sum(0, dtype=np.float64) for block in blocks), np.zeros(self.dim))
        self._mean = (total / max(1, len(vectors))).astype(np.float32)
        lengths = [np.linalg.norm(block - self._mean, axis=1) for block in blocks]
        length = np.concatenate(lengths) if lengths else np.empty(0, np.float32)
        # A window that is the mean itself, as of silence, is like nothing.
        self._scale = np.divide(1, length, out=np.zeros_like(length), where=length > _SMALLEST)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return self._vectors.shape[1]

    def similarity(self, vector: np.ndarray) -> np.ndarray:
        """Return the cosine of each window to a vector ``(dim,)``, both less the mean of all."""
        centred = np.asarray(vector, np.float32) - self._mean
        length = float(np.linalg.norm(centred))
        if length <= _SMALLEST:
            return np.zeros(len(self), np.float32)
        unit = centred / np.float32(length)
        # (x - mean) . u = x . u - mean . u: the vectors need not be copied.
        return (self._vectors @ unit - self._mean @ unit) * self._scale

    def of_stretch(self, recording: int, begin_s: float, end_s: float) -> np.ndarray | None:
        """Return the mean vector of the windows that a stretch is heard in best.

        These are the windows whose middle lies in it, or else the one whose middle is nearest to
        that of the stretch; None: no window overlaps it.
        """
        inside = np.flatnonzero(
            (self.recording == recording) & (self.begin_s < end_s) & (self.end_s > begin_s)
        )
        if not len(inside):
            return None
        middle = (self.begin_s[inside] + self.end_s[inside]) / 2
        chosen = inside[(middle >= begin_s) & (middle <= end_s)]
        if not len(chosen) or (end_s - begin_s) <= (self.end_s - self.begin_s)[inside].min():
            chosen = inside[[np.argmin(np.abs(middle - (begin_s + end_s) / 2))]]
        return self._vectors[chosen].mean(0)

    def nearest(
        self,
        vector: np.ndarray,
        n: int,
        *,
        query: tuple[int, Stretch] | None = None,
        known: Mapping[int, Sequence[Stretch]] | None = None,
    ) -> list[Hit]:
        """Return the windows most alike, the best first, one for each event.

        Of windows that overlap or touch only the best is returned.

        Args:
            vector: What is looked for, shape ``(dim,)``.
            n: How many.
            query: Recording and stretch that the vector is of, which is not found again.
            known: By recording, stretches that need not be found: a window is left out that shares
                at least half of itself, or of the stretch, with one.
        """
        similarity = self.similarity(vector)
        taken = _Taken(query, known or {})
        hits: list[Hit] = []
        seen, size = 0, _FIRST
        while len(hits) < n and seen < len(similarity):
            size = min(max(size, 4 * n), len(similarity))
            order = _largest(similarity, size)
            for place in order[seen:].tolist():
                recording = int(self.recording[place])
                stretch = float(self.begin_s[place]), float(self.end_s[place])
                if self._scale[place] == 0 or not taken.take(recording, stretch):
                    continue
                hits.append(Hit(place, recording, *stretch, float(similarity[place])))
                if len(hits) == n:
                    break
            seen, size = size, 4 * size
        return hits


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Return the places of the ``n`` largest values, in order; of equal ones the first."""
    places = np.arange(len(values))
    if n < len(values):
        least = np.partition(values, -n)[-n]
        above = np.flatnonzero(values > least)
        places = np.concatenate([above, np.flatnonzero(values == least)[: n - len(above)]])
    return places[np.lexsort((places, -values[places]))]


class _Taken:
    """Stretches in which nothing is to be found any more."""

    def __init__(
        self, query: tuple[int, Stretch] | None, known: Mapping[int, Sequence[Stretch]]
    ) -> None:
        self._known = {
            recording: np.array(stretches, np.float64).reshape(-1, 2)
            for recording, stretches in known.items()
        }
        self._hit: dict[int, list[Stretch]] = {}
        if query is not None:
            self._hit[query[0]] = [query[1]]

    def take(self, recording: int, stretch: Stretch) -> bool:
        """Take a stretch, unless it hears the same event as a hit, or is known already."""
        begin_s, end_s = stretch
        hits = self._hit.setdefault(recording, [])
        reach_s = _REACH * (end_s - begin_s)
        if any(begin < end_s + reach_s and end > begin_s - reach_s for begin, end in hits):
            return False
        known = self._known.get(recording)
        if known is not None and is_same(known, stretch).any():
            return False
        hits.append(stretch)
        return True


def is_same(stretches: np.ndarray, stretch: Stretch) -> np.ndarray:
    """Tell which stretches share at least half of the shorter one with another.

    Args:
        stretches: Begins and ends, shape ``(stretches, 2)``.
        stretch: Begin and end.
    """
    begin_s, end_s = stretch
    shared = np.minimum(stretches[:, 1], end_s) - np.maximum(stretches[:, 0], begin_s)
    shorter = np.minimum(stretches[:, 1] - stretches[:, 0], end_s - begin_s)
    return (shared > 0) & (shared >= _SHARE * shorter)


def shared_most(stretches: Sequence[Stretch], stretch: Stretch) -> int | None:
    """Return the place of the stretch that is the same as another, by the longest common part.

    None: none shares at least half of the shorter one.
    """
    edges = np.array(stretches, np.float64).reshape(-1, 2)
    same = np.flatnonzero(is_same(edges, stretch))
    if not len(same):
        return None
    shared = np.minimum(edges[same, 1], stretch[1]) - np.maximum(edges[same, 0], stretch[0])
    return int(same[shared.argmax()])


def joined(
    parts: Iterable[tuple[int, np.ndarray, np.ndarray, np.ndarray]], n: int, dim: int
) -> Windows:
    """Join recordings into ``Windows``, without holding the vectors twice.

    Args:
        parts: Number of a recording, and of some of its windows begins, ends and vectors.
        n: Windows in all.
        dim: Numbers of a vector.
    """
    vectors = np.empty((n, dim), np.float32)
    recording = np.empty(n, np.int64)
    begin_s, end_s = np.empty(n), np.empty(n)
    first = 0
    for number, begins, ends, some in parts:
        last = first + len(some)
        vectors[first:last], recording[first:last] = some, number
        begin_s[first:last], end_s[first:last] = begins, ends
        first = last
    return Windows(vectors[:first], recording[:first], begin_s[:first], end_s[:first])
